"""The modelled clock: every stage of a recorded step, priced from its shapes alone.

Nothing measured enters, so one recorded step can be priced for several policies and machines.
Each operation named below is one start of its kernel: a fit's overhead is charged once per
operation and block, and once a step for the whole forward-backward pass and the update.
"""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from qnewton import records
from qnewton.cost.kernels import cubic_work, graph_calls, matvec_work, price, sort_work
from qnewton.cost.parts import BASIS, FORMING, ONCE, forming_seconds

SurveyFact = Literal["determinant", "condition", "row_sparsity"]
"""A fact a policy decides with, and so pays for."""

# A double backward pass goes back through a forward and a backward pass.
_PASSES_OF_A_PRODUCT = 2.0


def modelled_seconds(
    record: records.StepRecord,
    calibration: records.Calibration,
    *,
    charged: Mapping[str, Sequence[records.Quote]],
    surveyed: Collection[SurveyFact] = (),
    dtype: str = "float32",
) -> records.ModelledSeconds | None:
    """Price every stage of a recorded step.

    ================  =========================================================================
    stage             priced as
    ================  =========================================================================
    forward_backward  ``forward_backward`` of the pass's flops and operations
    curvature         what each block's route took before any product or entry
                      (``curvature_rows``), and its forming: rows by double backward as
                      ``curvature_rows``, the rest as ``gemm``; no forming for one whose quotes
                      were made before it was formed, since those hold it
    treatment         damping: ``elementwise`` N; relative damping: N² more for max|H|; pruning:
                      ``sort`` of N(N+1)/2; a cap chosen by row mass: ``sort`` of N rows of N
    survey            ``determinant``: one ``lu`` of N³; ``condition``: its products, each a
                      ``matvec``; ``row_sparsity``: ``elementwise`` N²; a look for the lowest
                      eigenvalue: its ``curvature_product``
    solve             the quotes charged to the block
    update            ``elementwise`` over the parameters; nothing for a skipped step; a step
                      that judged itself: a third of ``forward_backward`` for each length tried,
                      and a ``curvature_product`` of two passes for each of its products; an
                      averaged step: a ``forward_backward`` for each pass but the first
    ================  =========================================================================

    Where a calibration timed no pass, ``gemm`` of the flops stands for it. Systems that were
    solved and given up in the same step are charged like the others, by what was tried on them.

    A first-order step is forward-backward and update. A block whose solve was never tried is
    charged no solve.

    Args:
        record: The step; only its shapes, flops, facts and treatment are read.
        calibration: The classical machine that runs every stage but the solve.
        charged: For each block name, the quotes whose seconds its solve costs: the chosen
            solver's, and those of solvers it fell back to. See :func:`own_charges`.
        surveyed: The facts the policy decides with; others that were measured cost it nothing.
        dtype: ``float32`` or ``float64``.

    Returns:
        Seconds by stage; ``None`` if a part is unknown: flops that nobody counted, a survey
        without its products, a charged quote that was refused, a step with work that nobody
        quoted (it fell back to the gradient, or an older record does not say what it gave up).

    Raises:
        ValueError: If the calibration lacks a rate, a block has no charge, or a fact's name is
            unknown.

    Cost:
        A few dozen scalar operations per block.

    Reference:
        Stages: Li et al., arXiv:2405.00252, IV-A.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> from qnewton.records import MeasuredSeconds, StepRecord
        >>> step = StepRecord(step=0, phase="first-order", loss=2.3, gradient_norm=1.0,
        ...                   step_norm=0.1, cosine=1.0, parameters=1000,
        ...                   measured=MeasuredSeconds(), forward_backward_flops=8e8)
        >>> seconds = modelled_seconds(step, nominal_calibration(), charged={})
        >>> f"{seconds.forward_backward:.3g} {seconds.update:.3g} {seconds.solve}"
        '0.0122 6e-06 0.0'
    """
    unknown = set(surveyed) - set(get_args(SurveyFact))
    if unknown:
        facts = ", ".join(get_args(SurveyFact))
        raise ValueError(f"no survey fact is called {sorted(unknown)[0]!r}; the facts are {facts}")
    if record.has_unpriced_work:
        return None
    prices = _Prices(record, calibration, dtype)
    solved = (*record.abandoned, *record.blocks)
    forward_backward = prices.passes("forward_backward", 1.0, 1.0)
    curvature = _sum([seconds for block in solved for seconds in prices.curvature(block)])
    treatment = math.fsum(prices.treatment(block) for block in solved)
    survey = [prices.fact(fact, block) for block in record.blocks for fact in surveyed]
    solve = [_solve(_charges(charged, block)) for block in record.blocks if block.attempts]
    solve += [_solve(_own_charges(block)) for block in record.abandoned if block.attempts]
    update = 0.0 if record.skipped is not None else prices.of("elementwise", record.parameters)
    damping = record.damping
    if damping is not None and forward_backward is not None:
        update += damping.tries * forward_backward / 3
        update += prices.products(damping.products)
        survey.append(prices.products(damping.survey_products or 0))
    if record.averaged is not None and forward_backward is not None:
        update += (record.averaged.passes - 1) * forward_backward
    surveyed_s, solve_s = _sum(survey), _sum(solve)
    if forward_backward is None or curvature is None or surveyed_s is None or solve_s is None:
        return None
    return records.ModelledSeconds(
        forward_backward=forward_backward,
        curvature=curvature,
        treatment=treatment,
        survey=surveyed_s,
        solve=solve_s,
        update=update,
    )


@dataclass(frozen=True)
class _Prices:
    """What the stages of a recorded step cost on a classical machine."""

    record: records.StepRecord
    calibration: records.Calibration
    dtype: str

    def of(self, kernel: str, work: float, calls: float = 1.0) -> float:
        """Return the price of work on a kernel."""
        return price(self.calibration, kernel, work, self.dtype, calls=calls)

    def passes(self, kernel: str, each: float, count: float) -> float | None:
        """Return ``count`` calls of a kernel, ``each`` of so many forward-backward passes."""
        if self.record.forward_backward_flops is None:
            return None
        return self._graph(kernel, count * each * self.record.forward_backward_flops, count, count)

    def products(self, count: int) -> float:
        """Return so many products with the curvature of all parameters."""
        return self.passes("curvature_product", _PASSES_OF_A_PRODUCT, count) or 0.0

    def _graph(self, kernel: str, flops: float, passes: float, products: float = 1.0) -> float:
        """Price passes through the graph of the loss; ``gemm`` stands for what nobody timed."""
        if self.calibration.fit(kernel, self.dtype) is None:
            return self.of("gemm", flops, products)
        return self.of(kernel, flops, graph_calls(self.record.graph_operations, passes))

    def curvature(self, block: records.BlockRecord) -> Iterator[float | None]:
        """Give what a block's route took before any product or entry, and its forming."""
        known = block.curvature
        if known.preparing_calls:
            yield self._graph("curvature_rows", known.preparing_flops, known.preparing_calls)
        # Sparse ones were formed to be pruned; factors took in one more gradient.
        if isinstance(block.facts.held, records.Formed | records.Sparse | records.Eigenbasis):
            work = known.forming
            yield None if work is None else forming_seconds(self.calibration, work, self.dtype)

    def treatment(self, block: records.BlockRecord) -> float:
        """Return what damping and pruning a block took."""
        n, treatment, seconds = block.n, block.treatment, 0.0
        if treatment.damping:
            seconds += self.of("elementwise", n)
        if treatment.relative_damping is not None:
            seconds += self.of("elementwise", float(n) ** 2)
        if treatment.mass is not None:
            seconds += self.of("sort", n * sort_work(n))
        if treatment.max_per_row is not None:
            seconds += self.of("sort", sort_work(n * (n + 1) // 2))
        return seconds

    def fact(self, fact: SurveyFact, block: records.BlockRecord) -> float | None:
        """Return what measuring a fact of a block took, where no earlier step paid for it."""
        if block.facts.spectrum.measured_at is not None:
            return 0.0
        return survey_seconds(fact, block.facts, self.calibration, self.dtype)


def own_charges(record: records.StepRecord) -> dict[str, tuple[records.Quote, ...]]:
    """Return, by block name, the quotes a step's own policy pays for, at the products it spent.

    These are the chosen solver's and, where that one was tried and failed, those of the solvers
    tried after it. Where another solver did the work in the chosen one's place (a comparison
    solves once for all policies), the chosen one's alone.

    Raises:
        ValueError: If a solver that was tried has no quote.
    """
    return {block.name: _own_charges(block) for block in record.blocks}


def _own_charges(block: records.BlockRecord) -> tuple[records.Quote, ...]:
    chosen, attempts = block.decision.chosen, block.attempts
    ran = bool(attempts) and attempts[0].solver == chosen
    quotes = []
    for solver in [attempt.solver for attempt in attempts] if ran else [chosen]:
        quote = block.decision.quote(solver)
        if quote is None:
            raise ValueError(f"block {block.name!r}: solver {solver!r} has no quote to charge")
        quotes.append(quote)
    return tuple(map(as_run, quotes, attempts)) if ran else tuple(quotes)


def as_run(quote: records.Quote, attempt: records.Attempt) -> records.Quote:
    """Return a classical quote at the products that an attempt spent, not those that were foretold.

    What a bound promises, or a try may spend at most, is no charge for a solve that took less.
    Forming, a sketch, and the check of the residual do not hang on products; what reads a growing
    basis hangs on their square.

    Example:
        >>> from qnewton.records import Attempt, Outcome, PriceTerm, Quote
        >>> products = PriceTerm(name="products", seconds=4.0)
        >>> terms = (products, PriceTerm(name="forming", seconds=1.0))
        >>> quote = Quote(solver="cg", machine="classical", seconds=5.0, model="m", hardware="h",
        ...               terms=terms, products=40)
        >>> spent = Attempt(solver="cg", outcome=Outcome.SOLVED, residual=0.0, products=10,
        ...                 measured_seconds=1.0)
        >>> as_run(quote, spent).seconds
        2.0
    """
    if quote.machine != "classical" or quote.seconds is None or not quote.products:
        return quote
    share = attempt.products / quote.products
    shares = dict.fromkeys(ONCE, 1.0) | {BASIS: share**2}
    terms = tuple(
        replace(term, seconds=shares.get(term.name, share) * term.seconds) for term in quote.terms
    )
    return quote.with_terms(terms, products=attempt.products)


def _charges(
    charged: Mapping[str, Sequence[records.Quote]], block: records.BlockRecord
) -> Sequence[records.Quote]:
    if block.name not in charged:
        raise ValueError(f"block {block.name!r} has no quote to charge; pass one in charged")
    return charged[block.name]


def _solve(charges: Sequence[records.Quote]) -> float | None:
    """Return the price of all solvers of a block, which form its entries once."""
    seconds = _sum([quote.seconds for quote in charges])
    forming = [term.seconds for q in charges for term in q.terms if term.name == FORMING]
    if seconds is None or not forming:
        return seconds
    return seconds - math.fsum(forming) + max(forming)


def survey_seconds(
    fact: SurveyFact, facts: records.Facts, calibration: records.Calibration, dtype: str = "float32"
) -> float | None:
    """Return the modelled seconds of measuring one fact: the paper's "extra runtime overhead".

    Args:
        fact: ``determinant``, ``condition`` or ``row_sparsity``.
        facts: N, and how many products κ took.
        calibration: The classical machine that measures.
        dtype: ``float32`` or ``float64``.

    Returns:
        Seconds; ``None`` where κ was not measured.

    Raises:
        ValueError: If the calibration lacks a rate.

    Example:
        >>> from qnewton.cost import nominal_calibration
        >>> from qnewton.records import Facts
        >>> f"{survey_seconds('determinant', Facts(n=1000), nominal_calibration()):.0e}"
        '2e-02'
    """
    if fact == "determinant":
        return price(calibration, "lu", cubic_work(facts.n), dtype)
    entries = facts.held.entries if isinstance(facts.held, records.Sparse) else None
    if fact == "row_sparsity":
        work = float(facts.n) ** 2 if entries is None else float(entries)
        return price(calibration, "elementwise", work, dtype)
    if facts.spectrum.condition is None:
        return None
    products = facts.spectrum.condition.products
    if entries is not None:
        work = float(products) * entries
        return price(calibration, "sparse_matvec", work, dtype, calls=products)
    return price(calibration, "matvec", matvec_work(facts.n, products), dtype, calls=products)


def _sum(parts: Sequence[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    try:
        return math.fsum(known)
    except OverflowError:  # a sum beyond the largest float is no price
        return None
