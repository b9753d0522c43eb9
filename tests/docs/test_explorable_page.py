"""The explorable as a reader meets it: every control answers, with what the package computes."""

import math
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from docs.explorable.register import unpacked
from tests.browsing import DESK, PHONE, Reader, sideways, violations, wait_for_frame

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.slow


def outcome(page: "Page", section: str) -> dict[str, float]:
    return page.eval_on_selector_all(
        f"#{section} data",
        "all => Object.fromEntries(all.map(x => [x.dataset.name, Number(x.value)]))",
    )


def move(page: "Page", slider: str, value: float) -> None:
    page.eval_on_selector(
        f"#{slider}",
        "(x, v) => { x.value = v; x.dispatchEvent(new Event('input', { bubbles: true })); }",
        value,
    )


def drawing(page: "Page", figure: str) -> str:
    return page.inner_html(f"#{figure} .chart")


def table(page: "Page", figure: str) -> list[list[str]]:
    """Open a chart's numbers and return their rows."""
    page.eval_on_selector(f"#{figure} details", "x => { x.open = true; }")
    page.wait_for_function(f"document.querySelector('#{figure} tbody tr') !== null")
    return page.eval_on_selector_all(
        f"#{figure} tbody tr", "all => all.map(r => [...r.cells].map(c => c.textContent))"
    )


_LOWERED = {ord("⁻"): "-"} | {ord(c): str(k) for k, c in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}


def number(text: str) -> float:
    """Read a number as the page writes it."""
    text = text.replace(",", "").replace("−", "-")
    digits, _, power = text.rpartition("10") if re.search("10[⁻⁰-⁹¹²³]", text) else (text, "", "⁰")
    return float(digits.removesuffix("·") or 1) * 10.0 ** int(power.translate(_LOWERED))


@pytest.mark.parametrize(
    ("section", "slider", "figures"),
    [
        ("hhl", "hhl-qubits", ("hhl-board", "hhl-components")),
        ("qsvt", "qsvt-degree", ("qsvt-bars", "qsvt-components")),
    ],
)
def test_a_reader_goes_through_every_stop(
    stops: Any,
    explorable: Path,
    reader: Reader,
    section: str,
    slider: str,
    figures: tuple[str, ...],
) -> None:
    page = reader.open(explorable)
    stages = page.locator(f"#{section} .stages > li").count()
    assert stages == len(stops[4][section][0]["stages"])
    for n in (4, 16):
        page.check(f"#{section} input[value='{n}']", force=True)
        drawn = set()
        for present, stop in enumerate(stops[n][section]):
            move(page, slider, present)
            wanted = {key: stop[key] for key in ("success", "queries", "expected", "off")}
            assert outcome(page, section) == pytest.approx(wanted, rel=1e-12)
            drawn.add(drawing(page, f"{section}-errors"))
        assert len(drawn) == len(stops[n][section])
    # Forward by the button: every sentence and every chart answers.
    said, seen = [], []
    for stage in range(stages):
        if stage:
            page.click(f"#{section} .next")
        assert page.inner_text(f"#{section} .place") == f"Step {stage + 1} of {stages}"
        said.append(page.inner_text(f"#{section} .says"))
        seen.append([drawing(page, figure) for figure in figures])
    assert len(set(said)) == stages
    assert all(before != after for before, after in pairwise(seen))
    assert page.get_attribute(f"#{section} .next", "aria-disabled") == "true"
    rows = table(page, f"{section}-components")
    shown, exact = ([number(row[column]) for row in rows] for column in (1, 2))
    np.testing.assert_allclose(exact, stops[16]["exact"], rtol=6e-3, atol=1e-9)
    last = stops[16][section][-1]["stages"][-1]["components"]
    np.testing.assert_allclose(shown, last, rtol=6e-3, atol=1e-9)
    # Back by the arrow key, and to any step by its own button.
    for stage in reversed(range(stages)):
        page.keyboard.press("ArrowLeft")
        assert page.inner_text(f"#{section} .place") == f"Step {max(stage, 1)} of {stages}"
    page.click(f"#{section} .stages > li:nth-child(3) button")
    assert page.inner_text(f"#{section} .place") == f"Step 3 of {stages}"


def test_calls_are_taken_back(stops: Any, explorable: Path, reader: Reader) -> None:
    page = reader.open(explorable)
    assert not page.is_visible("#qsvt-calls")
    page.click("#qsvt .stages > li:nth-child(4) button")
    for n in (16, 4):
        page.check(f"#qsvt input[value='{n}']", force=True)
        degree = stops[n]["qsvt"][2]["degree"]
        assert f"After {degree} of {degree} calls" in page.inner_text("#qsvt .says")
    stop = stops[4]["qsvt"][2]
    chances = []
    for call in range(stop["degree"] + 1):
        move(page, "qsvt-calls", call)
        [chance] = re.findall(r"chance of ([\d.]+)%", page.inner_text("#qsvt .says"))
        chances.append(float(chance) / 100)
    calls = unpacked(stop["calls"], 4)[::2]
    np.testing.assert_allclose(chances, np.sum(np.abs(calls) ** 2, axis=1), atol=5e-3, rtol=5e-3)


def test_damping_is_worked_out_exactly(
    small: Mapping[int, Any], explorable: Path, reader: Reader
) -> None:
    page = reader.open(explorable)
    system = small[16]
    hessian = system.matrix - system.damping * np.eye(16)
    for exponent in (-3.0, -1.56, -1.0, 0.37, 1.0):
        move(page, "damping-strength", exponent)
        matrix = hessian + 10**exponent * np.eye(16)
        step = np.linalg.solve(matrix, system.rhs)
        cosine = step @ system.rhs / np.linalg.norm(step) / np.linalg.norm(system.rhs)
        said = page.inner_text("#damping .says")
        found = re.fullmatch(
            r"λ = (\S+): κ = (\S+), a step of length (\S+), (\S+)° from the negative gradient\. .*",
            said,
        )
        assert found is not None, said
        wanted = (
            10**exponent,
            np.linalg.cond(matrix),
            np.linalg.norm(step),
            math.degrees(math.acos(cosine)),
        )
        assert [number(text) for text in found.groups()] == pytest.approx(wanted, rel=6e-3)
        uphill = int(np.sum(np.linalg.eigvalsh(matrix) < 0))
        assert (f"{uphill} of the eigenvalues" in said) == (uphill > 0)
        shown = [number(row[1]) for row in table(page, "damping-step")]
        np.testing.assert_allclose(shown, step, rtol=6e-3, atol=1e-9)
        values = [number(row[0]) for row in table(page, "damping-spectrum")]
        np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix), rtol=6e-3, atol=1e-9)


def test_shots_are_moved(stops: Any, explorable: Path, reader: Reader) -> None:
    page = reader.open(explorable)
    for n in (4, 16):
        page.check(f"#readout input[value='{n}']", force=True)
        for present, row in enumerate(stops[n]["readout"]["rows"]):
            move(page, "readout-shots", present)
            assert f"{row['shots']:,} runs" in page.inner_text("#readout .says")
            shown = [number(cells[1]) for cells in table(page, "readout-components")]
            np.testing.assert_allclose(shown, row["vector"], atol=6e-3)


def test_the_price_moves_with_its_assumptions(explorable: Path, reader: Reader) -> None:
    page = reader.open(explorable)
    sentence = page.locator("#assumptions [data-part=sentence]")
    sentence.get_by_text("One solve takes").wait_for()
    # The controls begin where the table above them stands.
    [quantum, classical] = (
        page.inner_text(f"#rungs tr:has-text('{row}') td:last-child")
        for row in ("The quantum solve", "The classical solve")
    )
    assert table(page, "overview")[1][1:3] == [classical, quantum]
    said = sentence.inner_text()
    assert f"takes {quantum} by the quantum solver" in said
    assert f"and {classical} by conjugate gradients on an H100" in said
    seen = {said}
    for control, value in (("gate", "-180"), ("error", "-50"), ("epsilon", "-5"), ("kappa", "50")):
        page.fill(f"#assumptions [data-control={control}]", value)
        wait_for_frame(page)
        seen.add(sentence.inner_text())
    assert len(seen) == 5


def test_everybody_can_use_it(explorable: Path, reader: Reader) -> None:
    assert explorable.stat().st_size < 2e6
    for size, dark in ((DESK, False), (PHONE, True)):
        page = reader.open(explorable, size, dark=dark)
        page.get_by_text("One solve takes").wait_for()
        for section in ("hhl", "qsvt"):
            for _ in range(3):
                page.click(f"#{section} .next")
        assert violations(page) == []
        assert sideways(page) == 0
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.click("#theme")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
        unnamed = page.eval_on_selector_all(
            "figure > .chart",
            "all => all.filter(x => (x.getAttribute('aria-label') ?? '').length < 30).length",
        )
        assert unnamed == 0
        page.eval_on_selector_all("details", "all => all.forEach(x => { x.open = true; })")
        page.wait_for_function(
            "[...document.querySelectorAll('figure')].every(x => x.querySelector('tbody'))"
        )
        assert sideways(page) == 0
        assert violations(page) == []
