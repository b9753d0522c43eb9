"""Where the quantum price meets that of LU inversion: along κ, along d, and along the gate time."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qnewton.cost import PAPER_EPSILON, break_even_gate_time, lu_inverse_quote, paper_quote
from qnewton.cost.queries import JENNINGS_MIN_KAPPA, jennings_2023
from qnewton.records import Calibration, Estimate, Facts, QuantumHardware, Spectrum

N = 12_544
"""Unknowns of the paper's Fig. 5: the DNN's first weight."""

FIXED_SPARSITY = 1000
FIXED_CONDITION = 1e4

ABSTRACT_N = 10_000
ABSTRACT_CONDITION = 1e4

HIGHEST_CONDITION = 1e30


@dataclass(frozen=True, kw_only=True)
class Crossing:
    """Where a quantum price meets that of LU inversion on N = 12,544.

    Attributes:
        hardware: The quantum machine.
        calibration: The classical machine.
        lu_seconds: Modelled seconds of LU inversion.
        condition_number: κ at d = 1000; ``None`` if there is none from √12 on.
        sparsity: d at κ = 10⁴; ``None`` if there is none from 1 to N.
        cheaper: Who is cheaper where no d is a crossing; ``None`` where one is.
    """

    hardware: QuantumHardware
    calibration: str
    lu_seconds: float
    condition_number: float | None
    sparsity: float | None
    cheaper: str | None


def quantum_seconds(hardware: QuantumHardware, condition_number: float, sparsity: float) -> float:
    """Return the scheduler's own price of the quantum solver at N = 12,544 and ε = 10⁻¹².

    d is a count; between two counts, as a crossing may lie, the count before it and the count
    after it are interpolated (the price is affine in d).
    """
    high = condition_number
    bound = Estimate(value=high, low=None, high=high, method="determinant", products=0)

    def price(d: int) -> float:
        spectrum = Spectrum(bounds=(bound,), row_sparsity=d)
        quote = paper_quote(Facts(n=N, spectrum=spectrum), hardware)
        assert quote.seconds is not None
        return quote.seconds

    below = math.floor(sparsity)
    if below == sparsity:
        return price(below)
    return price(below) + (sparsity - below) * (price(below + 1) - price(below))


def lu_seconds(calibration: Calibration, n: int) -> float:
    """Return C·N³ by a calibration.

    Raises:
        ValueError: If the calibration has no rate of LU inversion.
    """
    quote = lu_inverse_quote(calibration, Facts(n=n))
    if quote.seconds is None:
        raise ValueError(quote.refused)
    return quote.seconds


def crossing(function: Callable[[float], float], level: float, low: float, high: float) -> float:
    """Return x in [low, high] with f(x) = level, for a rising f, by bisection in log x.

    Raises:
        ValueError: If the level is not reached between low and high.

    Example:
        >>> round(crossing(lambda x: x * x, 9.0, 1.0, 100.0), 9)
        3.0
    """
    if not function(low) <= level <= function(high):
        raise ValueError(f"{level:g} is not reached between {low:g} and {high:g}")
    left, right = math.log(low), math.log(high)
    for _ in range(100):
        middle = (left + right) / 2
        if function(math.exp(middle)) < level:
            left = middle
        else:
            right = middle
    return math.exp((left + right) / 2)


def crossings(
    machines: Sequence[QuantumHardware], calibrations: Sequence[Calibration]
) -> list[Crossing]:
    """Return where each quantum machine meets each classical one."""
    return [_meeting(machine, c) for machine in machines for c in calibrations]


def _meeting(machine: QuantumHardware, calibration: Calibration) -> Crossing:
    level = lu_seconds(calibration, N)

    def where(function: Callable[[float], float], low: float, high: float) -> float | None:
        if not function(low) <= level <= function(high):
            return None
        return crossing(function, level, low, high)

    sparsity = where(lambda d: quantum_seconds(machine, FIXED_CONDITION, d), 1.0, float(N))
    cheaper = None
    if sparsity is None:
        dense = quantum_seconds(machine, FIXED_CONDITION, N)
        cheaper = "quantum solver" if dense < level else "LU inversion"
    kappas = (JENNINGS_MIN_KAPPA, HIGHEST_CONDITION)
    return Crossing(
        hardware=machine,
        calibration=calibration.name,
        lu_seconds=level,
        condition_number=where(lambda k: quantum_seconds(machine, k, FIXED_SPARSITY), *kappas),
        sparsity=sparsity,
        cheaper=cheaper,
    )


@dataclass(frozen=True, kw_only=True)
class BreakEven:
    """The gate time at which the abstract's example costs the same on both machines.

    Attributes:
        reading: What the quantum solver is charged for.
        calibration: The classical machine.
        lu_seconds: Modelled seconds of LU inversion at N = 10⁴.
        queries: Expected queries.
        gate_time_s: Their quotient.
    """

    reading: str
    calibration: str
    lu_seconds: float
    queries: float
    gate_time_s: float


def break_evens(calibrations: Sequence[Calibration]) -> list[BreakEven]:
    """Return the break-even of a dense 10⁴ × 10⁴ matrix with κ = 10⁴, in several readings."""
    count = jennings_2023(alpha=float(ABSTRACT_N), kappa=ABSTRACT_CONDITION, epsilon=PAPER_EPSILON)
    readings = {
        "one solve (Algorithm 2)": 1,
        "all N columns of the inverse (Eq. 1)": ABSTRACT_N,
        "one solve, α counted twice (as the authors' released code does)": ABSTRACT_N,
        "all N columns, α counted twice": ABSTRACT_N**2,
    }
    return [
        BreakEven(
            reading=reading,
            calibration=calibration.name,
            lu_seconds=(seconds := lu_seconds(calibration, ABSTRACT_N)),
            queries=count.expected * factor,
            gate_time_s=break_even_gate_time(seconds, count) / factor,
        )
        for reading, factor in readings.items()
        for calibration in calibrations
    ]
