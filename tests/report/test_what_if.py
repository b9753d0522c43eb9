"""The what-if panel: each stop costs what a replay says, and each control answers in a browser."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.cost import DEFAULT_AUDIT, load_hardware
from qnewton.cost.axes import faster
from qnewton.experiments.run_prices import price_run
from qnewton.records import Figure, encode
from qnewton.report.look import style_sheet
from qnewton.report.quantities import seconds_text
from qnewton.report.step_prices import run_prices
from qnewton.report.what_if import DEFAULT_MACHINE, MOST_DESIGNS, WhatIf, what_if, with_own
from qnewton.report.what_if_panel import panel, script, style
from qnewton.runs import Run, recorded
from qnewton.scheduler.pricing import ReplaySettings, repriced_steps
from qnewton.scheduler.run_prices import best_seconds, cheapest_by, solved_quotes
from tests.browsing import PHONE, Reader, sideways, violations, wait_for_frame

NAMES = ("digits", "bert", "mistral", "mnist", "pinn")


@cache
def _recorded(name: str, steps: tuple[int, ...] | None = None) -> Run:
    [run] = recorded(name)
    return run if steps is None else replace(run, steps=tuple(run.steps[at] for at in steps))


@cache
def _found(name: str, steps: tuple[int, ...] | None = None) -> WhatIf:
    found = what_if(_recorded(name, steps))
    assert found is not None
    return found


def _replayed(run: Run, asked: ReplaySettings, price: str = "audited") -> list[float]:
    """Return the quantum seconds of every solve as a replay finds them."""
    steps = repriced_steps(run.steps, cheapest_by(price), asked)
    best = (best_seconds(quotes, "quantum") for quotes in solved_quotes(steps))
    return [math.inf if seconds is None else seconds for seconds in best]


def _settings(found: WhatIf, stop: Sequence[int], gate_s: float, rival: int) -> ReplaySettings:
    """Return what a stop of the panel stands for: tables, query set, ε, error, writing."""
    tables, query_set, epsilon, error, writes = stop
    stops, own = found.stops, found.settings
    assert own.hardware is not None
    physical = stops.errors[error]
    audit = replace(
        own.audit,
        tables=stops.tables[tables],
        query_set=stops.query_sets[query_set],
        epsilon=stops.epsilons[epsilon],
        physical_error=physical,
        error_correction="perfect" if physical is None else "closed-form",
        table_building=bool(writes),
    )
    machine = faster(own.hardware, gate_s / own.hardware.gate_time_s.value)
    beside = found.rivals[rival].beside
    return replace(own, hardware=machine, audit=audit, calibration=beside)


def _panel(found: WhatIf, stop: Sequence[int], gate_s: float, rival: int) -> list[float]:
    """Return the quantum seconds of every solve as the panel has them."""
    at = (found.beside[rival], *stop[:4])
    return [float(each.seconds(gate_s, writes=bool(stop[4]))[at]) for each in found.lines]


def _every_stop(found: WhatIf) -> list[tuple[int, ...]]:
    stops = found.stops
    sizes = map(len, (stops.tables, stops.query_sets, stops.epsilons, stops.errors))
    return list(itertools.product(*map(range, (*sizes, 2))))


@pytest.mark.slow
def test_every_stop_costs_what_a_replay_says() -> None:
    # A block of which two eigenpairs may be taken out at most: every stop is asked of it.
    run = _recorded("mnist", (4,))
    run = replace(run, steps=tuple(replace(s, blocks=s.blocks[:1]) for s in run.steps))
    found = what_if(run)
    assert found is not None
    stops = _every_stop(found)
    assert len(stops) == 2 * 4 * 4 * 4 * 2
    for place, stop in enumerate(stops):
        gate_s = 10.0 ** -(3 + place % 20)
        rival = place % len(found.rivals)
        expected = _replayed(run, _settings(found, stop, gate_s, rival))
        assert _panel(found, stop, gate_s, rival) == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
@given(st.data())
@settings(max_examples=25, deadline=None)
def test_any_gate_time_on_any_run_costs_what_a_replay_says(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    run, found = _recorded(name, (4,)), _found(name, (4,))
    stop = data.draw(st.sampled_from(_every_stop(found)))
    gate_s = 10.0 ** data.draw(st.floats(-30.0, -3.0))
    rival = data.draw(st.integers(0, len(found.rivals) - 1))
    expected = _replayed(run, _settings(found, stop, gate_s, rival))
    assert _panel(found, stop, gate_s, rival) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_rivals_and_the_papers_price_are_those_of_a_replay(name: str) -> None:
    run, found = _recorded(name, (4,)), _found(name, (4,))
    own = found.settings
    assert own.hardware is not None
    gates = own.hardware.gate_time_s.value
    assert (found.paper * gates).tolist() == _replayed(run, own, "paper")
    for place, rival in enumerate(found.rivals):
        asked = replace(own, calibration=rival.calibration, solvers=rival.solvers)
        priced = price_run(run, asked, "paper")
        both = np.isfinite(found.classical[place]) & np.isfinite(found.paper)
        assert priced.priced == both.sum()
        assert priced.classical_seconds == pytest.approx(found.classical[place][both].sum())


def test_a_solver_that_took_over_is_no_rival_that_was_asked_for() -> None:
    """Conjugate gradients solved every step, and the paper's rival is LU inversion alone."""
    found = _found("digits")
    best, inversion = found.classical[:2]
    assert (inversion > 4 * best).all()


def test_another_machine_stands_in_where_the_runs_own_has_no_audited_price() -> None:
    run = _recorded("digits", (0,))
    machine = run.config.hardware
    assert machine is not None
    bare = load_hardware("attosecond")
    other = replace(run, config=replace(run.config, hardware=bare))
    found, prices = what_if(other), run_prices(other)
    assert found is not None
    assert prices is not None
    # The panel opens with what the page's first sentence says.
    assert found.settings.hardware == prices.audited_machine == load_hardware(DEFAULT_MACHINE)
    assert prices.machine == bare
    html = panel(found)
    assert "has no audited price: profile attosecond has no readout_time_s" in html
    assert "which error correction needs. qubit_gate_ns_e3 stands in for it." in html
    perfect = replace(DEFAULT_AUDIT, error_correction="perfect")
    options = dict(run.config.options) | {"audit": encode(perfect)}
    whole = what_if(replace(run, config=replace(other.config, options=options)))
    assert whole is not None
    assert (whole.settings.hardware, whole.readout_per_gate) == (bare, 2.0)
    assert "attosecond has no measurement time; 2 times its gate time stands in" in panel(whole)
    alone = what_if(replace(run, config=replace(run.config, hardware=None)))
    assert alone is not None
    assert "The run had no quantum machine. qubit_gate_ns_e3 stands in for it." in panel(alone)
    assert "stands in" not in panel(_found("digits"))
    estimated = replace(found.settings, audit=replace(found.settings.audit, error_correction="qdk"))
    assert "here the closed form stands in for it" in panel(replace(found, settings=estimated))
    noisy = replace(machine, two_qubit_error=Figure(value=3e-4, source="a test", date="2026-01-01"))
    found = what_if(replace(run, config=replace(run.config, hardware=noisy)))
    assert found is not None
    assert 1e-3 in found.stops.errors  # its measurements are no better


def test_long_runs_are_drawn_evenly() -> None:
    run = _recorded("digits")
    steps = tuple(replace(run.steps[at % 15], step=at) for at in range(1_000))
    found = what_if(replace(run, steps=steps))
    assert found is not None
    assert (found.steps[0], found.steps[-1], found.all_steps) == (0, 999, 1_000)
    gaps = np.diff(found.steps)
    assert gaps.max() - gaps.min() <= 1
    assert len(found.lines) <= MOST_DESIGNS
    html = panel(found)
    assert f"{len(found.steps)} of 1,000 steps are shown, drawn evenly." in html
    assert len(html) < 300_000


def test_a_run_that_solved_nothing_has_no_panel() -> None:
    run = _recorded("digits")
    assert what_if(replace(run, steps=())) is None
    assert what_if(replace(run, config=replace(run.config, calibration=None))) is None


def test_own_values_replace_the_nearest_stop() -> None:
    assert with_own((0.3, 0.1, 0.03), 0.11) == (0.3, 0.11, 0.03)
    assert with_own((0.3, 0.1, 0.03), 0.1) == (0.3, 0.1, 0.03)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a page that holds the panels of two runs and nothing else."""
    panels = panel(_found("digits")) + panel(_found("pinn"), "other")
    body = f"<main><h1>What if</h1>{panels}</main><script>{script()}</script>"
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    file = tmp_path_factory.mktemp("what-if") / "page.html"
    file.write_text(
        f'<!DOCTYPE html><html lang="en"><head>{head}<title>What if</title>'
        f"<style>{style_sheet()}{style()}</style></head><body>{body}</body></html>",
        encoding="utf-8",
    )
    return file


def test_every_control_answers(reader: Reader, page_file: Path) -> None:
    page = reader.open(page_file)
    digits = page.locator("#what-if")
    sentence = digits.locator("[data-part=sentence]")
    assert "wins 0 of 15 steps" in sentence.inner_text()
    price = price_run(_recorded("digits"), _found("digits").settings)
    assert price.gate_time_s is not None
    said = float(sentence.inner_text().split("gates of ")[2].split("·")[0]) * 1e-18
    assert said == pytest.approx(price.gate_time_s, rel=2e-2)
    digits.locator("summary").click()

    def row(step: int) -> list[str]:
        return digits.locator("tbody tr").nth(step).locator("td").all_inner_texts()

    found, seen = _found("digits"), {sentence.inner_text()}
    for name, value, stop in (
        ("error", "3", (0, 1, 1, 3, 1)),
        ("epsilon", "0", (0, 1, 0, 3, 1)),
        ("tables", "1 0", (1, 1, 0, 3, 0)),
        ("price", "3", (1, 3, 0, 3, 0)),
        ("rival", "1", (1, 3, 0, 3, 0)),
    ):
        control = digits.locator(f"[data-control={name}]")
        if name in ("error", "epsilon"):
            control.fill(value)
        else:
            control.select_option(value)
        wait_for_frame(page)
        assert sentence.inner_text() not in seen
        seen.add(sentence.inner_text())
        quantum = _panel(found, stop, 50e-9, 0)[4]
        classical = found.classical[1 if name == "rival" else 0, 4]
        assert row(4)[:2] == [seconds_text(classical), seconds_text(quantum)]
    digits.locator("[data-control=gate]").fill("-24")
    wait_for_frame(page)
    assert "wins 15 of 15 steps" in sentence.inner_text()
    assert row(4)[2] == "quantum"
    assert digits.locator("svg rect.quantum").count() == 15
    digits.locator("[data-control=price]").select_option("paper")
    wait_for_frame(page)
    assert digits.locator("[data-control=error]").is_disabled()
    digits.get_by_role("button", name="The run's own assumptions").click()
    assert "wins 0 of 15 steps" in sentence.inner_text()
    digits.get_by_role("button", name="Everything in favour of quantum").click()
    assert "gates of 50 ns" in sentence.inner_text()
    assert reader.faults == []


def test_solves_without_a_price_are_left_out(reader: Reader, page_file: Path) -> None:
    page = reader.open(page_file)
    pinn = page.locator("#other")
    assert "wins 0 of 11 steps" in pinn.locator("[data-part=sentence]").inner_text()
    assert pinn.locator("svg rect.no-price").count() == 5


def test_keys_move_the_gate_time(reader: Reader, page_file: Path) -> None:
    page = reader.open(page_file)
    gate = page.locator("#what-if [data-control=gate]")
    gate.focus()
    before = gate.get_attribute("aria-valuetext")
    page.keyboard.press("ArrowLeft")
    wait_for_frame(page)
    assert gate.get_attribute("aria-valuetext") != before
    assert before == "50 ns"


@pytest.mark.parametrize("dark", [False, True])
def test_panels_are_readable_on_a_phone_in_light_and_dark(
    reader: Reader, page_file: Path, *, dark: bool
) -> None:
    page = reader.open(page_file, PHONE, dark=dark)
    page.locator("summary").first.click()
    assert sideways(page) == 0
    assert violations(page) == []
