"""The price panel of one system shows what ``qnewton price`` says, at any assumption."""

import json
import math
import random
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qnewton import cost
from qnewton.cli import main
from qnewton.cost.axes import slower
from qnewton.records import Figure
from qnewton.report.look import style_sheet
from qnewton.report.quantities import seconds_text
from qnewton.report.what_if_panel import style
from qnewton.report.what_if_system import (
    EPSILONS,
    KAPPAS,
    MACHINES,
    QUERY_SETS,
    TABLES,
    SystemPrices,
    facts_of,
    system_prices,
)
from qnewton.report.what_if_system_panel import system_panel, system_script
from tests.browsing import PHONE, Reader, sideways, violations, wait_for_frame

SIZES = (16, 12_544, 2**30)
MACHINE = cost.load_hardware("qubit_gate_ns_e3")


@cache
def _prices() -> SystemPrices:
    return system_prices(SIZES)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a page that holds the panel and nothing else."""
    body = f"<main><h1>A price</h1>{system_panel(prices=_prices())}</main>"
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    file = tmp_path_factory.mktemp("system") / "page.html"
    file.write_text(
        f'<!DOCTYPE html><html lang="en"><head>{head}<title>A price</title>'
        f"<style>{style_sheet()}{style()}</style></head>"
        f"<body>{body}<script>{system_script()}</script></body></html>",
        encoding="utf-8",
    )
    return file


def _drawn(rng: random.Random, *, node: bool) -> dict[str, Any]:
    """Draw a system and what is assumed of it, as the page's script names them."""
    pair = rng.randrange(len(_prices().pairs))
    n, d = _prices().pairs[pair]
    error = rng.choice([None, *(10.0 ** rng.uniform(-6.0, -2.05) for _ in range(3))])
    return {
        "n": n,
        "d": d,
        "pair": pair,
        "size": SIZES.index(n),
        "kappa": rng.choice(KAPPAS) if node else 10.0 ** rng.uniform(0.0, 6.0),
        "epsilon": rng.choice(EPSILONS) if node else 10.0 ** rng.uniform(-2.0, math.log10(0.5)),
        "gate": 10.0 ** rng.uniform(-24.0, -3.0),
        "measurement": 10.0 ** rng.uniform(-24.0, -3.0),
        "error": 1e-3 if node else error,
        "constants": 1,
        "querySet": rng.randrange(len(QUERY_SETS)),
        "tables": rng.randrange(len(TABLES)),
        "writes": rng.randrange(2),
        "machine": rng.randrange(len(MACHINES)),
        "inversion": 0,
        "speed": 10.0 ** rng.uniform(-6.0, 6.0),
    }


def _priced(system: dict[str, Any]) -> tuple[list[float], float]:
    """Return the quantum seconds at all constants, and the classical ones, of the package."""
    times = {"gate_time_s": system["gate"], "readout_time_s": system["measurement"]}
    figures = {name: Figure(value=s, source="test", date="2026-01-01") for name, s in times.items()}
    audit = cost.Audit(
        query_set=QUERY_SETS[system["querySet"]],
        epsilon=system["epsilon"],
        tables=TABLES[system["tables"]],
        table_building=bool(system["writes"]),
        error_correction="perfect" if system["error"] is None else "closed-form",
        physical_error=system["error"],
    )
    machine = cost.load_classical(list(MACHINES)[system["machine"]])
    facts = facts_of(system["n"], system["d"], system["kappa"], system["epsilon"])
    scenario = cost.Scenario(
        facts=facts,
        calibration=slower(machine, 1.0 / system["speed"]),
        hardware=replace(MACHINE, **figures),
        audit=audit,
    )
    found = cost.prices([scenario])
    return found.quantum[:, 0].tolist(), float(found.classical[0])


_ASK = "systems => systems.map((system) => document.querySelector('.system').priceAt(system))"


def _shown(reader: Reader, file: Path, systems: list[dict[str, Any]]) -> list[dict[str, Any]]:
    page = reader.open(file)
    page.get_by_text("One solve takes").wait_for()
    return page.evaluate(_ASK, systems)


def test_at_the_nodes_the_page_shows_the_packages_prices(reader: Reader, page_file: Path) -> None:
    rng = random.Random(0)
    systems = [_drawn(rng, node=True) for _ in range(40)]
    for system, shown in zip(systems, _shown(reader, page_file, systems), strict=True):
        quantum, classical = _priced(system)
        found = [shown["quantum"][name] for name in ("low", "total", "high")]
        assert found == pytest.approx(quantum, rel=2e-3), system
        if math.isnan(classical):
            assert shown["classical"] is None
        else:
            assert shown["classical"]["seconds"] == pytest.approx(classical, rel=1e-5), system


@pytest.mark.slow
def test_between_the_nodes_prices_are_close(reader: Reader, page_file: Path) -> None:
    rng = random.Random(1)
    systems = [_drawn(rng, node=False) for _ in range(100)]
    off = []
    for system, shown in zip(systems, _shown(reader, page_file, systems), strict=True):
        quantum, classical = _priced(system)
        found = [shown["quantum"][name] for name in ("low", "total", "high")]
        off.append(np.abs(np.log(np.array(found, float) / quantum)))
        if not math.isnan(classical):
            assert shown["classical"]["seconds"] == pytest.approx(classical, rel=1e-5), system
    assert (np.quantile(off, 0.95, axis=0) < math.log(1.05)).all()
    # One step of a code distance of 5, the least that there is here.
    assert np.max(off) < math.log(7.0 / 5.0)


@pytest.mark.slow
def test_the_first_view_is_what_the_command_prints(
    reader: Reader, page_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = "price --n 12544 --kappa 30 --sparsity 1946 --hardware qubit_gate_ns_e3"
    machine = "--calibration h100 --rivals"
    assert main([*asked.split(), *machine.split(), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    quantum = seconds_text(printed["audited"][0]["seconds"])
    page = reader.open(page_file)
    sentence = page.locator("[data-part=sentence]")
    sentence.get_by_text(f"One solve takes {quantum} by the quantum solver").wait_for()
    assert "gates of 50 ns that fail once in 1,000" in sentence.inner_text()
    best = min(q["seconds"] for q in printed["quotes"] if q["seconds"] is not None)
    assert f"{seconds_text(best)} by conjugate gradients on an H100" in sentence.inner_text()
    ends = [seconds_text(printed["audited"][0][end]) for end in ("low", "high")]
    said = page.locator("[data-part=interval]").inner_text().rstrip(".")
    assert _close(said.partition("between ")[2].split(" and "), ends)
    page.locator("summary").click()
    terms = printed["breakdown"]["seconds"]
    rows = page.locator("tbody td").all_inner_texts()
    names = ("tables", "block-encoding", "state preparation", "solver", "error correction")
    assert _close(rows[:5], [seconds_text(terms[name]) for name in names])


def _close(shown: list[str], printed: list[str]) -> bool:
    """Return whether durations are the same but for their third digit."""
    pairs = [(one.split("·"), other.split("·")) for one, other in zip(shown, printed, strict=True)]
    leading = [(float(one[0].split()[0]), float(other[0].split()[0])) for one, other in pairs]
    same_units = all(
        one[0].split()[1:] == other[0].split()[1:] and one[1:] == other[1:] for one, other in pairs
    )
    return same_units and all(abs(one / other - 1.0) < 5e-3 for one, other in leading)


def test_every_control_of_a_system_answers(reader: Reader, page_file: Path) -> None:
    page = reader.open(page_file)
    page.get_by_text("One solve takes").wait_for()
    panel = page.locator(".what-if.system")

    def seen() -> str:
        parts = ("sentence", "interval", "rows")
        return " ".join(panel.locator(f"[data-part={p}]").text_content() or "" for p in parts)

    def moved(act: Any) -> None:
        before = seen()
        act()
        wait_for_frame(page)
        assert seen() != before

    sliders = {"n": 2, "d": 0, "kappa": 40, "epsilon": -20, "gate": -180, "measurement": -175}
    for name, value in (sliders | {"error": -55, "speed": 30}).items():
        moved(lambda n=name, v=value: panel.locator(f"[data-control={n}]").fill(str(v)))
    for name, value in (("sets", "3"), ("tables", "1 0"), ("rival", "2 0"), ("rival", "0 1")):
        moved(lambda n=name, v=value: panel.locator(f"[data-control={n}]").select_option(v))
    moved(lambda: panel.get_by_label("high", exact=True).check())
    moved(lambda: panel.get_by_label("gates never fail").check())
    assert panel.locator("[data-control=error]").is_disabled()
    moved(lambda: panel.get_by_role("button").click())
    assert "gates of 50 ns that fail once in 1,000" in seen()
    panel.locator("[data-control=n]").fill("2")
    panel.locator("[data-control=rival]").select_option("1 0")
    panel.locator("[data-control=d]").fill("5")
    page.get_by_text("does not fit into the rival's memory").wait_for()


@pytest.mark.parametrize("dark", [False, True])
def test_the_panel_is_readable_on_a_phone(reader: Reader, page_file: Path, *, dark: bool) -> None:
    page = reader.open(page_file, PHONE, dark=dark)
    page.get_by_text("One solve takes").wait_for()
    page.locator("summary").click()
    assert sideways(page) == 0
    assert violations(page) == []


def test_the_panel_is_small() -> None:
    assert len(system_panel(prices=_prices())) < 400_000
