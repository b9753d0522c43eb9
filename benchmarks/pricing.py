"""How long do prices take: a portfolio, the same with error correction, and a replayed run?

Targets: 12 candidates or more in under 1 ms without error correction and in under 50 ms with it;
1,000 recorded steps replayed for another machine in under 2 s, process start included. The
recorded steps are a short run on digits, written again and again.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import Contender, Report, Say, describe_machine, interleave, reached
from qnewton.cost import (
    Audit,
    audited_quote,
    classical_quotes,
    kappa_facts,
    load_hardware,
    nominal_calibration,
    paper_quote,
)
from qnewton.cost.queries import QUERY_SETS
from qnewton.records import Quote
from qnewton.runs import read_run
from qnewton.training.request import TrainingRequest
from qnewton.training.session import begin, prepare
from qnewton.workloads import load_workload

RECORDED = 8
STEPS = 1000


def measure(say: Say) -> Report:
    """Time prices and a replay."""
    with tempfile.TemporaryDirectory() as name:
        folder = _thousand_steps(Path(name))
        contenders = [
            Contender("prices", lambda: _prices("perfect"), scale=1.0),
            Contender("prices, error correction", lambda: _prices("auto"), scale=1.0),
            Contender("replay", lambda: _replay(folder), scale=1.0),
        ]
        _prices("perfect")
        _prices("auto")
        found = interleave(contenders, say)
    count = len(_prices("perfect"))
    method = "qdk" if importlib.util.find_spec("qdk") else "the closed form"
    limits = {"prices": 1e-3, "prices, error correction": 50e-3, "replay": 2.0}
    questions = {
        "prices": f"{count} candidates priced, tables of gate counts cached",
        "prices, error correction": f"{count} candidates with error correction by {method}, cached",
        "replay": f"{STEPS} recorded steps replayed on another machine, a process of its own",
    }
    rows = [
        reached(
            questions[name],
            f"< {limit:g} s",
            f"{found[name].median:.3g} s",
            found[name].median < limit,
        )
        for name, limit in limits.items()
    ]
    return Report("pricing", rows, describe_machine(), dict(found), facts={"candidates": count})


def _prices(method: str) -> list[Quote]:
    calibration, facts = _CALIBRATION, _FACTS
    quotes = list(classical_quotes(calibration, facts))
    quotes += [paper_quote(facts, machine, bound="given") for machine in _MACHINES]
    quotes += [
        audited_quote(
            calibration,
            facts,
            _MACHINES[0],
            Audit(query_set=name, error_correction=method),  # type: ignore[arg-type]
        )
        for name in QUERY_SETS
    ]
    return quotes


_FACTS = kappa_facts(12_544, 30.0, 64)
_CALIBRATION = nominal_calibration()
_MACHINES = tuple(load_hardware(n) for n in ("qubit_gate_ns_e3", "photonic-ghz", "attosecond"))


def _thousand_steps(folder: Path) -> Path:
    request = TrainingRequest(
        workload="digits", steps=RECORDED, policy="paper", checkpoint_every=RECORDED
    )
    session = prepare(request, load_workload("digits", 0, None), nominal_calibration())
    run = folder / "run"
    begin(session, run)
    lines = (run / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    with (run / "steps.jsonl").open("w", encoding="utf-8") as log:
        for step in range(STEPS):
            record = json.loads(lines[step % len(lines)])
            log.write(json.dumps({**record, "step": step}, separators=(",", ":")) + "\n")
    assert len(read_run(run).steps) == STEPS
    return run


def _replay(folder: Path) -> None:
    words = ["replay", str(folder), "--hardware", "photonic-thz", "--policy", "paper", "--json"]
    subprocess.run([sys.executable, "-m", "qnewton", *words], check=True, capture_output=True)
