"""What a comparison says in two sentences: who wins, and why Q-Newton costs what it costs."""

from collections.abc import Sequence

from qnewton.records import QuantumHardware
from qnewton.report.quantities import number_text, seconds_text, share_text
from qnewton.report.words import machine_name
from qnewton.runs import Comparison, ComparisonRow


def answer(comparison: Comparison, hardware: QuantumHardware | None) -> tuple[str, ...]:
    """Return who wins a comparison, and why Q-Newton costs more or less than Classical-Only.

    All seconds are modelled: the Newton rows are prices of the same steps, and only one of them was
    trained.

    Args:
        comparison: What was compared.
        hardware: The quantum machine that it was priced for.

    Example:
        >>> rows = [ComparisonRow(method=method, label=label, run="newton", steps=10, reached=True,
        ...     test_accuracy=0.95, measured_seconds=None, modelled_seconds=seconds,
        ...     modelled_seconds_per_step=None, quantum_share=share, modelled_survey_seconds=survey)
        ...     for method, label, seconds, survey, share in (
        ...         ("classical-only", "Classical-Only", 1.0, 0.0, 0.0),
        ...         ("q-newton", "Q-Newton", 1.2, 0.3, 0.4))]
        >>> found = Comparison(workload="digits", target=0.95, seed=0, run="out", rows=tuple(rows))
        >>> for sentence in answer(found, None):
        ...     print(sentence)
        Classical-Only wins: it reaches 95% test accuracy in 10 steps and 1 s (modelled); Q-Newton \
costs 1.2 times as much.
        Q-Newton costs 200 ms more than Classical-Only: finding κ and d, which it needs before it \
can choose, costs 300 ms, and its choices save 100 ms (modelled).
    """
    rows = {row.method: row for row in comparison.rows}
    said = [_winner(comparison)]
    baseline, chosen = rows.get("classical-only"), rows.get("q-newton")
    if baseline is not None and chosen is not None:
        said.append(_why(baseline, chosen, hardware))
    return tuple(sentence for sentence in said if sentence)


def _winner(comparison: Comparison) -> str:
    goal = f"{100 * comparison.target:g}% test accuracy"
    rows = (row for row in comparison.rows if row.reached)
    priced = [(row.modelled_seconds, row) for row in rows if row.modelled_seconds is not None]
    priced.sort(key=lambda pair: pair[0])
    if not priced:
        return f"No method reaches {goal} at a known price."
    seconds, best = priced[0]
    said = f"{best.label} wins: it reaches {goal} in {best.steps} steps and {seconds_text(seconds)}"
    newton = [(s, row) for s, row in priced if row.quantum_share is not None]
    if best.quantum_share is not None or not newton:
        return f"{said} (modelled){_times(priced)}."
    first, cheapest = newton[0]
    said += f" (modelled). Of the Newton rows {cheapest.label} costs least, {seconds_text(first)}"
    return f"{said}{_times(newton)}."


def _times(rows: Sequence[tuple[float, ComparisonRow]]) -> str:
    """Return how much more SGD and Q-Newton cost than the first row."""
    first = rows[0][0]
    named = [(s, row.label) for s, row in rows[1:] if row.method in ("sgd", "q-newton")]
    return "".join(f"; {label} costs {number_text(s / first)} times as much" for s, label in named)


def _why(baseline: ComparisonRow, chosen: ComparisonRow, hardware: QuantumHardware | None) -> str:
    one, other = baseline.modelled_seconds, chosen.modelled_seconds
    if one is None or other is None:
        missing = baseline.label if one is None else chosen.label
        return f"{missing} has no price at some step, so the two are not compared."
    difference = f"{seconds_text(abs(other - one))} {'more' if other > one else 'less'} than"
    said = f"{chosen.label} costs {'as much as' if one == other else difference} {baseline.label}"
    measuring = chosen.modelled_survey_seconds
    if measuring is None:
        return f"{said}; its price includes finding κ and d, which it needs before it can choose."
    finding = (
        f"finding κ and d, which it needs before it can choose, costs {seconds_text(measuring)}"
    )
    saved = measuring - (other - one) - (baseline.modelled_survey_seconds or 0.0)
    if other >= one:
        saves = f"save {seconds_text(saved)}" if saved > 0 else "save nothing"
        return f"{said}: {finding}, and its choices {saves} (modelled)."
    who = "its choices"
    if chosen.quantum_share and hardware is not None:
        share, machine = share_text(chosen.quantum_share), machine_name(hardware)
        who = f"the {share} of its systems that go to {machine}"
    return f"{said}: {who} save {seconds_text(saved)}, and {finding} (modelled)."
