"""The gradients of a layer's weight by sample, held as the two vectors whose product they are."""

import torch
from torch import Tensor

from qnewton.operators.factor import Factor

# Entries formed at once where a sample has several positions: 64 MB in float32.
_WORKSPACE_ENTRIES = 1 << 24


class KhatriRaoFactor(Factor):
    """U with one column per sample i and signal c, U[:, (i,c)] = Σ_t d[i,c,t] ⊗ a[i,t].

    A weight of shape [out, in], flattened row-major, has N = out·in rows; t runs over the
    positions of a sample (1 for a vector, the tokens of a sequence, the pixels of an image). The
    columns are never formed: with one position UᵀU = (A Aᵀ) ∘ (D Dᵀ).

    Args:
        inputs: a, what the layer saw, shape [n, T, in].
        signals: d, what came back to its output, shape [n, c, T, out].

    Cost: n·T·(in + c·out) entries; a product 2n·T·out·(in + c) operations; the Gram matrix
    2(n·c)²·out + 2n²·in for one position, else 2(n·c)²·out·in and n·c·T·out·in to form columns in
    pieces or, where that is less and c = 1, 2(nT)²(in + out) from pairs of positions.

    Example:
        >>> a, d = torch.tensor([[[1.0, 2.0]]]), torch.tensor([[[[3.0]]]])
        >>> KhatriRaoFactor(a, d).dense()
        tensor([[3.],
                [6.]])
    """

    def __init__(self, inputs: Tensor, signals: Tensor) -> None:
        self._held_by = self._inputs = inputs
        self._signals = signals

    @property
    def shape(self) -> torch.Size:
        """Return ``torch.Size([N, k])``, k = n·c."""
        samples, signals, _, outputs = self._signals.shape
        return torch.Size((outputs * self._inputs.shape[2], samples * signals))

    def __matmul__(self, y: Tensor) -> Tensor:
        """Return U·y = Σ (Σ_c y d)ᵀ a."""
        if y.ndim == 2:
            return torch.stack([self @ column for column in y.unbind(1)], dim=1)
        inputs, signals = self._inputs, self._signals
        weights = y.view(signals.shape[:2])[:, :, None, None]
        if self._weighs_inputs:
            inputs, signals = inputs * weights[:, 0], signals[:, 0]
        else:
            signals = (signals * weights).sum(1)
        return (signals.flatten(0, 1).mT @ inputs.flatten(0, 1)).flatten()

    def project(self, x: Tensor) -> Tensor:
        """Return Uᵀ·x, the inner products of d with X a, or of Xᵀ d with a."""
        if x.ndim == 2:
            return torch.stack([self.project(column) for column in x.unbind(1)], dim=1)
        weight = x.view(-1, self._inputs.shape[2])
        if self._weighs_inputs:
            return (self._inputs * (self._signals[:, 0] @ weight)).sum((1, 2))
        pushed = self._inputs @ weight.mT
        return (self._signals * pushed[:, None]).sum((2, 3)).flatten()

    def gram(self) -> Tensor:
        """Return UᵀU."""
        samples, signals, positions, _ = self._signals.shape
        if positions == 1:
            of_inputs = self._inputs[:, 0] @ self._inputs[:, 0].mT
            of_signals = self._signals.flatten(0, 1)[:, 0]
            gram = (of_signals @ of_signals.mT).view(samples, signals, samples, signals)
            return (gram * of_inputs[:, None, :, None]).flatten(2).flatten(0, 1)
        size = samples * signals
        if self._goes_by_tokens:
            return self._gram_by_tokens()
        gram = torch.zeros(size, size, dtype=self.dtype, device=self.device)
        for start, stop in self._units():
            columns = self._columns_of_units(start, stop)
            gram.addmm_(columns.mT, columns)
        return gram

    def _gram_by_tokens(self) -> Tensor:
        """Return UᵀU as Σ_{s,t} (a_is·a_jt)(d_is·d_jt): 2(nT)²(in + out) operations."""
        samples, _, positions, _ = self._signals.shape
        inputs, signals = self._inputs.flatten(0, 1), self._signals.flatten(0, 2)
        products = (inputs @ inputs.mT).mul_(signals @ signals.mT)
        return products.view(samples, positions, samples, positions).sum((1, 3))

    @property
    def product_flops(self) -> float:
        """Operations of U·(Uᵀx)."""
        samples, signals, positions, outputs = self._signals.shape
        return 4.0 * samples * positions * outputs * (self._inputs.shape[2] + signals)

    @property
    def gram_flops(self) -> float:
        """Operations of UᵀU, by the way that :meth:`gram` takes."""
        samples, signals, positions, outputs = self._signals.shape
        inputs, size = self._inputs.shape[2], float(samples * signals)
        if positions == 1:
            return 2.0 * size**2 * outputs + 2.0 * samples**2 * inputs
        if self._goes_by_tokens:
            return 2.0 * (samples * positions) ** 2 * (inputs + outputs)
        return 2.0 * size**2 * outputs * inputs + 2.0 * size * positions * outputs * inputs

    @property
    def _weighs_inputs(self) -> bool:
        """Whether what a product makes on its way is smaller on the side of the inputs."""
        return self._signals.shape[1] == 1 and self._inputs.shape[2] < self._signals.shape[3]

    @property
    def _goes_by_tokens(self) -> bool:
        """Whether pairs of positions take fewer operations than columns formed in pieces."""
        samples, signals, positions, outputs = self._signals.shape
        tokens, inputs = samples * positions, self._inputs.shape[2]
        if signals != 1 or tokens**2 > _WORKSPACE_ENTRIES:
            return False
        return tokens**2 * (inputs + outputs) < outputs * inputs * (tokens + samples**2)

    def row_squares(self) -> Tensor:
        """Return the squared norms of the rows of U."""
        if self._signals.shape[2] == 1:
            squares = self._signals[:, :, 0].square().sum(1)
            return (squares.mT @ self._inputs[:, 0].square()).flatten()
        return torch.cat(
            [self._columns_of_units(*units).square().sum(1) for units in self._units()]
        )

    def columns(self, start: int, stop: int) -> Tensor:
        """Return columns as entries: T·N operations each."""
        signals = self._signals.flatten(0, 1)[start:stop]
        sample = torch.arange(start, stop, device=self.device) // self._signals.shape[1]
        return (signals.mT @ self._inputs[sample]).flatten(1).mT

    def _units(self) -> list[tuple[int, int]]:
        """Return ranges of output units whose rows of U fit the workspace."""
        outputs = self._signals.shape[3]
        step = max(1, _WORKSPACE_ENTRIES // (self._inputs.shape[2] * self.shape[1]))
        return [(start, min(start + step, outputs)) for start in range(0, outputs, step)]

    def _columns_of_units(self, start: int, stop: int) -> Tensor:
        """Return the rows of U that belong to output units ``start`` to ``stop``."""
        signals = self._signals[..., start:stop].mT
        return (signals @ self._inputs[:, None]).flatten(2).flatten(0, 1).mT
