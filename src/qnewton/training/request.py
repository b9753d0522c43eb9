"""What one training run is asked to do: the options of ``qnewton train``, checked on creation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, TypeVar, get_args

from qnewton.cost import DEFAULT_AUDIT, Audit
from qnewton.scheduler.policy import POLICIES

OptimizerName = Literal["qnewton", "sgd", "adam"]
ReadoutName = Literal["ideal", "amplitude", "hadamard", "swap"]

DEFAULT_HARDWARE = "attosecond"


@dataclass(frozen=True, kw_only=True)
class NewtonOptions:
    """What is trained and how Newton's steps are made, whoever solves them.

    Attributes:
        workload: What to train.
        target: Stop at this test accuracy (0 to 1).
        lr: Length of a step; the default is the workload's for Newton, 0.1 for sgd, 0.001 for
            adam; 1 where the damping sets itself.
        batch_size: Samples a step; the default is the workload's.
        curvature: The matrix of Newton's system: the exact hessian, the generalised Gauss-Newton
            matrix (ggn), or the empirical fisher. The default is the workload's: hessian, but
            fisher for language models.
        blocks: Parameters that share a Newton system: all (full), a layer, or a tensor; the
            default is the workload's: full, but layer for language models.
        damping: The λ of H + λI; the default is the workload's: 1, but 0.01 for language models.
            Or auto, which sets λ and the length of every step by what the loss did, as QNewton
            does where nothing is set.
        relative_damping: Read damping as a share of the largest entry: λ = damping·max|H|.
        max_newton: Unknowns of the largest block with a Newton system; larger ones take
            first-order steps. The default is no limit.
        rescale: Put the layers' directions together by the Fisher matrix between layers, so that
            layers that lower the same losses do not overshoot; the default is the workload's: off,
            but on for mistral. Needs curvature fisher.
        prune_count: Keep at most this many entries a row, symmetrically.
        prune_mass: Keep about this share (0 to 1) of every row's absolute sum, symmetrically.
        warmup: First-order steps before Newton starts: a count; auto, until the chosen solve is
            priced within a second; or paper, until κ and d are low.
        first_order_lr: Learning rate of those steps.
        hardware: Quantum machine to price on: a profile's name or a TOML file. Where a quantum
            machine is needed and none is named, it is the hypothetical attosecond one.
        epsilon: Error tolerance the quantum solver is priced and emulated at.
        seed: Draws the split, the weights and the batches.
    """

    workload: str = "digits"
    target: float | None = None
    lr: float | None = None
    batch_size: int | None = None
    curvature: Literal["hessian", "ggn", "fisher"] | None = None
    blocks: Literal["full", "layer", "tensor"] | None = None
    damping: float | Literal["auto"] | None = None
    relative_damping: bool = False
    max_newton: int | None = None
    rescale: bool | None = None
    prune_count: int | None = None
    prune_mass: float | None = None
    warmup: str = "0"
    first_order_lr: float = 0.1
    hardware: str | None = None
    epsilon: float = 1e-12
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("batch_size", "prune_count", "max_newton"):
            at_least_one(self, name)
        for name in ("damping", "first_order_lr", "lr"):
            value = getattr(self, name)
            if value in (None, "auto"):
                continue
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{_flag(name)} is {value}; it must be finite and 0 or more")
        for name in ("target", "prune_mass", "epsilon"):
            value = getattr(self, name)
            if value is not None and not 0 < value < 1:
                raise ValueError(f"{_flag(name)} is {value}; it must lie between 0 and 1")
        if self.damping == "auto" and self.relative_damping:
            raise ValueError("--relative-damping needs a --damping that is a number, not 'auto'")
        if self.prune_count is not None and self.prune_mass is not None:
            raise ValueError("--prune-count and --prune-mass exclude each other; give one")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"--seed is {self.seed}; it must lie between 0 and {2**31 - 1}")
        self.warmup_value  # noqa: B018  # raises on a malformed one

    @property
    def prune(self) -> int | float | None:
        """Pruning as ``QNewton`` takes it: a count, a mass, or nothing."""
        return self.prune_mass if self.prune_count is None else self.prune_count

    @property
    def warmup_value(self) -> int | str:
        """Warm-up as ``QNewton`` takes it."""
        if self.warmup in ("auto", "paper"):
            return self.warmup
        if not self.warmup.isdecimal():
            raise ValueError(
                f"--warmup is {self.warmup!r}; pass a count of 0 or more, 'auto' or 'paper'"
            )
        return int(self.warmup)


@dataclass(frozen=True, kw_only=True)
class TrainingRequest(NewtonOptions):
    """Options of one training run.

    Attributes:
        optimizer: qnewton, or a first-order optimizer to compare with.
        policy: Who chooses the solver: classical (cheapest that runs here), paper (LU inversion
            against the quantum price of the paper's Algorithm 2), hybrid (cheapest of all by
            audited price), classical-only, quantum-only.
        readout: How the quantum solver's state is read: ideal, without shots; amplitude, counts
            and then signs; hadamard, one test a component; swap, the same without signs.
        shots: Shots of every read-out, all together.
        readout_tolerance: Instead of shots, the error (0 to 1) that they are chosen for.
        audit: What the audited price of policy hybrid assumes.
        qpus: QPUs that under policy hybrid share a step's blocks with the classical machine.
        steps: Steps to take.
        survey_every: Newton steps from one measurement of κ and d to the next, where a quantum
            price needs them.
        checkpoint_every: Steps between checkpoints.
    """

    optimizer: OptimizerName = "qnewton"
    policy: str = "classical"
    readout: ReadoutName = "ideal"
    shots: int | None = None
    readout_tolerance: float | None = None
    audit: Audit = DEFAULT_AUDIT
    qpus: int = 1
    steps: int = 40
    survey_every: int = 1
    checkpoint_every: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("steps", "survey_every", "checkpoint_every", "qpus"):
            at_least_one(self, name)
        if self.policy not in POLICIES:
            raise ValueError(f"--policy is {self.policy!r}; choose {', '.join(POLICIES.names)}")
        given = [name for name in ("shots", "readout_tolerance") if getattr(self, name) is not None]
        if len(given) != (0 if self.readout == "ideal" else 1):
            raise ValueError(
                f"--readout {self.readout} goes with "
                + (
                    f"no shots, but {_flag(given[0])} is given; choose amplitude, hadamard or swap"
                    if self.readout == "ideal"
                    else "either --shots or --readout-tolerance; give one"
                )
            )
        at_least_one(self, "shots")

    @property
    def quantum_hardware(self) -> str | None:
        """The quantum machine in force, by name or path."""
        if self.hardware is None and POLICIES.get(self.policy).needs_quantum_machine:
            return DEFAULT_HARDWARE
        return self.hardware


def read_methods(names: Sequence[str]) -> tuple[ReadoutName, ...]:
    """Return the read-outs with shots that ``names`` name.

    Raises:
        ValueError: If one is not known, or is the ideal one.
    """
    known = {name: name for name in get_args(ReadoutName) if name != "ideal"}
    for name in names:
        if name not in known:
            raise ValueError(f"read-out {name!r} takes no shots; choose {', '.join(known)}")
    return tuple(known[name] for name in names)


Options = TypeVar("Options", bound=NewtonOptions)


def options_of(source: NewtonOptions, kind: type[Options]) -> Options:
    """Return the options of ``kind`` that ``source``, which has more fields, carries."""
    return kind(
        **{f.name: getattr(source, f.name) for f in fields(kind) if hasattr(source, f.name)}
    )


def at_least_one(options: object, name: str) -> None:
    """Raise ``ValueError`` if the count ``name`` is given and below 1."""
    value = getattr(options, name)
    if value is not None and value < 1:
        raise ValueError(f"{_flag(name)} is {value}; it must be at least 1")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
