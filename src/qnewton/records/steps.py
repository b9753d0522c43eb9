"""What happened in one training step, block by block, on two clocks that never mix."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

from qnewton.records.amplitudes import Amplitudes
from qnewton.records.averaged import AveragedRecord
from qnewton.records.damping import DampingRecord
from qnewton.records.deflation import Deflation
from qnewton.records.facts import Definiteness, Estimate, Facts, FormingWork, Treatment
from qnewton.records.outcome import Outcome
from qnewton.records.quotes import Decision

SCHEMA_VERSION = 2
"""Version of the records in a run folder; a folder with a higher one is not read."""

Phase = Literal["first-order", "newton"]
"""What kind of step the optimizer took: along the gradient, or by a Newton system."""


@dataclass(frozen=True, kw_only=True)
class StageSeconds:
    """Seconds of each stage of a step; its two subclasses keep the two clocks apart."""

    forward_backward: float = 0.0
    curvature: float = 0.0
    treatment: float = 0.0
    survey: float = 0.0
    solve: float = 0.0
    update: float = 0.0

    @property
    def total(self) -> float:
        """Sum of the stages."""
        return sum(getattr(self, field.name) for field in fields(self))


class MeasuredSeconds(StageSeconds):
    """Wall-clock seconds this machine spent on each stage of a step."""


class ModelledSeconds(StageSeconds):
    """Seconds a price model says each stage takes on the machines it names."""


@dataclass(frozen=True, kw_only=True)
class CurvatureRecord:
    """How a block's curvature was obtained.

    Attributes:
        kind: ``hessian``, ``ggn`` or ``fisher``.
        route: ``closed-form``; ``mixed``, closed form but for some rows; ``sample-space``;
            ``jacobian``; or ``generic``.
        reason: Why that route: what the probe found, or what rules the other out.
        forming_flops: Floating-point operations to form the dense block.
        product_flops: Those of one product; ``None`` where there is a factor.
        product_operations: Operations of the graph that a product by double backward passes
            through; ``None`` where a product takes none.
        forming_rows: Rows that forming differentiates by double backward, 32 in a batch.
        forming_rows_flops: Their share of ``forming_flops``.
        preparing_flops: Operations that the route took before any product or entry: derivatives by
            sample, and the comparison with automatic differentiation.
        preparing_calls: Passes through the graph of the loss that those were done in.
        batch: Samples the loss averaged over; ``None`` when nothing tells.
        no_squares: Why the loss was not taken as a sum of squares; ``None`` where it was, or
            where nobody looked.
    """

    kind: str
    route: str
    reason: str
    forming_flops: float | None = None
    product_flops: float | None = None
    product_operations: int | None = None
    forming_rows: int = 0
    forming_rows_flops: float = 0.0
    preparing_flops: float = 0.0
    preparing_calls: int = 0
    batch: int | None = None
    no_squares: str | None = None

    @property
    def forming(self) -> FormingWork | None:
        """What forming the dense block takes; ``None`` where nobody counted."""
        if self.forming_flops is None:
            return None
        return FormingWork(
            flops=self.forming_flops,
            rows=self.forming_rows,
            rows_flops=self.forming_rows_flops,
            row_operations=self.product_operations,
        )


@dataclass(frozen=True, kw_only=True)
class QuantumStats:
    """What the emulated quantum solver reported beside its direction.

    Attributes:
        algorithm: ``qsvt``, ``dalzell``, ``hhl`` or ``costa``.
        success_probability: Of one attempt.
        queries: Calls to the block-encoding in one attempt.
        expected_queries: Calls until success.
        degree: Of the polynomial.
        alpha: Normalisation of the block-encoding.
        kappa: The promise.
        epsilon: The error asked for.
        promise_held: ``None`` when the smallest singular value is not known.
        resolved: Whether it is the output state, not only a solution within the promise.
        readout: How the state was read; ``None`` for the ideal read-out.
        shots: States read; ``None`` for the ideal read-out.
        angle: Angle in radians between the direction taken and the exact solution; ``None`` when
            nobody solved the system exactly.
        execution: What the state came from: ``emulator``, ``circuit`` for the gates of its
            circuit, simulated exactly, or the machine that ran them.
    """

    algorithm: str
    success_probability: float
    queries: int
    expected_queries: float
    degree: int
    alpha: float
    kappa: float
    epsilon: float
    promise_held: bool | None
    resolved: bool
    readout: str | None = None
    shots: int | None = None
    angle: float | None = None
    execution: str = "emulator"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One run of one solver on a block.

    Attributes:
        solver: Its name in the table of solvers.
        outcome: ``SOLVED``, or what failed.
        residual: ‖A x - b‖/‖b‖ against the true operator; ``None`` if there is no x, or nobody
            looked.
        products: Matrix-vector products spent, 0 for a factorisation.
        measured_seconds: Wall-clock seconds; ``None`` where the blocks of a step were not timed
            one by one.
        condition: The condition number that a Krylov solver's own coefficients showed.
        definiteness: What the solver proved of A.
        quantum: The quantum solver's own figures, when it was one.
        raised: The exception that ended it, by its name; ``None`` when it came back.
        detail: The words and numbers beside the outcome; empty where there are none.
        deflation: What was solved classically, where the quantum solver got a deflated matrix.
    """

    solver: str
    outcome: Outcome
    residual: float | None
    products: int
    measured_seconds: float | None
    condition: Estimate | None = None
    definiteness: Definiteness | None = None
    quantum: QuantumStats | None = None
    raised: str | None = None
    detail: str = ""
    deflation: Deflation | None = None

    def describe(self) -> str:
        """Return the outcome with its detail, as people read it."""
        return self.outcome.describe(self.detail)


@dataclass(frozen=True, kw_only=True)
class BlockRecord:
    """One block of a step: its curvature, facts, decision, and what came of it.

    Attributes:
        name: The block's name.
        n: Its unknowns.
        curvature: How its matrix was obtained.
        treatment: What was done to it.
        facts: What was measured.
        decision: Which solver was chosen.
        attempts: What was tried.
        first_order: Why the block took the direction -g in a Newton step; ``None`` if it did not.
        rescaled_by: The factor its direction took for what blocks have in common; ``None`` where
            nothing was rescaled.
        amplitudes: The shape of the direction, which shots that read it depend on; ``None`` where
            there is none, or no quantum machine is priced.
        solution_gain: ‖x‖·‖A‖₂/‖b‖ of the direction x, 1 at least; ``None`` where there is none,
            ‖A‖₂ was not measured, or no quantum machine is priced.
    """

    name: str
    n: int
    curvature: CurvatureRecord
    treatment: Treatment
    facts: Facts
    decision: Decision
    attempts: tuple[Attempt, ...]
    first_order: str | None = None
    rescaled_by: float | None = None
    amplitudes: Amplitudes | None = None
    solution_gain: float | None = None

    def __str__(self) -> str:
        """Return one line: name, unknowns, λ, who solved it or why nobody did, seconds."""
        parts = [
            f"block {self.name} of {self.n:,} unknowns",
            _strengths([self]),
            self.solver or f"first-order: {self.first_order or self._described()}",
        ]
        if self.attempts:
            if self.attempts[-1].residual is not None:
                parts.append(f"residual {self.attempts[-1].residual:.2g}")
            known = [a.measured_seconds for a in self.attempts if a.measured_seconds is not None]
            parts.append(f"{math.fsum(known):.3g} s measured" if known else "")
        return _one_line(parts)

    def _described(self) -> str:
        return self.attempts[-1].describe() if self.attempts else self.outcome.describe()

    @property
    def outcome(self) -> Outcome:
        """Outcome of the last attempt."""
        return self.attempts[-1].outcome if self.attempts else Outcome.NOT_TRIED

    @property
    def solver(self) -> str | None:
        """The solver whose direction was used; ``None`` when none succeeded."""
        last = self.attempts[-1] if self.attempts else None
        return last.solver if last is not None and last.outcome is Outcome.SOLVED else None


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """One optimizer step.

    Attributes:
        step: Counted from 0.
        phase: ``first-order`` (warm-up or fallback) or ``newton``.
        loss: Loss on the step's batch before the update.
        gradient_norm: ‖g‖₂ over all parameters; ``None`` if the loss depends on none of them.
        step_norm: ‖β·x‖₂ of the update applied; 0 when skipped.
        decay_norm: ‖β·w·θ‖₂ that weight decay took off the parameters, beside the step.
        cosine: Cosine between the update and -g; ``None`` when skipped.
        skipped: Why nothing was changed; ``None`` when the update was applied.
        held: Whether a step was skipped because every lr was 0, so that nothing was to move.
        reason: Why a first-order step was taken, where it was.
        forward_backward_flops: Operations of one forward and backward pass, as priced; of an
            averaged step, those of the last graph that was seen.
        graph_operations: Operations in the graph of the loss, as priced; likewise. ``None``
            without a graph.
        parameters: Number of trainable parameters.
        blocks: One record per block; empty in first-order steps.
        abandoned: Records of the systems that the step solved beside those of its direction: given
            up, for they met negative curvature or the loss refused the step, or solved to bend it.
            What was tried on them counts into the step's price.
        first_order_blocks: Blocks too large for a system, which took -g in a Newton step.
        newton_share: Share of the trainable parameters in blocks with a system; ``None`` in
            first-order steps.
        damping: How the step was judged; ``None`` where λ is fixed.
        averaged: How the step found its length where data change from step to step.
        measured: Wall-clock seconds by stage.
        modelled: Modelled seconds by stage under the policy that ran, when priced.
    """

    step: int
    phase: Phase
    loss: float
    gradient_norm: float | None
    step_norm: float
    cosine: float | None
    parameters: int
    measured: MeasuredSeconds
    modelled: ModelledSeconds | None = None
    skipped: str | None = None
    reason: str | None = None
    forward_backward_flops: float | None = None
    graph_operations: int | None = None
    blocks: tuple[BlockRecord, ...] = ()
    abandoned: tuple[BlockRecord, ...] = ()
    first_order_blocks: tuple[str, ...] = ()
    newton_share: float | None = None
    damping: DampingRecord | None = None
    decay_norm: float = 0.0
    held: bool = False
    averaged: AveragedRecord | None = None

    def __str__(self) -> str:
        """Return one line: step, loss, λ, ρ, solvers, seconds, why it fell back or was skipped.

        Everything else is in the fields; ``repr`` has them all.

        Example:
            >>> str(StepRecord(step=3, phase="newton", loss=math.nan, gradient_norm=None,
            ...                step_norm=0.0, cosine=None, parameters=10,
            ...                measured=MeasuredSeconds(update=0.25), skipped="the loss is nan"))
            'step 3: loss nan, newton, 0.25 s measured, skipped: the loss is nan'
        """
        damping = self.damping
        strengths = f"λ {damping.strength:.3g}" if damping else _strengths(self.blocks)
        ratio = ""
        if damping is not None:
            ratio = "ρ unknown" if damping.ratio is None else f"ρ {damping.ratio:.3g}"
        length = "" if self.averaged is None else f"length {self.averaged.length:.3g}"
        parts = [
            f"loss {self.loss:.6g}",
            length,
            strengths,
            ratio,
            self._solved_by(),
            f"{self.measured.total:.3g} s measured",
            f"fell back to -g: {damping.failure}" if damping and damping.failure else "",
            f"skipped: {self.skipped}" if self.skipped else "",
        ]
        return f"step {self.step}: {_one_line(parts)}"

    def _solved_by(self) -> str:
        """Return who gave the directions, with how many blocks each."""
        if not self.blocks:
            return f"{self.phase} ({self.reason})" if self.reason else self.phase
        if len(self.solvers) == 1 and len(self.blocks) == 1:
            return next(iter(self.solvers))
        return " + ".join(f"{name} {count}×" for name, count in self.solvers.items())

    @property
    def solvers(self) -> Counter[str]:
        """Solvers with the number of blocks whose directions they gave; ``first-order`` for -g."""
        names = (block.solver or "first-order" for block in self.blocks)
        return Counter([*names, *("first-order" for _ in self.first_order_blocks)])

    @property
    def met_negative_curvature(self) -> bool:
        """Whether it solved more than once, or decomposed a block, to turn it into descent."""
        return self.damping is not None and self.damping.negative_curvature is not None

    @property
    def has_unpriced_work(self) -> bool:
        """Whether it did work that no quote prices.

        An older record of a step that met negative curvature does not say what was given up; one
        that fell back to the gradient may have ended in an error; and a solver outside the
        table has no quote.
        """
        damping = self.damping
        fell_back = damping is not None and damping.failure is not None
        untold = damping is None or damping.survey_products is None
        ran = ((b.decision, attempt.solver) for b in self.blocks for attempt in b.attempts)
        unpriced = any(decision.quote(solver) is None for decision, solver in ran)
        return (self.met_negative_curvature and untold) or fell_back or unpriced


def _strengths(blocks: Sequence[BlockRecord]) -> str:
    """Return the λ of the blocks, or its range; empty without blocks."""
    if not blocks:
        return ""
    known = [block.treatment.damping for block in blocks]
    low, high = f"{min(known):.3g}", f"{max(known):.3g}"
    return f"λ {low}" if low == high else f"λ {low} to {high}"


def _one_line(parts: Sequence[str]) -> str:
    return " ".join(", ".join(part for part in parts if part).split())


@dataclass(frozen=True, kw_only=True)
class MetricRecord:
    """An evaluation after ``step`` updates."""

    step: int
    test_loss: float
    test_accuracy: float
    measured_seconds: float
    modelled_seconds: float | None
