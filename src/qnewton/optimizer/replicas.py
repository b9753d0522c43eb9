"""One model on several processes: what their averages are, and one direction for all."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
import torch.distributed as dist
from torch import Tensor

from qnewton.curvature import Evaluation
from qnewton.operators import FormedOnce, LinearSystem, SymmetricOperator, WrappedOperator
from qnewton.operators.symmetric import mirror_upper_

_AVAILABLE = dist.is_available()


@dataclass(frozen=True)
class Replicas:
    """Processes that hold the same parameters and each see an equal share of the batch.

    The loss of the whole batch is the mean of theirs, so gradient and curvature are, too.
    DistributedDataParallel averages what ``backward`` accumulates, never what second derivatives
    are made of; here both are averaged, and a gradient that is averaged already stays as it is.

    Attributes:
        group: The processes; ``None`` for all.
        size: How many there are.
        device: Where they are.
    """

    group: "dist.ProcessGroup | None"
    size: int
    device: torch.device

    @classmethod
    def present(cls, group: "dist.ProcessGroup | None", device: torch.device) -> "Replicas | None":
        """Return the replicas that share this process's model, or ``None`` if it is alone."""
        if not (_AVAILABLE and dist.is_initialized()):
            return None
        size = dist.get_world_size(group)
        return cls(group, size, device) if size > 1 else None

    @staticmethod
    def first(group: "dist.ProcessGroup | None") -> bool:
        """Return whether this process speaks for all: it is alone, or the first of them."""
        return not (_AVAILABLE and dist.is_initialized()) or dist.get_rank(group) == 0

    def average_evaluation(self, evaluation: Evaluation) -> Evaluation:
        """Average ``.grad`` in place, the loss, and its gradient where curvature is wanted.

        A parameter that only some replicas reach gets a gradient on all of them.

        Cost: one reduction of as many numbers as there are parameters, twice for curvature.
        """
        parameters = evaluation.parameters
        loss = parameters[0].new_tensor([evaluation.loss])
        reached = parameters[0].new_tensor([float(g is not None) for g in evaluation.gradients])
        flat = torch.cat([evaluation.gradient(parameters), reached, loss])
        self.average_(flat)
        sizes = [p.numel() for p in parameters]
        loss_gradients: tuple[Tensor, ...] = ()
        differentiated = None
        if evaluation.root is not None:
            judged = parameters[0].new_tensor([evaluation.judged_loss])
            unclipped = self.average_(torch.cat([evaluation.loss_gradient(parameters), judged]))
            differentiated = float(unclipped[-1])
            pairs = zip(unclipped[:-1].split(sizes), parameters, strict=True)
            loss_gradients = tuple(piece.view_as(p) for piece, p in pairs)
        pieces = flat.split([*sizes, len(parameters), 1])
        for parameter, piece, share in zip(parameters, pieces, pieces[-2].tolist(), strict=False):
            if parameter.grad is not None:
                parameter.grad.detach().copy_(piece.view_as(parameter))
            elif share > 0:
                parameter.grad = piece.view_as(parameter).clone()
        return replace(
            evaluation,
            loss=float(flat[-1]),
            gradients=tuple(None if p.grad is None else p.grad.detach() for p in parameters),
            loss_gradients=loss_gradients,
            differentiated=differentiated,
        )

    def average_curvature(self, systems: Iterable[LinearSystem]) -> list[LinearSystem]:
        """Return the systems with the mean of all replicas' operators."""
        return [s.with_operator(AveragedOperator(s.operator, self)) for s in systems]

    def agree(self, direction: Tensor | None, example: Tensor) -> Tensor | None:
        """Return the first replica's direction on all of them, or ``None`` if it has none.

        All solve the same system, but their machines may round, or choose a solver, differently.

        Args:
            direction: This replica's solution, shape [N].
            example: The right-hand side; gives shape, dtype and device.

        Cost: one broadcast of N numbers.
        """
        shared = torch.cat([torch.zeros_like(example), example.new_zeros(1)])
        if direction is not None:
            shared[:-1] = direction
            shared[-1] = 1.0
        dist.broadcast(shared, group=self.group, group_src=0)
        return shared[:-1] if bool(shared[-1]) else None

    def decide(self, decision: bool) -> bool:
        """Return the first replica's decision on all of them; prices differ between machines."""
        shared = torch.tensor([float(decision)], device=self.device)
        dist.broadcast(shared, group=self.group, group_src=0)
        return bool(shared)

    def largest(self, value: float) -> float:
        """Return the largest of a number over all replicas, the same on each."""
        shared = torch.tensor([value], device=self.device)
        dist.all_reduce(shared, op=dist.ReduceOp.MAX, group=self.group)
        return float(shared)

    def take_first_(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors by the first replica's.

        Cost: a broadcast of each.
        """
        for tensor in tensors:
            shared = tensor.detach().contiguous()
            dist.broadcast(shared, group=self.group, group_src=0)
            tensor.detach().copy_(shared)

    def means(self, *values: float) -> list[float]:
        """Return the means of numbers over the replicas."""
        wide = torch.tensor(values, dtype=torch.float64, device=self.device)
        return self.average_(wide).tolist()

    def average_(self, tensor: Tensor) -> Tensor:
        """Overwrite a contiguous tensor by its mean over the replicas, and return it."""
        dist.all_reduce(tensor, group=self.group)
        return tensor.div_(self.size)


class AveragedOperator(FormedOnce, WrappedOperator):
    """The mean of the replicas' operators; every product is a reduction over all of them.

    Args:
        base: This replica's operator.
        replicas: The processes.

    Cost: products: one reduction of N numbers each; entries: one of N².
    """

    def __init__(self, base: SymmetricOperator, replicas: Replicas) -> None:
        super().__init__(base)
        self._replicas = replicas

    def __matmul__(self, vector: Tensor) -> Tensor:
        """Return A·v for v of shape [N], or A·V for V of shape [N, K]."""
        if self._entries is not None:
            return self._entries @ vector
        return self._replicas.average_((self.base @ vector).contiguous())

    def _form(self) -> Tensor:
        """Return the mean of the entries, bitwise symmetric."""
        entries = self._replicas.average_(self.base.take().contiguous())
        # A reduction may add an entry and its mirror image in different orders.
        return mirror_upper_(entries)
