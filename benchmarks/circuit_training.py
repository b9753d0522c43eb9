"""What do circuits, shots and a machine's noise do to Newton's steps?

The same networks are trained by the emulator and by the circuits of QSVT: directions beside each
other, then shots drawn from the circuits, then the noise of a machine's model. Blocks have 2 to 16
unknowns, and no time is measured.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.harness import Report, Row, Say, reached
from qnewton import QNewton, Quantum
from qnewton.solvers.quantum import Readout
from qnewton.workloads import load_workload

MACHINE = "fake_sherbrooke"
SHOTS = (100, 1_000, 10_000, 100_000)
NOISY_SHOTS = 4_000
DAMPINGS = (1.0, 0.3, 0.1)
STEPS, NOISY_STEPS = 20, 6
_SAME = 1e-8


@dataclass(frozen=True)
class Trained:
    """One training run through the quantum solver.

    Attributes:
        losses: Before every step.
        angles: From each direction to the exact solution, in radians, of every system.
        queries: Calls of U_A in one attempt, of every system.
        refused: Steps of which a system was too hard for the circuit, and went to the next solver.
        directions: What was stepped along, of every system.
    """

    losses: list[float]
    angles: list[float]
    queries: list[int]
    refused: list[int]
    directions: list[Tensor]

    @property
    def angle(self) -> float:
        """The median angle."""
        return statistics.median(self.angles)

    def fact(self) -> dict[str, Any]:
        """Return what is kept in the results."""
        kept = ("losses", "angles", "queries", "refused")
        return {name: getattr(self, name) for name in kept}


@dataclass(frozen=True)
class Problem:
    """What is trained.

    Attributes:
        model: Makes the untrained network.
        loss: Its loss.
        damping: λ.
        lr: β.
        steps: How many steps are taken.
        epsilon: ε.
    """

    model: Callable[[], nn.Module]
    loss: Callable[[nn.Module], Tensor]
    damping: float
    lr: float
    steps: int
    epsilon: float

    def trained(self, execute: str, readout: Readout | None = None) -> Trained:
        """Train with the quantum solver alone, block by tensor."""
        model = self.model()
        quantum = Quantum("attosecond", epsilon=self.epsilon, readout=readout, execute=execute)
        optimizer = QNewton(
            model,
            lr=self.lr,
            damping=self.damping,
            curvature="hessian",
            blocks="tensor",
            policy="quantum-only",
            quantum=quantum,
        )
        directions: list[Tensor] = []
        optimizer.register_solution_hook(lambda *found: directions.append(found[-1].clone()))
        losses = [float(optimizer.step(lambda: self.loss(model))) for _ in range(self.steps)]
        blocks = [(record.step, block) for record in optimizer.records for block in record.blocks]
        figures = [block.attempts[0].quantum for _, block in blocks]
        known = [found for found in figures if found is not None]
        angles = [math.nan if found.angle is None else found.angle for found in known]
        refused = [step for step, block in blocks if block.attempts[0].quantum is None]
        return Trained(losses, angles, [found.queries for found in known], refused, directions)


def toy() -> Problem:
    """Return a 4-4-2 tanh network: blocks of 16, 4, 8 and 2 unknowns."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(64, 4, generator=generator, dtype=torch.float64)
    targets = (inputs[:, 0] * inputs[:, 1] > 0).long()

    def model() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2)).double()

    return Problem(model, lambda m: cross_entropy(m(inputs), targets), 0.3, 1.0, STEPS, 1e-10)


def digits() -> Problem:
    """Return three digits behind a random projection: blocks of 15, 3, 9 and 3 unknowns."""
    workload = load_workload("projected-digits", seed=0)

    def loss(model: nn.Module) -> Tensor:
        return workload.loss(model(workload.train_inputs), workload.train_targets)

    return Problem(lambda: workload.build_model(0), loss, 1.0, workload.newton_lr, STEPS, 1e-10)


def lines(unknowns: int, damping: float) -> Problem:
    """Return a linear classifier of two digits on two random directions: 2 or 4 unknowns."""
    workload = load_workload("projected-digits", seed=0)
    kept = workload.train_targets < 2
    inputs, targets = workload.train_inputs[kept, :2], workload.train_targets[kept]

    def model() -> nn.Module:
        torch.manual_seed(0)
        return nn.Linear(2, unknowns // 2, bias=False).double()

    def loss(classifier: nn.Module) -> Tensor:
        scores = classifier(inputs)
        if unknowns == 2:  # one score; the other is 0
            scores = torch.cat([torch.zeros_like(scores), scores], dim=1)
        return cross_entropy(scores, targets)

    return Problem(model, loss, damping, 1.0, NOISY_STEPS, 0.1)


def measure(say: Say) -> Report:
    """Train everything, and put the runs side by side."""
    rows: list[Row] = []
    facts: dict[str, Any] = {}
    for title, problem in (("4-4-2 network", toy()), ("projected digits", digits())):
        emulated, executed = (problem.trained(each) for each in ("emulator", "circuit"))
        worst = largest_difference(emulated.directions, executed.directions)
        say(f"{title}: {worst:.1e}")
        question = f"{title}, {STEPS} steps: directions by circuits beside the emulator's"
        rows.append(reached(question, f"≤ {_SAME:g}", f"{worst:.1e}", worst <= _SAME))
        facts[title] = executed.fact()
    rows += _shots(facts, say) + _noise(facts, say)
    return Report("circuit_training", rows, facts=facts)


def largest_difference(ones: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    """Return the largest ‖x' - x‖/‖x‖."""
    pairs = zip(ones, others, strict=True)
    return max(float((a - b).norm() / a.norm()) for a, b in pairs)


def _shots(facts: dict[str, Any], say: Say) -> list[Row]:
    problem = replace(digits(), epsilon=1e-4)
    exact = problem.trained("circuit")
    facts["shots"] = {"exact": exact.fact()}
    rows = []
    for shots in SHOTS:
        found = problem.trained("circuit", Readout(shots=shots))
        say(f"{shots:,} shots: {found.angle:.3g} rad, loss {found.losses[-1]:.4f}")
        facts["shots"][str(shots)] = found.fact()
        rows.append(
            _told(
                f"projected digits, {shots:,} shots per system: median angle, loss after "
                f"{STEPS - 1} steps (exact {exact.losses[-1]:.4f})",
                f"{found.angle:.2g} rad, {found.losses[-1]:.4f}",
            )
        )
    return rows


def _noise(facts: dict[str, Any], say: Say) -> list[Row]:
    facts["noise"] = []
    rows = []
    for unknowns in (2, 4):
        for damping in DAMPINGS:
            problem = lines(unknowns, damping)
            readout = Readout(shots=NOISY_SHOTS)
            exact = problem.trained("circuit")
            shots, noisy = (problem.trained(each, readout) for each in ("circuit", MACHINE))
            title = f"{unknowns} unknowns, λ = {damping:g}, at most {max(exact.queries)} queries"
            say(f"{title}: {shots.angle:.3g} and {noisy.angle:.3g} rad")
            runs = {"exact": exact.fact(), "shots": shots.fact(), "noise": noisy.fact()}
            facts["noise"].append({"unknowns": unknowns, "damping": damping, **runs})
            rows.append(
                _told(
                    f"{title}: median angle by {NOISY_SHOTS:,} shots, and with the noise of "
                    f"{MACHINE}; loss after {NOISY_STEPS - 1} steps, exact, and both; systems of "
                    "the last that were too hard, and were solved by LU",
                    f"{shots.angle:.2g}, {noisy.angle:.2g} rad; {exact.losses[-1]:.3f}, "
                    f"{shots.losses[-1]:.3f}, {noisy.losses[-1]:.3f}; {len(noisy.refused)}",
                )
            )
    return rows


def _told(question: str, measured: str) -> Row:
    """Return a row that only informs."""
    return Row(question, "", measured, "")
