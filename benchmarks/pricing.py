"""How long do prices take: a portfolio with intervals, a replayed run, and a map?

Targets: 12 classical candidates or more in under 1 ms; 20 candidates, quantum ones with intervals,
in under 5 ms; 1,000 recorded steps replayed for another machine in under 2 s, process start
included; a map of 200 × 200 points with intervals in under 20 s. The recorded steps are a short run
on digits, written again and again, each with facts of its own.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.harness import Contender, Report, Say, describe_machine, interleave, reached
from benchmarks.long_run import long_run
from qnewton.cost import (
    AXES,
    Scenario,
    audited,
    classical_quotes,
    kappa_facts,
    load_classical,
    load_hardware,
    nominal_calibration,
    paper_quote,
    price_map,
)

STEPS = 1000
POINTS = 200
TURNS = 20
MAPS = (("n", "machine-time"), ("n", "kappa"))

_FACTS = kappa_facts(12_544, 30.0, 64)
_CALIBRATION = nominal_calibration()
_CARD = load_classical("h100")
_MACHINE = load_hardware("qubit_gate_ns_e3")
_HERE = Scenario(facts=_FACTS, calibration=_CALIBRATION, hardware=_MACHINE)


def measure(say: Say) -> Report:
    """Time prices, replays and maps."""
    with tempfile.TemporaryDirectory() as name:
        folder = long_run(Path(name), STEPS)
        policies = ("paper", "hybrid")
        contenders = [
            Contender("classical", partial(_often, _classical), scale=1.0 / TURNS),
            Contender("candidates", partial(_often, _candidates), scale=1.0 / TURNS),
            *(Contender(f"replay, {p}", partial(_replay, folder, p), scale=1.0) for p in policies),
            *(Contender(f"map, {x} × {y}", partial(_map, x, y), scale=1.0) for x, y in MAPS),
        ]
        counts = {"classical": _classical(), "candidates": _candidates()}
        found = interleave(contenders, say)
    limits = {"classical": 1e-3, "candidates": 5e-3, "replay": 2.0, "map": 20.0}
    questions = {
        "classical": f"{counts['classical']} classical candidates priced",
        "candidates": f"{counts['candidates']} candidates priced, audited ones with intervals",
        "replay": f"{STEPS} recorded steps replayed on another machine, a process of its own",
        "map": f"{POINTS} × {POINTS} points, intervals included",
    }
    rows = []
    for name, times in found.items():
        kind, _, which = name.partition(", ")
        title = questions[kind] + (f", {which}" if which else "")
        seen = f"{times.median:.3g} s"
        rows.append(reached(title, f"< {limits[kind]:g} s", seen, times.median < limits[kind]))
    return Report("pricing", rows, describe_machine(), dict(found), facts=counts)


def _often(price: Callable[[], int]) -> None:
    """Price as a loop over steps does, caches warm."""
    for _ in range(TURNS):
        price()


def _classical() -> int:
    return len(classical_quotes(_CALIBRATION, _FACTS))


def _candidates() -> int:
    """Price solvers on two machines, the paper's count, and every design; return how many."""
    quotes = [*classical_quotes(_CALIBRATION, _FACTS), *classical_quotes(_CARD, _FACTS)]
    quotes.append(paper_quote(_FACTS, _MACHINE, bound="given"))
    found = audited(_HERE)
    assert found.quote.low is not None
    return len(quotes) + len(found.designs)


def _map(x: str, y: str) -> float:
    """Price a map, and return the share of it that the quantum solver wins."""
    spans = (AXES[name].shown(_HERE) for name in (x, y))
    return price_map(_HERE, *spans, points=POINTS).shares["likely"]


def _replay(folder: Path, policy: str) -> None:
    words = ["replay", str(folder), "--hardware", "qubit_gate_ns_e4", "--policy", policy, "--json"]
    subprocess.run([sys.executable, "-m", "qnewton", *words], check=True, capture_output=True)
