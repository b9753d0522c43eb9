"""What steps leave for later ones: named fields over the flat numbers of the state."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Any, Generic, TypeVar, overload

import torch
from torch import Tensor

from qnewton.cost.solvers import direct_solvers
from qnewton.optimizer.length_rule import LengthState
from qnewton.records import (
    Amplitudes,
    BlockRecord,
    Definiteness,
    Earlier,
    Estimate,
    KrylovHistory,
    Spectrum,
)
from qnewton.scheduler.history import facts_left
from qnewton.scheduler.policy import POLICIES

_LOOK_AGAIN = 10
"""Steps after which a try that failed, or signs that were found, are not believed any more."""

_COUNTS = tuple(field.name for field in fields(KrylovHistory))
_PLAIN = ("row_sparsity", "max_abs", "norm", "frobenius", "undamped_trace")
_ESTIMATES = {"condition": "lanczos", "determinant": "determinant", "trace": "trace"}
"""Estimates of a survey, each with the method that it has unless it is exact."""

MOMENTUM = "momentum"
"""What a parameter's own tensor is called in the state: how the last step moved it, at lr 1."""

COLUMNS = "largest_columns"
"""The same for the largest norms so far of the Jacobian's columns."""

MOVED = "last_move"
"""The same for how the last step of an averaged direction moved it, per length."""

OWN_TENSORS = (
    MOMENTUM,
    COLUMNS,
    MOVED,
    "mean_gradient",
    "mean_square",
    "left_factor",
    "left_basis",
    "right_factor",
    "right_basis",
)
"""All that a parameter may have of its own in the state."""

_ENDS = ("value", "low", "high", "log_value", "products")
_LENGTH = {f"length.{field.name}": field.name for field in fields(LengthState)}
_SIGNS: dict[Definiteness | None, int] = {"positive": 1, "indefinite": -1, None: 0}

T = TypeVar("T")


class _Number(Generic[T]):
    """A field that is kept under its own name, with what it is as a run begins."""

    def __init__(self, first: T) -> None:
        self._first = first

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, memory: None, owner: type) -> "_Number[T]": ...
    @overload
    def __get__(self, memory: "Memory", owner: type) -> T: ...
    def __get__(self, memory: "Memory | None", owner: type) -> "T | _Number[T]":
        return self if memory is None else memory.numbers.get(self._name, self._first)

    def __set__(self, memory: "Memory", value: T) -> None:
        memory.numbers[self._name] = value


class Memory:
    """What earlier steps left.

    The optimizer's state is a flat dictionary of plain numbers, since distributed checkpoints keep
    nothing else but tensors. All of its names are given here, and in the curvature's memory of its
    routes.

    Args:
        numbers: The optimizer's state.
        survey_every: Steps from one survey to the next.
        tensors: By name, what parameters have of their own, each of its parameter's shape.

    Attributes:
        step: The present step.
        newton: Whether the Newton phase has begun.
        damping: λ; ``None`` before the first step that sets it.
        radius: Δ.
        usual_gradient: The usual ‖g‖.
        exact_from: The step from which the Hessian is looked at again, after a saddle.
        exact_wait: How many steps the last wait was.
        saddle_from: The step from which a stationary point is looked at again.
        settled: How many steps in a row changed the loss by no more than its rounding.
        rests_at: The loss whose steps have nothing left to try; ``None`` while they have.
        rests_slope: ‖g‖ there.
        rests_lr: The length of all lr there.
        slow: How many Gauss-Newton steps in a row promised next to nothing of the loss.
        same: How often in a row the loss at the same parameters was the same, at most 2; below 0,
            how often it was another, since data change from step to step.
        squares: How many squares the loss was the sum of at first, 0 for other losses.
        judges: Whether a step's own batch may judge it where data change.
        promised: By how much the last of such steps was to lower the loss.
        brought: Which share of it the next batches saw, averaged.
        left: The loss of the last step's batch where it left the parameters, if known.
        pass_flops: Operations of a forward and backward pass, of the last graph that was seen.
        pass_operations: Operations in that graph.
        agreed: How many measurements in a row found that a closure leaves the loss's own gradient.
        announced: Whether a slow solve was announced.
    """

    step = _Number(0)
    newton = _Number(False)
    damping = _Number[float | None](None)
    radius = _Number(1.0)
    usual_gradient = _Number(0.0)
    exact_from = _Number(0)
    exact_wait = _Number(1)
    saddle_from = _Number(0)
    settled = _Number(0)
    rests_at = _Number[float | None](None)
    rests_slope = _Number(0.0)
    rests_lr = _Number(0.0)
    slow = _Number(0)
    same = _Number(0)
    squares = _Number[int | None](None)
    judges = _Number(False)
    promised = _Number[float | None](None)
    brought = _Number(1.0)
    left = _Number[float | None](None)
    pass_flops = _Number[float | None](None)
    pass_operations = _Number[int | None](None)
    agreed = _Number(0)
    announced = _Number(False)

    @property
    def states(self) -> tuple[dict[str, Any], ...]:
        """All that a step may change of it."""
        return self.numbers, self._tensors

    @property
    def strength(self) -> float:
        """λ, once a step has set it."""
        assert self.damping is not None
        return float(self.damping)

    @property
    def length(self) -> LengthState:
        """What averaged steps know of their length."""
        if self._length is None:
            known = self.numbers
            found = {name: known[key] for key, name in _LENGTH.items() if key in known}
            self._length = LengthState(**found)
        return self._length

    @length.setter
    def length(self, state: LengthState) -> None:
        self._length = state
        self._store("length", vars(state))

    def __init__(
        self,
        numbers: dict[str, Any],
        survey_every: int = 1,
        tensors: dict[str, dict[Tensor, Tensor]] | None = None,
    ) -> None:
        self.numbers = numbers
        self._survey_every = survey_every
        self._tensors = {} if tensors is None else tensors
        self._length: LengthState | None = None

    def vector(self, name: str, parameters: Sequence[Tensor]) -> Tensor | None:
        """Return what steps kept under a name, shape [N]; ``None`` if a parameter has nothing."""
        known = self._tensors.get(name, {})
        if not all(parameter in known for parameter in parameters):
            return None
        return torch.cat([known[p].to(p).flatten() for p in parameters])

    def keep_vector(self, name: str, parameters: Sequence[Tensor], values: Tensor) -> None:
        """Keep a vector of shape [N], each parameter's piece under the parameter."""
        pieces = values.split([parameter.numel() for parameter in parameters])
        pairs = zip(parameters, pieces, strict=True)
        kept = {p: piece.to(p).view_as(p).clone() for p, piece in pairs}
        self._tensors[name] = self._tensors.get(name, {}) | kept

    def own(self, name: str) -> dict[Tensor, Tensor]:
        """Return the tensors of one name by their parameters, which the caller may change."""
        return self._tensors.setdefault(name, {})

    def earlier(self, block: str) -> Earlier | None:
        """Return what the last solve of a block left; every tenth step forgets what did not work.

        Example:
            >>> memory = Memory({"step": 4, "full.step": 3, "full.cg_products": 12})
            >>> memory.earlier("full").cg.products, memory.earlier("0")
            (12, None)
        """
        known = self._of(block, "step")
        if known is None:
            return None
        cg, minres, pcg = (
            KrylovHistory(**{name: self._of(block, f"{family}_{name}") for name in _COUNTS})
            for family in ("cg", "minres", "pcg")
        )
        step, tolerance = int(known), self._of(block, "tolerance")
        if self.step % _LOOK_AGAIN == 0:
            cg, minres, pcg = (KrylovHistory(products=h.products) for h in (cg, minres, pcg))
            return Earlier(step=step, tolerance=tolerance, cg=cg, minres=minres, pcg=pcg)
        return Earlier(
            step=step,
            tolerance=tolerance,
            cg=cg,
            minres=minres,
            pcg=pcg,
            definiteness=self._signs(block, "definiteness"),
            failed=tuple(name for name in direct_solvers() if self._of(block, f"failed.{name}")),
            envelope=self._of(block, "envelope"),
            condition_seen=self._of(block, "condition_seen"),
        )

    def surveyed(self, block: str) -> Spectrum | None:
        """Return what a survey of a block found that is recent enough, if there is one.

        Example:
            >>> numbers = {"step": 5, "full.surveyed": 4, "full.row_sparsity": 3}
            >>> Memory(numbers, survey_every=2).surveyed("full").row_sparsity
            3
            >>> Memory(numbers, survey_every=1).surveyed("full")
        """
        at = self._of(block, "surveyed")
        if at is None or at < self.step - self._survey_every + 1:
            return None
        condition, *bounds = (self._estimate(block, name) for name in _ESTIMATES)
        plain: dict[str, Any] = {name: self._of(block, name) for name in _PLAIN}
        return Spectrum(
            condition=condition,
            bounds=tuple(bound for bound in bounds if bound is not None),
            definiteness=self._signs(block, "surveyed_definiteness"),
            largest=tuple(
                self._of(block, f"largest.{i}") for i in range(int(self._of(block, "largest") or 0))
            ),
            measured_at=int(at),
            **plain,
        )

    def solution_gain(self, block: str) -> float | None:
        """Return the gain of the block's last direction; see :class:`~qnewton.records.Facts`."""
        return self._of(block, "solution_gain")

    def amplitudes(self, block: str) -> Amplitudes | None:
        """Return the shape of the block's last direction, if there was one.

        Example:
            >>> memory = Memory({"0.amplitudes": 1, "0.amplitudes.0.square": 0.25,
            ...                  "0.amplitudes.0.count": 4})
            >>> memory.amplitudes("0").n
            4
        """
        groups = range(int(self._of(block, "amplitudes") or 0))
        squares = tuple(self._of(block, f"amplitudes.{i}.square") for i in groups)
        counts = tuple(int(self._of(block, f"amplitudes.{i}.count")) for i in groups)
        return Amplitudes(squares=squares, counts=counts) if squares else None

    def keep(self, blocks: Iterable[BlockRecord], tolerance: float, measured: bool) -> None:
        """Keep what the blocks' surveys and solves found.

        Args:
            blocks: Their records.
            tolerance: Relative residual that the solvers were asked for.
            measured: Whether their facts were surveyed.
        """
        for record in blocks:
            if measured and record.facts.spectrum.measured_at is None and self._survey_every > 1:
                self._keep_survey(record)
            if record.amplitudes is not None:
                self._keep_amplitudes(record.name, record.amplitudes)
            if record.solution_gain is not None:
                self._store(record.name, {"solution_gain": record.solution_gain})
            if record.attempts and not POLICIES.get(record.decision.policy).needs_entries:
                self._keep_solve(record, tolerance)

    def _keep_solve(self, record: BlockRecord, tolerance: float) -> None:
        left = facts_left(record, self.step, tolerance, self.earlier(record.name))
        self._store(
            record.name,
            {f"cg_{name}": count for name, count in vars(left.cg).items()}
            | {f"minres_{name}": count for name, count in vars(left.minres).items()}
            | {f"pcg_{name}": count for name, count in vars(left.pcg).items()}
            | {f"failed.{name}": (name in left.failed) or None for name in direct_solvers()}
            | {
                "envelope": left.envelope,
                "condition_seen": left.condition_seen,
                "step": self.step,
                "tolerance": left.tolerance,
                "definiteness": _SIGNS[left.definiteness],
            },
        )

    def _keep_amplitudes(self, block: str, found: Amplitudes) -> None:
        values: dict[str, float] = {"amplitudes": len(found.counts)}
        for i, (square, count) in enumerate(zip(found.squares, found.counts, strict=True)):
            values |= {f"amplitudes.{i}.square": square, f"amplitudes.{i}.count": count}
        self._store(block, values)

    def _keep_survey(self, record: BlockRecord) -> None:
        found = record.facts.spectrum
        values: dict[str, Any] = {
            "surveyed": self.step,
            "n": record.facts.n,
            "surveyed_definiteness": _SIGNS[found.definiteness],
        }
        values |= {name: getattr(found, name) for name in _PLAIN}
        values |= {"largest": len(found.largest)}
        values |= {f"largest.{i}": size for i, size in enumerate(found.largest)}
        for name in _ESTIMATES:
            estimate = found.condition if name == "condition" else found.bound(name)
            known = {} if estimate is None else vars(estimate)
            values |= {f"{name}.{end}": known.get(end) for end in _ENDS}
            values[f"{name}.exact"] = known.get("method") == "exact" or None
        self._store(record.name, values)

    def _estimate(self, block: str, name: str) -> Estimate | None:
        ends = {end: self._of(block, f"{name}.{end}") for end in _ENDS}
        if ends["products"] is None:
            return None
        method = "exact" if self._of(block, f"{name}.exact") else _ESTIMATES[name]
        return Estimate(**ends | {"products": int(ends["products"]), "method": method})

    def _signs(self, block: str, name: str) -> Definiteness | None:
        kept = int(self._of(block, name) or 0)
        return next(signs for signs, number in _SIGNS.items() if number == kept)

    def _of(self, block: str, name: str) -> Any:
        return self.numbers.get(f"{block}.{name}")

    def _store(self, block: str, values: dict[str, Any]) -> None:
        for name, value in values.items():
            if value is None:
                self.numbers.pop(f"{block}.{name}", None)
            else:
                self.numbers[f"{block}.{name}"] = value
