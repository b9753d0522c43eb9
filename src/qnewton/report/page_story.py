"""The sections of a page, in the order of its story, with their tables and pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from qnewton.report import run_pictures, tables
from qnewton.report.answer import answer
from qnewton.report.clocks import Clock
from qnewton.report.figures import Figure, figure_of
from qnewton.report.loss_curves import accuracy_curve, loss_curve
from qnewton.report.page_facts import Pairs, price_summary, provenance, runs_table, tiles, trained
from qnewton.report.page_runs import PageRuns
from qnewton.report.price_lines import price_lines, solver_strip
from qnewton.report.quantum_solves import quantum_panels, quantum_table
from qnewton.report.run_answer import run_answer, runs_answer, wins_of
from qnewton.report.run_files import break_even_of
from qnewton.report.run_summary import (
    clocks_text,
    coverage_text,
    measured_text,
    modelled_text,
    quantum_text,
    rescaling_text,
)
from qnewton.report.save import Picture
from qnewton.report.step_prices import RunPrices, run_prices
from qnewton.report.style import method_look
from qnewton.report.table import Column, Table, table_of
from qnewton.report.what_if import what_if
from qnewton.report.what_if_panel import panel
from qnewton.report.who_solved import who_solved
from qnewton.report.words import words
from qnewton.runs import Comparison, ComparisonRow, Run

_MOST_POINTS = 1000
"""Points of a curve on a page."""

_CLOCKS = {
    Clock.STEP: "step",
    Clock.MEASURED: "measured seconds",
    Clock.MODELLED: "modelled seconds",
}


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the story.

    Attributes:
        key: Its name in the page's markup.
        heading: A plain sentence.
        sentences: What it says.
        pairs: Facts by name.
        tables: Its tables.
        figures: Its pictures.
        panel: Markup of its own, which stands last.
    """

    key: str
    heading: str
    sentences: Sequence[str] = ()
    pairs: Pairs = field(default_factory=list)
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()
    panel: str = ""


@dataclass(frozen=True, kw_only=True)
class Story:
    """All that a page says.

    Attributes:
        title: Its title.
        answer: Who wins, and how the training went: the first sentences.
        tiles: The first figures: name, value, what it is of.
        warnings: What could not be read.
        sections: The sections.
        details: Tables that are folded.
        provenance: Where it comes from.
        live: What an unfinished run says of itself; ``None`` once it is finished.
    """

    title: str
    answer: Sequence[str]
    tiles: Sequence[tuple[str, str, str]]
    warnings: Sequence[str]
    sections: Sequence[Section]
    details: Sequence[Table]
    provenance: Pairs
    live: str | None = None


def story_of(told: PageRuns) -> Story:
    """Return the story of a page's runs."""
    prices = {curve.label: run_prices(curve.run) for curve in told.curves}
    main = told.told
    own = None if main is None or told.several else prices[main.label]
    sections = [
        _trained(told, prices),
        _cost(told, own),
    ]
    if main is not None and not told.several:
        sections += [_solved(main.run, own), _change(told, main.run, own)]
    return Story(
        title=_title(told),
        answer=_answer(told, prices),
        tiles=tiles(told, own),
        warnings=[warning for curve in told.curves for warning in curve.run.warnings],
        sections=[section for section in sections if section is not None],
        details=_details(told),
        provenance=provenance(told),
        live=told.live,
    )


def _title(told: PageRuns) -> str:
    if told.comparison is not None:
        return f"{told.comparison.workload}: methods compared"
    if told.several:
        workloads = dict.fromkeys(curve.run.config.workload for curve in told.curves)
        return f"{len(told.curves)} runs side by side: {', '.join(workloads)}"
    return f"{told.config.workload}, {method_look(told.config.policy).label}"


def _answer(told: PageRuns, prices: Mapping[str, RunPrices | None]) -> list[str]:
    main = told.told
    if main is None:
        return [words("answer_nothing_yet")]
    if told.several:
        return list(runs_answer(told, list(prices.values())))
    said = list(run_answer(main.run, prices[main.label]))
    if told.comparison is not None:
        return said + list(answer(told.comparison, told.config.hardware))
    if not main.run.steps:
        return said
    outcome, own = words("outcome", run=main.run), prices[main.label]
    # What came of the training comes first where there is no price to compare.
    return [*said, outcome] if own is not None and wins_of(own)[1] else [outcome, *said]


def _trained(told: PageRuns, prices: Mapping[str, RunPrices | None]) -> Section:
    if told.several:
        heading = "What was trained, and what it came to"
        return Section(key="trained", heading=heading, tables=[runs_table(told, prices)])
    facts = [] if told.told is None else trained(told.told.run)
    return Section(key="trained", heading="What was trained", pairs=facts)


def _cost(told: PageRuns, own: RunPrices | None) -> Section:
    """Return what training cost on both clocks."""
    target = None if told.comparison is None else told.comparison.target
    if target is None and not told.several:
        target = told.config.options.get("target")
    shown: list[Table] = []
    if told.comparison is not None:
        shown.append(_compared(told.comparison))
    if own is not None:
        shown.append(price_summary(own))
    figures = [
        *_on_clocks("loss", "Training loss", told, None),
        *_on_clocks("accuracy", "Test accuracy", told, target),
    ]
    if told.told is not None and not told.several:
        for clock in (Clock.MEASURED, Clock.MODELLED):
            figures += _stages(told.told.run, clock)
    sentences = []
    if not told.several:
        sentences = [measured_text(told.config), modelled_text(told.config)]
    if told.told is not None and not told.several:
        differ = clocks_text(told.told.run.config, told.told.run.steps)
        sentences += [] if differ is None else [_sentence(differ)]
    return Section(
        key="cost",
        heading="What it cost, on two clocks that are never added",
        sentences=sentences,
        tables=shown,
        figures=figures,
    )


def _compared(comparison: Comparison) -> Table:
    """Return the rows of a comparison, with their notes below."""
    marks = tables.note_marks(comparison)
    method, *others = tables.COMPARISON_COLUMNS

    def marked(row: ComparisonRow) -> str:
        return f"{method.cell(row)}{marks.get(row.note, '')}"

    columns = (Column(method.header, marked, words=True), *others)
    goal = f"Steps and time to {100 * comparison.target:g}% test accuracy"
    notes = [f"{mark.strip()} {note}." for note, mark in marks.items()]
    if not all(row.reached for row in comparison.rows):
        notes.append(f"{tables.NOT_REACHED}.")
    return table_of(goal, columns, comparison.rows, "\n".join(notes))


def _on_clocks(key: str, title: str, told: PageRuns, target: float | None) -> list[Figure]:
    drawings: dict[str, Picture] = {}
    for clock, name in _CLOCKS.items():
        if key == "loss":
            picture = loss_curve(told.curves, clock, _MOST_POINTS)
        else:
            picture = accuracy_curve(told.curves, target, clock, _MOST_POINTS)
        if picture is not None:
            drawings[name] = picture
    return [Figure(key, title, drawings)] if drawings else []


def _stages(run: Run, clock: Clock) -> list[Figure]:
    known = [getattr(step, clock) for step in run.steps[:30]]
    if not any(seconds is not None and seconds.total > 0 for seconds in known):
        return []
    picture = run_pictures.stage_breakdown(run, clock=clock)
    return [Figure(f"stages-{clock}", f"Where the {clock} time went", {"": picture})]


def _solved(run: Run, prices: RunPrices | None) -> Section:
    """Return who solved each step, and what everybody would have asked for it."""
    figures = [
        *figure_of("strip", "Who solves each step", solver_strip(run, prices), wide=True),
        *figure_of("layers", "Who solved each layer", run_pictures.layers_of_run(run), wide=True),
    ]
    if prices is not None:
        picture = price_lines(prices)
        figures += figure_of("prices", "What each step's solves would cost", picture, wide=True)
    for number, (quantity, picture) in enumerate(quantum_panels(run).items()):
        title = f"The quantum solver's {quantity}"
        figures += figure_of(f"quantum-{number}", title, picture)
    table = who_solved(run)
    return Section(
        key="solved",
        heading="Who solved each step, and why",
        sentences=[_sentence(text) for text in _summary(run)],
        tables=[table] if table.rows else [],
        figures=figures,
    )


def _summary(run: Run) -> list[str]:
    found = (coverage_text(run.steps), rescaling_text(run.steps), quantum_text(run.steps))
    return [text for text in found if text is not None]


def _sentence(text: str) -> str:
    """Return a line of a summary as a sentence."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _change(told: PageRuns, run: Run, prices: RunPrices | None) -> Section | None:
    """Return what would have to change for the other side to win; ``None`` without prices."""
    if prices is None:
        return None
    found = what_if(run)
    title = "Break-even gate time at the paper's price"
    figures = figure_of("break-even", title, break_even_of(told, run), wide=True)
    return Section(
        key="change",
        heading="What would have to change",
        sentences=[words("change", prices=prices, ratio=_largest_gap(prices))],
        figures=figures,
        panel="" if found is None else panel(found),
    )


def _largest_gap(prices: RunPrices) -> float | None:
    """Return quantum over classical seconds at the step where the quantum price is nearest."""
    ratios = [p.audited / p.classical for p in prices.steps if p.audited and p.classical]
    return min(ratios, default=None)


def _details(told: PageRuns) -> list[Table]:
    config, trained_runs = told.config, [curve.run for curve in told.curves]
    found: list[Table] = []
    if told.told is not None and not told.several:
        run = told.told.run
        found += [tables.step_table(run, "All steps"), quantum_table(run)]
    configs = [config] if not told.several else [run.config for run in trained_runs]
    machines = (machine for each in configs for machine in (each.hardware, *each.profiles))
    calibrations = {each.calibration.name: each.calibration for each in configs if each.calibration}
    found.append(tables.price_table(trained_runs))
    found += map(tables.calibration_table, calibrations.values())
    found.append(tables.hardware_table([m for m in dict.fromkeys(machines) if m is not None]))
    if told.several:
        titled = ((f"Options of {c.label}", tables.option_table(c.run.config)) for c in told.curves)
        found += [replace(table, title=title) for title, table in titled]
    else:
        found.append(tables.option_table(config))
    return [table for table in found if table.rows]
