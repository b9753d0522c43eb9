"""Operations of a forward and backward pass, read off the linear layers it goes through."""

from types import TracebackType

from torch import Tensor, nn


class LinearFlops:
    """Counts 6·rows·in·out for every call of an ``nn.Linear`` while it is active.

    Two operations a multiply-add, once forward and twice backward; everything that is not a
    linear layer is left out. ``total`` is ``None`` when no linear layer was called.

    Example:
        >>> import torch
        >>> layer = nn.Linear(3, 2)
        >>> with LinearFlops(layer) as flops:
        ...     _ = layer(torch.zeros(5, 3))
        >>> flops.total
        180.0
    """

    def __init__(self, model: nn.Module) -> None:
        self._layers = [module for module in model.modules() if isinstance(module, nn.Linear)]
        self.total: float | None = None

    def __enter__(self) -> "LinearFlops":
        self._handles = [layer.register_forward_hook(self._count) for layer in self._layers]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()

    def _count(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        rows = output.numel() // output.shape[-1]
        work = 6.0 * rows * inputs[0].shape[-1] * output.shape[-1]
        self.total = (self.total or 0.0) + work
