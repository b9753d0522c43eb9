"""One training run from request to folder: begun, or gone on with after an interruption."""

import dataclasses
import datetime
import sys
from collections.abc import Callable
from pathlib import Path

import numpy
import scipy
import torch
from torch import nn

import qnewton
from qnewton import optimizer, runs
from qnewton.cost import available_hardware, load_hardware
from qnewton.operators.base import dtype_name
from qnewton.records import Calibration, decode
from qnewton.solvers.quantum import Readout
from qnewton.training.loop import Progress, Session, TrainingResult, train
from qnewton.training.request import TrainingRequest
from qnewton.training.steppers import FirstOrderStepper, NewtonStepper, Stepper
from qnewton.workloads import Workload, load_workload

FIRST_ORDER: dict[str, tuple[type[torch.optim.Optimizer], float]] = {
    "sgd": (torch.optim.SGD, 0.1),
    "adam": (torch.optim.Adam, 1e-3),
}
"""The first-order optimizers by name, each with the learning rate it has by default."""


def versions() -> dict[str, str]:
    """Return the version of every package whose arithmetic a run depends on."""
    return {
        "qnewton": qnewton.__version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
    }


def prepare(request: TrainingRequest, workload: Workload, calibration: Calibration) -> Session:
    """Build model and optimizer, and freeze what the run will use.

    Raises:
        ValueError: If the request names something that does not exist.
    """
    request = resolved(request, workload)
    name = request.quantum_hardware
    hardware = load_hardware(name) if name is not None else None
    config = runs.RunConfig(
        kind="train",
        workload=request.workload,
        policy=request.policy if request.optimizer == "qnewton" else request.optimizer,
        seed=request.seed,
        options=dataclasses.asdict(request),
        versions=versions(),
        machine=optimizer.describe_machine(),
        threads=torch.get_num_threads(),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        calibration=calibration,
        hardware=hardware,
        profiles=tuple(load_hardware(name) for name in available_hardware()),
        data=workload.source,
        notes=workload.notes,
    )
    session = _session(request, config, workload)
    dtype = dtype_name(next(session.model.parameters()).dtype)
    return dataclasses.replace(session, config=dataclasses.replace(config, dtype=dtype))


def resolved(request: TrainingRequest, workload: Workload) -> TrainingRequest:
    """Return ``request`` with everything that it leaves to the workload filled in."""
    lr, automatic = request.lr, request.damping == "auto"
    if lr is None:
        newton_lr = 1.0 if automatic else workload.newton_lr
        _, lr = FIRST_ORDER.get(request.optimizer, (None, newton_lr))
    curvature = request.curvature or workload.newton.curvature
    rescale = request.rescale
    if rescale is None:
        rescale = workload.newton.rescale and curvature == "fisher" and not automatic
    return dataclasses.replace(
        request,
        lr=lr,
        curvature=curvature,
        blocks=request.blocks or workload.newton.blocks,
        damping=workload.newton.damping if request.damping is None else request.damping,
        rescale=rescale,
    )


def begin(
    session: Session,
    folder: Path,
    on_step: Callable[[Progress], None] = lambda _: None,
    on_stage: optimizer.StageHook = lambda _step, _stage: None,
) -> TrainingResult:
    """Train a prepared session into a new run folder.

    Args:
        session: What to train.
        folder: A new folder.
        on_step: Told of every step.
        on_stage: Told when a stage of a Newton step begins.

    Raises:
        RunExistsError: If the folder already holds something.
        RunStorageError: If the folder cannot be written.
    """
    session.stepper.on_stage(on_stage)
    with runs.RunWriter.create(folder, session.config) as writer:
        return train(session, writer=writer, on_step=on_step)


def resume(
    folder: Path,
    data_dir: Path | None = None,
    on_step: Callable[[Progress], None] = lambda _: None,
    on_stage: optimizer.StageHook = lambda _step, _stage: None,
    on_warning: Callable[[str], None] = lambda _: None,
) -> tuple[Session, TrainingResult]:
    """Go on with an interrupted run from its last checkpoint, to the bit.

    The run's own options, calibration and thread count stay in force; steps recorded after the
    checkpoint are taken again.

    Raises:
        NotARunError: If the folder is not a run.
        CorruptRunError: If what the run goes on from is not what it was; nothing is removed then.
        RunStorageError: If the folder cannot be written.
    """
    session = reopened(folder, data_dir, on_warning)
    checkpoint, warnings = runs.latest_checkpoint(folder)
    for warning in warnings:
        on_warning(warning)
    session.stepper.on_stage(on_stage)
    with runs.RunWriter.resume(folder, checkpoint) as writer:
        past = None
        if checkpoint is not None:
            session.restore(checkpoint.data)
            past = runs.read_run(folder)
        return session, train(session, writer=writer, past=past, on_step=on_step)


def reopened(
    folder: Path,
    data_dir: Path | None = None,
    on_warning: Callable[[str], None] = lambda _: None,
) -> Session:
    """Return a recorded run as it stood before its first step; nothing is written.

    The run's own options, calibration and thread count are put in force.

    Raises:
        NotARunError: If the folder is not a run.
        CorruptRunError: If its configuration is not what it was.
    """
    runs.check_config(folder)
    config = runs.read_config(folder)
    request = decode(TrainingRequest, config.options)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    for name, version in versions().items():
        if config.versions.get(name) != version:
            on_warning(
                f"the run began with {name} {config.versions.get(name)}, this is {version}: its "
                "numbers may differ in the last bits"
            )
    return _session(request, config, load_workload(request.workload, request.seed, data_dir))


def _session(request: TrainingRequest, config: runs.RunConfig, workload: Workload) -> Session:
    if request.batch_size is not None:
        workload = dataclasses.replace(workload, batch_size=request.batch_size)
    model = workload.build_model(request.seed)
    return Session(request, config, workload, model, _stepper(request, config, model))


def _stepper(request: TrainingRequest, config: runs.RunConfig, model: nn.Module) -> Stepper:
    assert config.calibration is not None
    assert request.lr is not None
    if request.optimizer in FIRST_ORDER:
        kind, _ = FIRST_ORDER[request.optimizer]
        first_order = kind(model.parameters(), lr=request.lr)  # type: ignore[call-arg]
        return FirstOrderStepper(first_order, model, config.calibration)
    assert request.curvature is not None
    assert request.damping is not None
    kind = "max-abs" if request.relative_damping else "absolute"
    warmup = optimizer.Warmup.of(request.warmup_value)
    quantum = optimizer.Quantum(
        config.hardware,
        epsilon=request.epsilon,
        readout=_readout(request),
        execute=request.execute,
        algorithm=request.algorithm,
        audit=request.audit,
        n_qpus=request.qpus,
        survey_every=request.survey_every,
    )
    newton = optimizer.QNewton(
        model,
        lr=request.lr,
        curvature=request.curvature,
        blocks=request.blocks,
        damping=optimizer.Damping(request.damping, kind),
        prune=request.prune,
        policy=request.policy,
        quantum=quantum,
        classical=optimizer.Classical(calibration=config.calibration),
        limits=optimizer.Limits(max_newton=request.max_newton),
        warmup=dataclasses.replace(warmup, first_order_lr=request.first_order_lr),
        rescale=bool(request.rescale),
        seed=request.seed,
    )
    return NewtonStepper(newton)


def _readout(request: TrainingRequest) -> Readout | None:
    if request.readout == "ideal":
        return None
    return Readout(method=request.readout, shots=request.shots, tolerance=request.readout_tolerance)
