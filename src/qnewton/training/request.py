"""What one training run is asked to do: options in groups, each checked on creation.

The groups are those of :class:`qnewton.QNewton`'s arguments. The command line reads them one by
one; a :class:`TrainingRequest` holds them all, and is what a run folder records.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from tyro.conf import Positional

from qnewton.cost import DEFAULT_AUDIT, Audit
from qnewton.records.messages import choice_of
from qnewton.scheduler.policy import POLICIES

OptimizerName = Literal["qnewton", "sgd", "adam"]
ExecuteName = Literal["emulator", "circuit", "fake_sherbrooke"]
QuantumName = Literal["qsvt", "dalzell", "hhl", "costa", "deflated_qsvt"]
ReadoutName = Literal["ideal", "amplitude", "hadamard", "swap"]

DEFAULT_HARDWARE = "attosecond"


_COUNTS = ("steps", "batch_size", "checkpoint_every", "prune_count", "max_newton")
_COUNTS += ("qpus", "survey_every", "shots")
_SHARES = ("target", "prune_mass", "epsilon")
_FINITE = ("lr", "damping", "first_order_lr")


class Options:
    """A group of options that belong to a training request; each checks its own."""

    def __post_init__(self) -> None:
        check_counts(self, *_COUNTS)
        _check(self, _SHARES, lambda value: 0 < value < 1, "lie between 0 and 1")
        _check(self, _FINITE, lambda value: 0 <= value < math.inf, "be finite and 0 or more")


@dataclass(frozen=True, kw_only=True)
class WorkloadOptions(Options):
    """What is trained, and how long.

    Attributes:
        workload: What to train.
        steps: The most steps that are taken.
        seed: The split, the weights and the batches are drawn from it.
    """

    workload: Positional[str] = "digits"
    steps: int = 40
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"--seed is {self.seed}; it must lie between 0 and {2**31 - 1}")


@dataclass(frozen=True, kw_only=True)
class RunOptions(WorkloadOptions):
    """What is trained, how long, and in which steps.

    Attributes:
        target: Test accuracy (0 to 1) at which the training stops.
        lr: Length of a step. The default is the workload's for Newton, 0.1 for sgd and 0.001 for
            adam; it is 1 where the damping sets itself.
        batch_size: Samples per step; the default is the workload's.
    """

    target: float | None = None
    lr: float | None = None
    batch_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class MethodOptions(Options):
    """Which optimizer takes the steps, and which policy chooses the solver.

    Attributes:
        optimizer: qnewton, or a first-order optimizer to compare it with.
        policy: Who chooses the solver: classical takes the cheapest that runs here; paper weighs
            LU inversion against the quantum price of the paper's Algorithm 2; hybrid takes the
            cheapest of all by audited price; classical-only and quantum-only have no choice.
        checkpoint_every: Steps from one checkpoint to the next.
    """

    optimizer: OptimizerName = "qnewton"
    policy: str = "classical"
    checkpoint_every: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.policy not in POLICIES:
            raise ValueError(
                f"--policy is {self.policy!r}; {choice_of(self.policy, POLICIES.names)}"
            )


@dataclass(frozen=True, kw_only=True)
class NewtonOptions(Options):
    """How Newton's systems are made.

    Attributes:
        curvature: The matrix of Newton's system: the exact hessian, the generalised Gauss-Newton
            matrix (ggn), or the empirical fisher; auto chooses with --damping auto, and takes
            averaged steps where batches change. The default is the workload's: hessian, but
            fisher for language models.
        blocks: The parameters that share one system: all of them (full), those of a layer, or
            those of a tensor. The default is the workload's: full, but layer for language models.
        rescale: Whether the layers' directions are put together by the Fisher matrix between
            layers, so that layers that lower the same losses do not overshoot. The default is the
            workload's: off, but on for mistral. It needs curvature fisher.
        prune_count: Keep at most this many entries per row, symmetrically.
        prune_mass: Keep about this share (0 to 1) of every row's absolute sum, symmetrically.
    """

    curvature: Literal["auto", "hessian", "ggn", "fisher"] | None = None
    blocks: Literal["full", "layer", "tensor"] | None = None
    rescale: bool | None = None
    prune_count: int | None = None
    prune_mass: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.prune_count is not None and self.prune_mass is not None:
            raise ValueError("--prune-count and --prune-mass exclude each other; give one")

    @property
    def prune(self) -> int | float | None:
        """Pruning as ``QNewton`` takes it: a count, a mass, or nothing."""
        return self.prune_mass if self.prune_count is None else self.prune_count


@dataclass(frozen=True, kw_only=True)
class DampingOptions(Options):
    """The λ that is added to the diagonal.

    Attributes:
        damping: The λ of H + λI. The default is the workload's: 1, but 0.01 for language models.
            With auto, λ and the length of every step are set by what the loss did, as QNewton
            does where nothing is set.
        relative_damping: Read damping as a share of the largest entry: λ = damping·max|H|.
    """

    damping: float | Literal["auto"] | None = None
    relative_damping: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.damping == "auto" and self.relative_damping:
            raise ValueError("--relative-damping needs a --damping that is a number, not 'auto'")


@dataclass(frozen=True, kw_only=True)
class LimitOptions(Options):
    """The sizes up to which a block gets a Newton system.

    Attributes:
        max_newton: Unknowns of the largest block with a Newton system. Larger blocks take
            first-order steps. The default is no limit.
    """

    max_newton: int | None = None


@dataclass(frozen=True, kw_only=True)
class WarmupOptions(Options):
    """The first-order steps before Newton's.

    Attributes:
        warmup: How many first-order steps come before Newton's: a count; with auto, until the
            chosen solve is priced within a second; with paper, until κ and d are low.
        first_order_lr: Learning rate of first-order steps.
    """

    warmup: str = "0"
    first_order_lr: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.warmup_value  # noqa: B018  # raises on a malformed one

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
class MachineOptions(Options):
    """The quantum machine that prices are made for.

    Attributes:
        hardware: The quantum machine: a profile's name or a TOML file. Where a training run needs
            one and none is named, it is the hypothetical attosecond machine.
        epsilon: Error tolerance at which the quantum solver is priced and emulated.
    """

    hardware: str | None = None
    epsilon: float = 1e-12


@dataclass(frozen=True, kw_only=True)
class ExecutedOptions(MachineOptions):
    """The quantum machine that prices are made for, and what stands in for it.

    Attributes:
        execute: What carries the quantum solver out: the emulator, or the gates of its circuit,
            simulated exactly. A circuit takes a system of up to 256 unknowns, and the extra
            packages of pip install 'qnewton[quantum]'.
    """

    execute: Literal["emulator", "circuit"] = "emulator"


@dataclass(frozen=True, kw_only=True)
class QuantumOptions(MachineOptions):
    """The quantum machine, and what is asked of it.

    Attributes:
        execute: What carries the quantum solver out: the emulator; the gates of its circuit,
            simulated exactly, for systems of up to 256 unknowns; or these on the model of a machine
            with its noise, for up to 8 unknowns and with shots. Circuits need the extra packages
            of pip install 'qnewton[quantum]'.
        algorithm: The quantum solver that is priced and run; by default the cheapest under policy
            hybrid, and qsvt otherwise.
        readout: How the quantum solver's state is read: ideal needs no shots; amplitude counts
            and then finds the signs; hadamard makes one test per component; swap does the same
            without signs.
        shots: Shots of every read-out, all together.
        readout_tolerance: In place of shots, the error (0 to 1) that they are chosen for.
        qpus: QPUs that under policy hybrid share a step's blocks with the classical machine.
        survey_every: Newton steps from one measurement of κ and d to the next, where a quantum
            price needs them.
    """

    execute: ExecuteName = "emulator"
    algorithm: QuantumName | None = None
    readout: ReadoutName = "ideal"
    shots: int | None = None
    readout_tolerance: float | None = None
    qpus: int = 1
    survey_every: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        given = [name for name in ("shots", "readout_tolerance") if getattr(self, name) is not None]
        if self.readout == "ideal" and given:
            raise ValueError(
                f"--readout ideal goes with no shots, but {_flag(given[0])} is given; choose "
                "amplitude, hadamard or swap"
            )
        if self.readout != "ideal" and len(given) != 1:
            raise ValueError(
                f"--readout {self.readout} goes with either --shots or --readout-tolerance; "
                "give one"
            )


@dataclass(frozen=True, kw_only=True)
class TrainingRequest(
    MethodOptions,
    QuantumOptions,
    WarmupOptions,
    LimitOptions,
    DampingOptions,
    NewtonOptions,
    RunOptions,
):
    """All options of one training run, each under the name it has on the command line.

    Attributes:
        audit: What the audited price of policy hybrid assumes.
    """

    audit: Audit = DEFAULT_AUDIT

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.damping == "auto" and self.max_newton is not None:
            judged = "'auto' judges all parameters together"
            raise ValueError(f"--max-newton needs a damping that is a number, since {judged}")

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
            raise ValueError(f"read-out {name!r} takes no shots; {choice_of(name, known)}")
    return tuple(known[name] for name in names)


def request_of(command: object, **more: Any) -> TrainingRequest:
    """Return the request with the groups of options that a command holds, defaults elsewhere."""
    groups = [value for value in vars(command).values() if isinstance(value, Options)]
    options = {f.name: getattr(group, f.name) for group in groups for f in fields(group)}  # type: ignore[arg-type]
    return TrainingRequest(**options, **more)


def check_counts(options: object, *names: str) -> None:
    """Raise ``ValueError`` if one of the named counts is given and below 1."""
    _check(options, names, lambda value: value >= 1, "be at least 1")


def _check(options: object, names: Iterable[str], holds: Callable[[Any], bool], must: str) -> None:
    for name in names:
        value = getattr(options, name, None)
        if isinstance(value, int | float) and not holds(value):
            raise ValueError(f"{_flag(name)} is {value}; it must {must}")


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
