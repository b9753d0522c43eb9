"""Record the short runs that come with the package, and pack them.

    python -m benchmarks.recorded_runs                 # all of them, some minutes
    python -m benchmarks.recorded_runs digits pinn     # some of them

Every run trains with policy ``hybrid`` on a machine whose errors have figures, so that its facts
hold what any price asks for, at nominal classical rates, so that its prices are the same wherever
it is recorded. BERT and Mistral need the extra ``text``, MNIST and the texts the folder that
QNEWTON_DATA names.
"""

import argparse
import dataclasses
import datetime
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from benchmarks.physics_problems import burgers
from qnewton import Classical, QNewton, Quantum
from qnewton.cost import Audit, load_hardware, nominal_calibration
from qnewton.optimizer import describe_machine
from qnewton.runs import RunConfig, RunWriter, pack_run
from qnewton.training.request import TrainingRequest
from qnewton.training.session import begin, prepare, versions
from qnewton.workloads import load_workload

MACHINE = "qubit_gate_ns_e3"
_PINN_STEPS = 16
_AUDIT = Audit(error_correction="closed-form")  # of whatever machine, with no package beside ours
_ASKED = {"audit": _AUDIT, "policy": "hybrid", "hardware": MACHINE, "checkpoint_every": 1000}

# Layers above 4,200 unknowns take the gradient: their surveys are minutes a step.
_TEXT = {"steps": 5, "batch_size": 16, "max_newton": 4200}

REQUESTS = {
    "digits": TrainingRequest(workload="digits", steps=15, **_ASKED),
    "mnist": TrainingRequest(workload="mnist", steps=5, blocks="layer", **_ASKED),
    "bert": TrainingRequest(workload="bert", **_TEXT, **_ASKED),
    "mistral": TrainingRequest(workload="mistral", **_TEXT, **_ASKED),
}
"""The runs that the command ``train`` could make, too."""


def record_workload(name: str, folder: Path) -> None:
    """Train a workload into a run folder."""
    request = REQUESTS[name]
    workload = load_workload(request.workload, request.seed)
    begin(prepare(request, workload, nominal_calibration()), folder)


def record_pinn(folder: Path) -> None:
    """Train the network of Burgers' equation, N = 922, with a damping that sets itself."""
    problem, calibration = burgers(), nominal_calibration()
    hardware = load_hardware(MACHINE)
    config = RunConfig(
        kind="train",
        workload="pinn",
        policy="hybrid",
        seed=0,
        options={"audit": dataclasses.asdict(_AUDIT), "steps": _PINN_STEPS, "qpus": 1},
        versions=versions(),
        machine=describe_machine(),
        threads=torch.get_num_threads(),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        calibration=calibration,
        hardware=hardware,
        data=problem.title,
        dtype="float64",
    )
    optimizer = QNewton(
        problem.model,
        policy="hybrid",
        quantum=Quantum(hardware, audit=_AUDIT),
        classical=Classical(calibration=calibration),
    )
    with RunWriter.create(folder, config) as writer:
        for _ in range(_PINN_STEPS):
            optimizer.step(problem.loss)
            writer.append_step(optimizer.records[-1])


RECORDERS: Mapping[str, Callable[[str, Path], None]] = {
    **dict.fromkeys(REQUESTS, record_workload),
    "pinn": lambda _, folder: record_pinn(folder),
}
"""What records each run, by its name."""


def main(arguments: list[str]) -> int:
    """Record the named runs, or all of them, and say how large they are."""
    parser = argparse.ArgumentParser(description="Record the runs that come with the package.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RECORDERS))
    names = parser.parse_args(arguments).names or list(RECORDERS)
    for name in names:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / name
            RECORDERS[name](name, folder)
            packed = pack_run(folder, name)
        size = sum(path.stat().st_size for path in packed.iterdir())
        print(f"{name}: {size / 1e3:,.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
