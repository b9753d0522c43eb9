"""Averages of several parameters, one after another in memory, and the direction that they give.

Most parameters of most networks are so small that a call takes longer than its arithmetic.
"""

import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from qnewton.operators import private_torch
from qnewton.optimizer.averages import GradientAverages
from qnewton.optimizer.memory import MOVED, Memory

DAMPING = 0.3
"""λ as a share of the mean of √V."""

_MEMORY_OF_MEAN, _MEMORY_OF_SQUARES = 0.9, 0.99
_MOST = 1 << 16  # entries of all parameters of a bucket that has several


class Bucket:
    """Parameters of one dtype and treatment, with their averages.

    Args:
        parameters: They are treated alike.
        averages: Theirs; their M and V move into the bucket's memory.
        moves: How the last step moved them, per length; ``None`` where it did not.

    Attributes:
        parameters: The parameters.
        averages: The averages.
        move: How the last step moved them, or how the next one will, shape [n].
        moves: The same in the parameters' shapes.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        averages: Sequence[GradientAverages],
        moves: Sequence[Tensor | None],
    ) -> None:
        self.parameters, self.averages = [*parameters], [*averages]
        self._sizes = [a.mean.numel() for a in averages]
        self._mean = _joined([a.mean for a in averages])
        self._square = _joined([a.square for a in averages])
        for kept, mean, square in zip(
            averages, self._matrices(self._mean), self._matrices(self._square), strict=True
        ):
            kept.mean, kept.square = mean, square
        pairs = zip(averages, moves, strict=True)
        self.move = _joined([torch.zeros_like(a.mean) if m is None else m for a, m in pairs])
        pieces = zip(self.move.split(self._sizes), parameters, strict=True)
        self.moves = [piece.view(p.shape) for piece, p in pieces]
        self._entered = self._matrices(self.move)
        self._factored = [pair for pair in enumerate(averages) if pair[1].left or pair[1].right]
        shares = [DAMPING / max(size, 1) for size in self._sizes]
        self._shares = self._mean.new_tensor(shares)
        self._zero = self._mean.new_zeros(())
        # A parameter that is alone is large, and costs memory only while it is worked on.
        self._work = None if len(averages) == 1 else torch.empty_like(self._mean)
        self._works = [] if self._work is None else self._matrices(self._work)

    @property
    def pieces(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Every parameter with its move."""
        return zip(self.parameters, self.moves, strict=True)

    @property
    def held(self) -> list[Tensor]:
        """All tensors that steps change, beside the parameters."""
        sides = [side for a in self.averages for side in (a.left, a.right) if side is not None]
        return [self._mean, self._square, self.move, *(tensor for side in sides for tensor in side)]

    def joined(self, gradients: Sequence[Tensor], factor: float) -> Tensor:
        """Return the parameters' gradients times a factor, shape [n]; not to be changed."""
        flat = _joined(gradients)
        return flat if factor == 1.0 else factor * flat

    def turn(self, gradient: Tensor, unit: float, step: int) -> None:
        """Add a gradient to the averages, and make D the move.

        Args:
            gradient: G of all parameters, shape [n].
            unit: What it is divided by.
            step: How many gradients the averages have seen with this one, from 1.

        Cost: 6·rows·columns·(rows + columns) operations for each parameter with both factors;
        every tenth step twice that and a QR decomposition of each factor.
        """
        work = torch.empty_like(self._mean) if self._work is None else self._work
        matrices = self._matrices(work) if self._work is None else self._works
        torch.div(gradient, unit, out=work)
        newest = max(1 - _MEMORY_OF_SQUARES, 1 / step)
        for at, averages in self._factored:
            averages.learn(matrices[at], newest, step)
            averages.enter(matrices[at])
        self._mean.lerp_(work, max(1 - _MEMORY_OF_MEAN, 1 / step))
        self._square.lerp_(work.square_(), newest)
        torch.sqrt(self._square, out=work)
        sums = torch.stack([matrix.sum() for matrix in matrices])
        damping = sums.mul_(self._shares).add_(torch.finfo(work.dtype).tiny)
        private_torch.add_(matrices, [*damping.unbind()], 1.0)
        torch.addcdiv(self._zero, self._mean, work, value=-1.0, out=self.move)
        for at, averages in self._factored:
            averages.leave(self._entered[at])

    def _matrices(self, flat: Tensor) -> list[Tensor]:
        pieces = zip(flat.split(self._sizes), self.averages, strict=True)
        return [piece.view(averages.mean.shape) for piece, averages in pieces]


class Place(NamedTuple):
    """Where a bucket's parameters come from.

    Attributes:
        bucket: The bucket.
        group: The number of its parameter group.
        positions: The parameters' numbers among all.
    """

    bucket: Bucket
    group: int
    positions: list[int]


class Buckets:
    """The buckets of all parameters that steps move, for as long as those stay the same.

    Args:
        widest: Rows of the largest factor.
    """

    def __init__(self, widest: int) -> None:
        self._widest = widest
        self._parameters: Sequence[Tensor] = ()
        self._pattern: object = None
        self._holders: tuple[dict[Tensor, Tensor], ...] = ({}, {})
        self._places: list[Place] = []
        self._are_left = False

    def of(
        self,
        memory: Memory,
        groups: Sequence[Mapping[str, Any]],
        parameters: Sequence[Tensor],
        gradients: Sequence[Tensor | None],
    ) -> list[Place]:
        """Return the buckets of what has a gradient and an lr.

        Args:
            memory: What earlier steps left of averages and moves, which lies in the buckets then.
            groups: The parameter groups.
            parameters: All that can be trained.
            gradients: Theirs.

        Cost: a copy of small parameters' averages, where others move than in the last step.
        """
        may_move = [(len(group["params"]), float(group["lr"]) > 0.0) for group in groups]
        pattern = [gradient is None for gradient in gradients], may_move
        holders = memory.own("mean_gradient"), memory.own(MOVED)
        same = parameters is self._parameters and all(map(operator.is_, holders, self._holders))
        if not same or pattern != self._pattern:
            known = {id(p): i for i, p in enumerate(parameters) if gradients[i] is not None}
            self._places = [
                Place(bucket, number, [known[id(p)] for p in bucket.parameters])
                for number, (group, (_, may)) in enumerate(zip(groups, may_move, strict=True))
                for bucket in self._laid_out(
                    memory, [p for p in group["params"] if may and id(p) in known]
                )
            ]
            self._parameters, self._pattern, self._holders = parameters, pattern, holders
            self._are_left = False
        return self._places

    def leave(self, memory: Memory) -> None:
        """Keep what the last step moved, and nothing of what it left where it was."""
        moved = memory.own(MOVED)
        if not (moved and self._are_left):
            moved.clear()
            for bucket, _, _ in self._places:
                moved.update(bucket.pieces)
            self._are_left = True

    def _laid_out(self, memory: Memory, parameters: Sequence[Tensor]) -> Iterator[Bucket]:
        moves = memory.own(MOVED)
        for together in _grouped(parameters):
            averages = [self._averages(memory, p) for p in together]
            bucket = Bucket(together, averages, [moves.get(p) for p in together])
            for parameter, kept, move in zip(together, averages, bucket.moves, strict=True):
                for name, tensor in kept.tensors.items():
                    memory.own(name)[parameter] = tensor
                if parameter in moves:
                    moves[parameter] = move
            yield bucket

    def _averages(self, memory: Memory, parameter: Tensor) -> GradientAverages:
        kept = GradientAverages.kept(lambda name: memory.own(name).get(parameter))
        return kept or GradientAverages.begin(parameter.detach(), self._widest)


def _grouped(parameters: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Yield neighbours of one dtype and device, as many as a bucket takes."""
    together: list[Tensor] = []
    for parameter in parameters:
        alike = together and (parameter.dtype, parameter.device) == (
            together[0].dtype,
            together[0].device,
        )
        if together and not (alike and sum(map(torch.numel, [*together, parameter])) <= _MOST):
            yield together
            together = []
        together.append(parameter)
    if together:
        yield together


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    """Return tensors as one vector; that of a single one is no copy."""
    flat = [tensor.flatten() for tensor in tensors]
    return flat[0] if len(flat) == 1 else torch.cat(flat)
