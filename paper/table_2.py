"""Table II: what estimating the condition number takes, and how far off the estimate is."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from paper.artifact import ArtifactTable, Check, Experiment, Finding, PaperContext, table
from paper.estimator_picture import estimator_picture
from paper.estimator_timing import LARGEST_EXACT, METHODS, Measurement, Repeats, measure
from qnewton.cost import PAPER_EPSILON, cubic_work, load_classical, load_hardware, price
from qnewton.cost.queries import jennings_2023
from qnewton.optimizer import describe_machine
from qnewton.report.quantities import number_text, seconds_text

PAPER_MS = {10: 0.1, 100: 0.7, 1000: 6.2, 10_000: 13.0}
"""Table II: milliseconds on an H100."""

CONDITION_NUMBERS = (10.0, 1000.0)
QUICK: Repeats = {10: (31, 31), 100: (31, 31), 1000: (9, 9), 10_000: (3, 1)}
FULL: Repeats = {10: (101, 101), 100: (101, 101), 1000: (31, 31), 10_000: (7, 3)}

INCONSEQUENTIAL = 0.05
"""Share of one LU inversion below which an estimate counts as inconsequential."""

ROBUST_FACTOR = 10.0
"""Factor by which an estimate may exceed κ and still count as robust."""

_METHOD_TITLES = ("determinant and norm", "determinant and trace", "Lanczos to 1%")


@dataclass(frozen=True)
class Timings:
    """What was measured, and with how many runs."""

    repeats: Repeats
    measurements: tuple[Measurement, ...]

    @property
    def cases(self) -> dict[tuple[int, float], Measurement]:
        """A measurement of each N and κ."""
        return {(m.n, m.condition_number): m for m in self.measurements}

    def of(self, *methods: str) -> list[Measurement]:
        """Return all measurements of some methods."""
        return [m for m in self.measurements if m.method in methods]

    def find(self, n: int, kappa: float, method: str) -> Measurement:
        """Return the measurement of a method on one matrix."""
        return next(m for m in self.of(method) if (m.n, m.condition_number) == (n, kappa))

    def inverse(self, n: int) -> float:
        """Return the seconds of an LU inversion."""
        return next(m.seconds for m in self.of("lu_inverse") if m.n == n)


def _run(context: PaperContext, repeats: Repeats) -> Timings:
    """Time the estimators and hold them against known condition numbers."""
    found = measure(CONDITION_NUMBERS, repeats, context.seed, context.progress)
    return Timings(repeats, tuple(found))


def _summary(found: Timings) -> ArtifactTable:
    def ms(method: str) -> Callable[[tuple[int, float]], float]:
        return lambda case: 1e3 * found.find(*case, method).seconds

    def digits(method: str) -> Callable[[tuple[int, float]], float | None]:
        return lambda case: found.find(*case, method).digits_off

    def error(case: tuple[int, float]) -> float | None:
        off = digits("lanczos")(case)
        return None if off is None else 100 * (10**off - 1)

    times = {
        f"{title} (measured ms)": ms(method)
        for method, title in zip(METHODS, _METHOD_TITLES, strict=True)
    }
    return table(
        "table-2",
        "Table II: estimating the condition number",
        found.cases,
        {
            "N": lambda case: case[0],
            "exact κ": lambda case: case[1],
            "paper on an H100 (ms)": lambda case: PAPER_MS.get(case[0]),
            **times,
            "one LU inversion (measured ms)": lambda case: 1e3 * found.inverse(case[0]),
            "log10(norm bound / κ)": digits("determinant"),
            "log10(trace bound / κ)": digits("trace"),
            "error of Lanczos (%)": error,
        },
        f"Medians, float32, on {describe_machine()}. The bounds factor in float64 up to "
        "N = 4,096. κ is known from the construction: a tail (κ-1)/i on top of 1, turned by four "
        "Householder reflections.",
    )


def _runs_table(found: Timings) -> ArtifactTable:
    return table(
        "table-2-runs",
        "Table II, method by method",
        [m for m in found.measurements if m.runs],
        {
            "N": lambda m: m.n,
            "exact κ": lambda m: m.condition_number,
            "method": lambda m: m.method,
            "estimate": lambda m: None if m.estimate is None else m.estimate.value,
            "log10(estimate / κ)": lambda m: m.digits_off,
            "products": lambda m: None if m.estimate is None else m.estimate.products,
            "runs": lambda m: len(m.runs),
            "median (measured s)": lambda m: m.seconds,
            "fastest (measured s)": lambda m: min(m.runs),
            "slowest (measured s)": lambda m: max(m.runs),
            "share of one LU inversion (%)": lambda m: 100 * m.seconds / found.inverse(m.n),
        },
    )


def _checks(found: Timings) -> Iterator[Check]:
    bounds, exact, lanczos = (
        found.of("determinant", "trace"),
        found.of("exact"),
        found.of("lanczos"),
    )
    lowest = min((m.digits_off or 0.0) - math.log10(1 - m.rounding) for m in bounds)
    outside = [m for m in lanczos if m.estimate is not None and not m.inside]
    worst = max((_error(m) / (2 * m.rounding) for m in exact), default=0)
    summary = _summary(found)
    same = [
        value == 1e3 * found.find(*case, method).seconds
        for method, title in zip(METHODS, _METHOD_TITLES, strict=True)
        for case, value in zip(found.cases, summary.column(f"{title} (measured ms)"), strict=True)
    ]
    yield Check(
        "the bounds are bounds: none lies below κ",
        lowest >= 0.0,
        f"the lowest log10(bound / κ) of {len(bounds)} is {lowest:.3g}",
    )
    yield Check(
        "the brackets of Lanczos hold κ",
        not outside,
        f"{len(outside)} of {len(lanczos)} outside",
    )
    yield Check(
        "all eigenvalues give the κ that the matrices were built with",
        worst <= 1.0,
        f"{len(exact)} matrices of N ≤ {LARGEST_EXACT:,}: the largest difference is "
        f"{worst:.2g} of what rounding their entries allows",
    )
    yield Check(
        "the table holds the medians of the runs",
        all(same),
        f"{len(summary.rows)} rows of {len(METHODS)} methods",
    )


def _error(measurement: Measurement) -> float:
    return abs(10 ** (measurement.digits_off or 0.0) - 1)


def _overhead(found: Timings) -> Finding:
    n, kappa = max(m.n for m in found.measurements), found.measurements[0].condition_number
    inverse = found.inverse(n)
    seconds = {method: found.find(n, kappa, method).seconds for method in METHODS}
    others = "".join(
        f", {seconds_text(found.find(n, k, 'lanczos').seconds)} at κ = {k:g}"
        for k in dict.fromkeys(k for _, k in found.cases)
        if k != kappa
    )
    measured = (
        f"At N = {n:,} (measured here): determinant and norm "
        f"{seconds_text(seconds['determinant'])}, {100 * seconds['determinant'] / inverse:.0f}% of "
        f"one LU inversion ({seconds_text(inverse)}): the determinant is a factorization, N³/3 of "
        f"the inversion's 2N³ operations. Lanczos to 1% takes {seconds_text(seconds['lanczos'])} "
        f"({100 * seconds['lanczos'] / inverse:.1f}%) at κ = {kappa:g}{others}."
    )
    if n in PAPER_MS:
        paper_s, h100 = PAPER_MS[n] / 1e3, load_classical("paper-h100")
        lu = price(h100, "lu_inverse", cubic_work(n))
        attosecond = load_hardware("attosecond").gate_time_s.value
        count = jennings_2023(alpha=float(n), kappa=kappa, epsilon=PAPER_EPSILON)
        quantum = attosecond * count.expected
        measured += (
            f" The paper's {PAPER_MS[n]:g} ms are {100 * paper_s / lu:.1f}% of the inversion that "
            f"its own Table III implies (modelled, paper-h100: {seconds_text(lu)}): a "
            f"factorization at {2 * n**3 / 3 / paper_s / 1e12:.0f} Tflop/s beside an inversion at "
            f"{2 * n**3 / lu / 1e12:.1f}. They are {number_text(paper_s / quantum)} times the "
            "quantum solve they decide on (modelled, hypothetical attosecond machine, dense, κ = "
            f"{kappa:g}: {seconds_text(quantum)})."
        )
    return Finding.judged(
        "V-A: the execution time of condition-number estimation is inconsequential",
        f"{measured} Counted as inconsequential: at most {100 * INCONSEQUENTIAL:g}% of "
        "one LU inversion.",
        min(seconds["determinant"], seconds["trace"]) <= INCONSEQUENTIAL * inverse,
    )


def _robustness(found: Timings) -> Finding:
    n = max(m.n for m in found.measurements)
    parts = []
    for kappa in dict.fromkeys(kappa for _, kappa in found.cases):
        digits = (found.find(n, kappa, method).digits_off for method in ("determinant", "trace"))
        norm, trace = (math.nan if d is None else d for d in digits)
        parts.append(f"10^{norm:.0f} (norm) and 10^{trace:.0f} (trace) times κ where κ = {kappa:g}")
    worst = max(m.digits_off or 0.0 for m in found.of("determinant", "trace"))
    error = max(map(_error, found.of("lanczos")))
    return Finding.judged(
        "Abstract, I: a robust yet lightweight condition number estimator, from norm and "
        "determinant",
        f"At N = {n:,} the bounds come to {', '.join(parts)}; they grow with N at "
        "one and the same κ, and the quantum price grows with them. Lanczos is off by at most "
        f"{100 * error:.2g}% on the same matrices. Counted as robust: a factor of "
        f"{ROBUST_FACTOR:g}.",
        worst <= math.log10(ROBUST_FACTOR),
    )


EXPERIMENT: Experiment[Repeats, Timings] = Experiment(
    name="table-2",
    title="Table II: time and error of condition-number estimation",
    quick=QUICK,
    full=FULL,
    run=_run,
    tables=lambda found: [_summary(found), _runs_table(found)],
    pictures=lambda found: {
        "table-2": estimator_picture(found.measurements, found.repeats, PAPER_MS)
    },
    checks=_checks,
    findings=lambda found: [_overhead(found), _robustness(found)],
    settings=lambda context, found: {
        "machine": describe_machine(),
        "seed": context.seed,
        "runs": {str(n): numbers for n, numbers in found.repeats.items()},
        "condition_numbers": CONDITION_NUMBERS,
        "dtype": "float32",
    },
)
