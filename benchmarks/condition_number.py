"""What does the condition number cost beside one Cholesky factorisation of the same order?

On MNIST's first-layer block it has to be right to 1% in a quarter of that time. Elsewhere it may
not cost more than one factorisation, whatever the spectrum: it is surveyed with the products that
the scheduler allows, and says so when they run out. The reference on the block is Lanczos with up
to 400 products, whose bracket is printed; all eigenvalues in float64 would take half an hour.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from benchmarks.harness import (
    Contender,
    Report,
    Row,
    Say,
    Timing,
    describe_machine,
    interleave,
    ratio,
    reached,
)
from benchmarks.known_spectra import KnownSpectrum, known_spectra
from benchmarks.mnist_block import block_name, damped_block
from qnewton.operators import DenseOperator
from qnewton.records import Estimate
from qnewton.survey import condition_number, survey
from qnewton.survey.condition import thrifty_products

STRENGTHS = (1.0, 0.1)
REFERENCE_PRODUCTS = 400
MOST_OF_CHOLESKY = 0.25
ACCURACY = 0.01
SIZES = (256, 512, 1024, 2048, 4096)
# Quicker runs are repeated to about this long and timed together.
_SHORTEST_S = 0.02

Found = tuple[list[Row], dict[str, Timing], dict[str, Any]]


def measure(say: Say) -> Report:
    """Time the block at each λ, then every other spectrum."""
    rows: list[Row] = []
    timings: dict[str, Timing] = {}
    facts: dict[str, Any] = {}
    for found in (
        *(_block(strength, say) for strength in STRENGTHS),
        *(_elsewhere(case, say) for case in known_spectra(SIZES)),
    ):
        rows += found[0]
        timings |= found[1]
        facts |= found[2]
    return Report("condition_number", rows, describe_machine(), timings, facts=facts)


def _block(strength: float, say: Say) -> Found:
    title = f"{block_name()}, λ = {strength:g}"
    operator = DenseOperator(damped_block(strength))
    reference = condition_number(operator, tolerance=1e-5, max_products=REFERENCE_PRODUCTS)
    budget = thrifty_products(operator.n)

    def run() -> Estimate:
        return condition_number(operator, max_products=budget)

    estimate = run()
    ours, cholesky = _time(title, run, operator.dense(), say)
    share = ratio(ours, cholesky)
    error = _error(estimate, reference.value or reference.low)
    high = "unknown" if reference.high is None else f"{reference.high:.5g}"
    rows = [
        reached(
            f"{title}: κ, in [{reference.low:.5g}, {high}] after {reference.products} products",
            f"within {ACCURACY:.0%}",
            f"{estimate.describe()}, {error:.2%} off, {estimate.products} products",
            error <= ACCURACY,
        ),
        reached(
            f"{title}: time over one Cholesky",
            f"≤ {MOST_OF_CHOLESKY:.0%}",
            f"{share:.1%} ({_seconds(ours)}, {_seconds(cholesky)})",
            share <= MOST_OF_CHOLESKY,
        ),
    ]
    facts = {title: {"estimate": _facts(estimate), "reference": _facts(reference)}}
    return rows, {timing.name: timing for timing in (ours, cholesky)}, facts


def _elsewhere(case: KnownSpectrum, say: Say) -> Found:
    operator = DenseOperator(case.matrix)
    budget = thrifty_products(operator.n)
    estimate = survey(operator, max_products=budget).spectrum.condition
    assert estimate is not None
    # The method that the survey chose, without the survey's other facts.
    method = "exact" if estimate.method == "exact" else "lanczos"

    def run() -> Estimate:
        return condition_number(operator, method, max_products=budget)

    ours, cholesky = _time(case.name, run, case.matrix, say)
    share = ratio(ours, cholesky)
    if estimate.value is None:
        outcome = f"budget of {budget} products spent: κ = {case.condition:.4g} is not known but "
        outcome += estimate.describe()
    else:
        error = _error(estimate, case.condition)
        outcome = f"{estimate.describe()}, {error:.2%} off, {estimate.products} products"
    row = reached(
        f"{case.name}: time over one Cholesky",
        "≤ 1",
        f"{share:.2f} ({_seconds(ours)}, {_seconds(cholesky)}); {outcome}",
        share <= 1,
    )
    facts = {**_facts(estimate), "budget": budget, "true": case.condition}
    return [row], {timing.name: timing for timing in (ours, cholesky)}, {case.name: facts}


def _time(title: str, run: Callable[[], object], matrix: Tensor, say: Say) -> tuple[Timing, Timing]:
    # Of a definite matrix in any case: Cholesky would end early, and look cheap, at the first
    # negative pivot.
    definite = matrix.clone()
    definite.diagonal().add_(float(matrix.abs().sum(dim=1).max()))
    ours = _repeated(f"{title}: κ", run)
    cholesky = _repeated(f"{title}: Cholesky", lambda: torch.linalg.cholesky_ex(definite))
    found = interleave([ours, cholesky], say)
    return found[ours.name], found[cholesky.name]


def _repeated(name: str, run: Callable[[], object]) -> Contender[object]:
    run()
    start = time.perf_counter()
    run()
    times = max(1, math.ceil(_SHORTEST_S / (time.perf_counter() - start)))

    def runs() -> None:
        for _ in range(times):
            run()

    return Contender(name, runs, scale=1 / times)


def _error(estimate: Estimate, true: float | None) -> float:
    if estimate.value is None or true is None:
        return math.inf
    return abs(estimate.value / true - 1)


def _seconds(timing: Timing) -> str:
    return f"{timing.median:.3g} s" if timing.median >= 1 else f"{1e3 * timing.median:.3g} ms"


def _facts(estimate: Estimate) -> dict[str, Any]:
    return {
        name: getattr(estimate, name)
        for name in ("method", "value", "low", "high", "low_certificate", "high_certificate")
    } | {"products": estimate.products}
