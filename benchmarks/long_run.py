"""A recorded run of many steps: a short one on digits, written again and again."""

import json
from pathlib import Path

from qnewton.cost import nominal_calibration
from qnewton.runs import read_run
from qnewton.training.request import TrainingRequest
from qnewton.training.session import begin, prepare
from qnewton.workloads import load_workload

RECORDED = 8


def long_run(folder: Path, steps: int) -> Path:
    """Write a run of so many steps, each with facts of its own, and return its folder."""
    request = TrainingRequest(
        workload="digits", steps=RECORDED, policy="hybrid", checkpoint_every=RECORDED
    )
    session = prepare(request, load_workload("digits", 0, None), nominal_calibration())
    run = folder / f"run-{steps}"
    begin(session, run)
    lines = (run / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    with (run / "steps.jsonl").open("w", encoding="utf-8") as log:
        for step in range(steps):
            record = json.loads(lines[step % len(lines)]) | {"step": step}
            for block in record["blocks"]:
                block["facts"]["notes"] = [f"of step {step}"]
            log.write(json.dumps(record, separators=(",", ":")) + "\n")
    assert len(read_run(run).steps) == steps
    return run
