"""What runs say in a few sentences: who would win their solves, and by how much."""

from collections.abc import Sequence

from qnewton.report.page_runs import PageRuns
from qnewton.report.step_prices import RunPrices, StepPrice
from qnewton.report.words import words
from qnewton.runs import Run


def run_answer(run: Run, prices: RunPrices | None) -> tuple[str, ...]:
    """Return who wins a run's solves, at the audited price and at the paper's, computed from it.

    Args:
        run: The run.
        prices: Its prices, of :func:`qnewton.report.step_prices.run_prices`.
    """
    if prices is None:
        return (_without_solves(run),)
    return (audited_sentence(prices), paper_sentence(prices))


def runs_answer(told: PageRuns, prices: Sequence[RunPrices | None]) -> tuple[str, ...]:
    """Return who wins the solves of several runs together."""
    known = [found for found in prices if found is not None]
    pairs = [_priced(found) for found in known]
    if not any(pairs):
        return (words("answer_runs_unpriced", runs=len(told.curves), solved=bool(known)),)
    wins = sum(_wins(pair) for pair in pairs)
    ratios = [_ratio(pair) for pair in pairs if pair]
    steps = sum(map(len, pairs))
    return (words("answer_runs", runs=len(told.curves), steps=steps, wins=wins, ratios=ratios),)


def audited_sentence(prices: RunPrices) -> str:
    """Return who wins at the audited price."""
    both = _priced(prices)
    if not both:
        unpriced = next((p.audited_refused for p in prices.steps if p.audited_refused), None)
        return words("answer_unaudited", prices=prices, why=unpriced)
    classical, quantum = _sums(both)
    return words(
        "answer_audited",
        prices=prices,
        steps=len(both),
        wins=_wins(both),
        classical=classical,
        quantum=quantum,
        solvers=_titles(both, "classical_solvers"),
        quantum_solvers=_titles(both, "audited_solvers"),
        missing=len(prices.steps) - len(both),
    )


def paper_sentence(prices: RunPrices) -> str:
    """Return who wins at the paper's price, against its own rival and against the best one."""
    priced = [p for p in prices.steps if p.paper is not None]
    return words(
        "answer_paper",
        prices=prices,
        steps=len(prices.steps),
        priced=len(priced),
        over_lu=sum(p.lu is not None and (p.paper or 0.0) < p.lu for p in priced),
        over_best=sum(p.classical is not None and (p.paper or 0.0) < p.classical for p in priced),
        why=next((p.paper_refused for p in prices.steps if p.paper_refused), None),
    )


def wins_of(prices: RunPrices) -> tuple[int, int, float | None]:
    """Return the steps at which the audited quantum solver is cheaper, of how many, and the ratio.

    The ratio is quantum over classical seconds of the steps that have both prices; ``None``
    without any.
    """
    both = _priced(prices)
    return _wins(both), len(both), _ratio(both) if both else None


def _without_solves(run: Run) -> str:
    solved = any(block.attempts for step in run.steps for block in step.blocks)
    return words("answer_without", run=run, solved=solved)


Both = tuple[float, float, StepPrice]


def _priced(prices: RunPrices) -> list[Both]:
    """Return classical and audited seconds of the steps that have both."""
    return [
        (price.classical, price.audited, price)
        for price in prices.steps
        if price.classical is not None and price.audited is not None
    ]


def _wins(both: Sequence[Both]) -> int:
    return sum(quantum < classical for classical, quantum, _ in both)


def _sums(both: Sequence[Both]) -> tuple[float, float]:
    return sum(pair[0] for pair in both), sum(pair[1] for pair in both)


def _ratio(both: Sequence[Both]) -> float:
    classical, quantum = _sums(both)
    return quantum / classical


def _titles(both: Sequence[Both], field: str) -> list[str]:
    return list(dict.fromkeys(name for *_, price in both for name in getattr(price, field)))
