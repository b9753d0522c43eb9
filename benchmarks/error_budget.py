"""Does a solution state keep to ε with every error injected that the audited price allows?

Systems of all kinds are solved by each emulated algorithm at the share of ε that its price has,
with entries of A, b and rotations off by as much as the budget lets them: in drawn directions, and
in the direction that does the most harm. No timing.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.harness import Report, Row, Say, reached
from qnewton.cost import ErrorBudget
from qnewton.cost.budget import WIDENED, split_grid
from qnewton.queries import CircuitErrors
from qnewton.solvers.quantum import ALGORITHMS, Readout, emulate

SIZES = (16,) * 60 + (48,) * 60 + (128,) * 50 + (256,) * 20 + (512,) * 6 + (1024,) * 2 + (4096,) * 2
READ_TO = 0.2
"""The read-out's own tolerance, which comes on top of ε."""


@dataclass(frozen=True)
class Case:
    """A system whose spectrum and solution are known.

    Attributes:
        matrix: A = H·diag(λ)·H for a reflection H, float64, shape [N, N].
        rhs: b, of unit length.
        exact: x/‖x‖.
        length: ‖x‖.
        weakest: The eigenvector of the smallest |λ|.
        alpha: α, above ‖A‖₂ = 1.
        kappa: κ_be = α/σ_min.
        epsilon: ε.
    """

    matrix: Tensor
    rhs: Tensor
    exact: Tensor
    length: float
    weakest: Tensor
    alpha: float
    kappa: float
    epsilon: float


def case(n: int, seed: int) -> Case:
    """Return a random system: its spectrum, signs, right-hand side, α and ε are drawn."""
    generator = np.random.default_rng(seed)
    kappa = 10 ** generator.uniform(0.3, 2.3)
    spread = np.sort(generator.uniform(0.0, 1.0, n))
    spread[0], spread[-1] = 0.0, 1.0
    if generator.random() < 0.3:
        spread = np.round(spread)  # two clusters
    values = kappa**-spread
    if generator.random() < 0.5:
        values = values * generator.choice([-1.0, 1.0], n)
    weights = generator.normal(size=n) * np.abs(values) ** generator.choice([0.0, 0.5, 1.0])
    if generator.random() < 0.3:
        weights = np.eye(n)[0]  # along the largest eigenvector, where the solution gains nothing
    weights = weights / np.linalg.norm(weights)
    h = generator.normal(size=n)
    h = torch.as_tensor(h / np.linalg.norm(h))

    def turned(vector: np.ndarray) -> Tensor:
        column = torch.as_tensor(vector)
        return column - 2.0 * h * torch.dot(h, column)

    spectrum = torch.as_tensor(values)
    across = 2.0 * torch.outer(h, spectrum * h - h * torch.dot(h, spectrum * h))
    matrix = torch.diag(spectrum) - across - across.mT
    x = turned(weights / values)
    alpha = float(generator.uniform(1.02, 3.0))
    return Case(
        matrix=(matrix + matrix.mT) / 2.0,
        rhs=turned(weights),
        exact=x / x.norm(),
        length=float(x.norm()),
        weakest=turned(np.eye(n)[-1]),
        alpha=alpha,
        kappa=alpha * float(1.0 / np.abs(values).min()),
        epsilon=float(10 ** generator.uniform(-3.0, -0.7)),
    )


@dataclass(frozen=True)
class Outcome:
    """What one algorithm left of one system, errors over ε.

    Attributes:
        algorithm: Which.
        alone: Without injected errors.
        drawn: With errors in drawn directions.
        harmful: With errors of A and b in the direction that does the most harm.
        read: Error of the vector that was read, over ε and the read-out's tolerance.
    """

    algorithm: str
    alone: float
    drawn: float
    harmful: float
    read: float


def injected(system: Case, algorithm: str, seed: int = 0) -> Outcome:
    """Solve a system by one algorithm with all errors of its budget."""
    splits = split_grid(False)
    budget = ErrorBudget.of(system.epsilon, splits[seed % len(splits)])
    solver = float(budget.relative if algorithm == "qsvt" else budget.solver)
    # The matrix that is encoded has a κ_be of as much at most.
    asked = (algorithm, solver, system.alpha * 1.01, system.kappa * WIDENED * 1.01)
    eigen = len(system.rhs) <= (256 if algorithm == "dalzell" else 512)
    mode = "eigen" if eigen else "auto"
    alone = emulate(system.matrix, system.rhs, *asked, mode=mode)
    queries = alone.queries / math.sqrt(alone.success_probability)
    errors = CircuitErrors.within(budget, system.kappa, queries, seed)
    readout = Readout(tolerance=READ_TO, seed=seed)
    drawn = emulate(system.matrix, system.rhs, *asked, mode=mode, errors=errors, readout=readout)
    assert drawn.measurement is not None
    turned = CircuitErrors(rotations=errors.rotations, seed=seed)
    matrix, rhs = _harmed(system, errors)
    harmful = emulate(matrix, rhs, *asked, mode=mode, errors=turned)

    def error(state: Tensor) -> float:
        return float((state - system.exact).norm())

    return Outcome(
        algorithm=algorithm,
        alone=error(alone.state) / system.epsilon,
        drawn=error(drawn.state) / system.epsilon,
        harmful=error(harmful.state) / system.epsilon,
        read=error(drawn.measurement.vector) / (system.epsilon + READ_TO),
    )


def _harmed(system: Case, errors: CircuitErrors) -> tuple[Tensor, Tensor]:
    """Return A + E and b + δ, where E·x/‖x‖ and δ lie along the weakest eigenvector."""
    # 1 - 2hhᵀ exchanges x/‖x‖ and -v, and is its own inverse: its norm is 1.
    h = system.exact + system.weakest
    exchanged = torch.eye(len(h), dtype=torch.float64)
    if float(h.norm()) > 1e-6:
        exchanged -= 2.0 * torch.outer(h, h) / float(h @ h)
    rhs = system.rhs + errors.rhs * system.weakest
    return system.matrix + system.alpha * errors.entries * exchanged, rhs / rhs.norm()


def outcomes(sizes: Sequence[int], say: Say) -> Iterator[Outcome]:
    """Solve a system of each size by every algorithm."""
    for seed, n in enumerate(sizes):
        if seed % 20 == 0 or n > 512:
            say(f"system {seed + 1} of {len(sizes)}, N = {n:,}")
        system = case(n, seed)
        for algorithm in ALGORITHMS:
            yield injected(system, algorithm, seed)


def measure(say: Say) -> Report:
    """Solve 200 systems by every algorithm with every error that the price allows."""
    return Report("error_budget", rows(list(outcomes(SIZES, say))))


def rows(found: Sequence[Outcome]) -> list[Row]:
    """Return a row for each algorithm and kind of error, and one for the vectors that were read."""
    table = []
    for algorithm in ALGORITHMS:
        mine = [outcome for outcome in found if outcome.algorithm == algorithm]
        for kind in ("alone", "drawn", "harmful"):
            ratios = [getattr(outcome, kind) for outcome in mine]
            title = f"{algorithm}, {_KINDS[kind]}: error/ε of {len(mine)} systems"
            seen = f"median {np.median(ratios):.2f}, worst {max(ratios):.2f}"
            table.append(reached(title, "≤ 1 in every case", seen, max(ratios) <= 1.0))
    read = [outcome.read for outcome in found]
    share = float(np.mean([ratio <= 1.0 for ratio in read]))
    title = f"vectors read with all errors: error/(ε + {READ_TO})"
    seen = f"{share:.1%}; median {np.median(read):.2f}, worst {max(read):.2f}"
    table.append(reached(title, "≤ 1 in 95% of cases", seen, share >= 0.95))
    return table


_KINDS = {
    "alone": "the solver's own error",
    "drawn": "all errors, drawn",
    "harmful": "all errors, A's and b's where they harm most",
}
