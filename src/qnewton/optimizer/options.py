"""What belongs together in QNewton's arguments: frozen values that check themselves."""

import math
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, get_args

from qnewton.cost import Audit, load_hardware
from qnewton.cost.solvers import quantum_solver
from qnewton.records import Calibration, QuantumHardware
from qnewton.solvers.quantum.execution import execution_of

if TYPE_CHECKING:
    from qnewton.solvers.quantum import Readout
    from qnewton.solvers.quantum.execution import Execution

DampingScale = Literal["absolute", "max-abs", "columns"]


@dataclass(frozen=True)
class Damping:
    r"""λ, which is added to the diagonal of every block.

    Attributes:
        strength: λ, or its factor where ``scale`` is ``max-abs``; ``auto`` where every step sets
            λ by what the loss did.
        scale: ``absolute`` for A = H + λI; ``max-abs`` for λ = strength · max\|H\|; ``columns`` for
            A = JᵀJ + λD², where D = diag(d), d_i the largest norm so far of column i of J (Moré
            1978), so that the units of the parameters do not count. It needs ``auto``; fits of
            numbers and vectors have it without being asked.
        momentum: μ. With the last step φ the next one is argmin_s ‖Js + r‖² + λ‖s - μφ‖², which is
            (JᵀJ + λI)s = -g + λμφ: SPRING, for points that are drawn anew at every step, since s
            keeps μφ where the present residuals r say nothing. It costs a product per step. Without
            curvature that is SGD with momentum μ and a learning rate of ``lr``/λ.

    ``columns`` and ``momentum`` need a loss that is a sum of squares, or ``curvature`` ``ggn`` or
    ``fisher``; the Hessian then does not come back where residuals stay.

    Raises:
        ValueError: If λ is negative or not finite, the scale is unknown or does not fit λ, or the
            momentum does not fit λ or is outside [0, 1).

    Reference:
        J. J. Moré, The Levenberg-Marquardt algorithm, 1978. G. Goldshlager, N. Abrahamsen and
        L. Lin, A Kaczmarz-inspired approach to accelerate the optimization of neural network
        wavefunctions, arXiv:2401.10190.

    Example:
        >>> Damping(1e-3, scale="max-abs")
        Damping(strength=0.001, scale='max-abs', momentum=0.0)
        >>> Damping.of(0.5).scale, Damping(momentum=0.9).strength
        ('absolute', 'auto')
    """

    strength: float | Literal["auto"] = "auto"
    scale: DampingScale = "absolute"
    momentum: float = 0.0

    def __post_init__(self) -> None:
        if not (self.is_automatic or _is_finite(self.strength)):
            raise ValueError(
                f"damping is {self.strength}; it must be finite and 0 or more, or 'auto'"
            )
        if self.scale not in get_args(DampingScale):
            known = "'absolute', 'max-abs' or 'columns'"
            raise ValueError(f"damping_scale is {self.scale!r}; it must be {known}")
        if not 0.0 <= self.momentum < 1.0:
            raise ValueError(f"damping_momentum is {self.momentum}; it must be in [0, 1)")
        if self.scale == "columns" and not self.is_automatic:
            raise ValueError(
                f"damping_scale='columns' needs damping='auto', and damping is {self.strength}; "
                "leave the number out"
            )
        if self.is_automatic and self.scale == "max-abs":
            raise ValueError(
                f"damping_scale={self.scale!r} scales a damping that is a number, and "
                "damping='auto' sets λ itself; give damping a number, or leave the scale out"
            )

    @classmethod
    def of(cls, value: "float | Literal['auto'] | Damping") -> "Damping":
        """Return ``value`` as a Damping: a number, ``"auto"``, or itself."""
        return value if isinstance(value, Damping) else cls(value)

    @property
    def group_settings(self) -> dict[str, Any]:
        """What a parameter group holds of it, by the group's keys."""
        return {
            "damping": self.strength,
            "damping_scale": self.scale,
            "damping_momentum": self.momentum,
        }

    @property
    def is_automatic(self) -> bool:
        """Whether every step sets λ."""
        return isinstance(self.strength, str) and self.strength == "auto"

    @property
    def of_squares(self) -> str | None:
        """The setting that only sums of squares have a meaning for, in words; else ``None``."""
        if self.momentum > 0.0:
            return f"damping_momentum={self.momentum}"
        return "damping_scale='columns'" if self.scale == "columns" else None


@dataclass(frozen=True)
class Quantum:
    """The quantum machine, what is asked of it, and how it is priced.

    Attributes:
        hardware: A profile's name, the path of a ``.toml`` file, or a record; ``None`` for no
            machine, so that nothing else counts.
        epsilon: Error tolerance at which the quantum solver is priced and emulated.
        readout: How the solver's state is measured, with how many shots or to what tolerance;
            ``None`` for the ideal read-out. Each step draws new outcomes.
        execute: What carries the solver out: the ``emulator``; ``circuit`` for the gates of its
            circuit, for blocks of up to 256 unknowns; ``fake_sherbrooke`` for these on the model
            of a machine with its noise, up to 8 unknowns; or an object that runs circuits, such
            as :class:`qnewton.solvers.quantum.circuits.OnMachine` with any machine.
        algorithm: The quantum solver that is priced and run: ``qsvt``, ``dalzell``, ``hhl``,
            ``costa`` or ``deflated_qsvt``; ``None`` for the cheapest of them under policy
            ``hybrid``, and for ``qsvt`` at the paper's price, which has none of the others.
        audit: What the audited price assumes under policy ``hybrid``; ``None`` for the defaults
            of :class:`~qnewton.cost.Audit`.
        n_qpus: QPUs that under policy ``hybrid`` share a step's blocks with the classical machine.
            All machines work at the same time, and the step ends as soon as the prices allow.
        survey_every: Newton steps from one measurement of κ, d and the norms to the next. The
            steps between are priced with what the last survey found.

    Raises:
        ValueError: If the machine or the algorithm is unknown, ε is not between 0 and 1, a count is
            below 1, or what executes is unknown, not installed, or cannot run the algorithm.

    Example:
        >>> Quantum("attosecond", n_qpus=2).machine.gate_time_s.value
        1e-18
    """

    hardware: QuantumHardware | str | PathLike[str] | None = None
    _: KW_ONLY
    epsilon: float = 1e-12
    readout: "Readout | None" = None
    execute: "str | Execution" = "emulator"
    algorithm: str | None = None
    audit: Audit | None = None
    n_qpus: int = 1
    survey_every: int = 1

    def __post_init__(self) -> None:
        _check_share("epsilon", self.epsilon)
        _check_count("n_qpus", self.n_qpus)
        _check_count("survey_every", self.survey_every)
        self.machine  # noqa: B018  # raises on an unknown one
        self.execution  # noqa: B018  # likewise
        if self.algorithm is not None:
            circuit = quantum_solver(self.algorithm).has_circuit
            if self.execution is not None and not circuit:
                said = f"algorithm is {self.algorithm!r}, of which no circuit is built"
                raise ValueError(f"{said}; give execute='emulator', or another algorithm")

    @classmethod
    def of(cls, value: "Quantum | QuantumHardware | str | PathLike[str] | None") -> "Quantum":
        """Return ``value`` as a Quantum: a machine, its name or path, ``None``, or itself."""
        return value if isinstance(value, Quantum) else cls(value)

    @cached_property
    def execution(self) -> "Execution | None":
        """What carries the solver out; ``None`` for the emulator."""
        return execution_of(self.execute)

    @cached_property
    def machine(self) -> QuantumHardware | None:
        """The machine's record, loaded once."""
        if self.hardware is None or isinstance(self.hardware, QuantumHardware):
            return self.hardware
        return load_hardware(self.hardware)


@dataclass(frozen=True, kw_only=True)
class Classical:
    """The classical machine: its speed, and how exactly its solvers solve.

    Attributes:
        calibration: This machine's constants; by default those that ``qnewton calibrate``
            stored, else nominal ones, labelled so.
        tolerance: Relative residual that the solvers have to reach; by default 1e-6. With
            ``damping="auto"`` it is the most that is asked, by default 0.1, and falls with √‖g‖:
            far from a minimum a rough direction is worth as much (Eisenstat and Walker 1996).

    Raises:
        ValueError: If the tolerance is not between 0 and 1.

    Example:
        >>> Classical(tolerance=1e-8).tolerance
        1e-08
    """

    calibration: Calibration | None = field(default=None, repr=False)
    tolerance: float | None = None

    def __post_init__(self) -> None:
        if self.tolerance is not None:
            _check_share("tolerance", self.tolerance)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The sizes up to which a block is formed, and gets a Newton system.

    Attributes:
        max_dense: Rows of the largest block that is formed as a matrix; by default 20,000, which
            are 1.6 GB in float32, and 2,048 where only the classical policy with
            ``damping="auto"`` reads it. Larger blocks are only multiplied with and solved by
            conjugate gradients; where those fail the block takes the direction -g, and the step's
            record says so.
        max_newton: Unknowns of the largest block that gets a system. Larger blocks take -g of
            length ``first_order_lr`` in every Newton step. ``None`` for no limit. It needs a
            damping that is a number.
        budget: Forward and backward passes that a step may cost where data change from step to
            step, with ``damping="auto"``, ``curvature="auto"`` and the classical policy; by default
            10, ``math.inf`` for no limit. A run's first steps have it, too, until the loss at the
            same parameters was the same twice; 32 unknowns per pass are free, and 2,048 of a sum of
            squares. It bounds evaluations, and the width of the averaged factors.

    Raises:
        ValueError: If ``max_dense`` is negative, ``max_newton`` is below 1, or ``budget`` below 2.

    Example:
        >>> Limits(max_dense=5_000)
        Limits(max_dense=5000, max_newton=None, budget=None)
    """

    max_dense: int | None = None
    max_newton: int | None = None
    budget: float | None = None

    def __post_init__(self) -> None:
        if self.budget is not None and not self.budget >= _LEAST_BUDGET:
            raise ValueError(
                f"budget is {self.budget}; it must be {_LEAST_BUDGET} passes or more: one is the "
                "step's own, and others measure the curvature along it"
            )
        if self.max_dense is not None and self.max_dense < 0:
            raise ValueError(f"max_dense is {self.max_dense}; it must be 0 rows or more")
        if self.max_newton is not None:
            _check_count("max_newton", self.max_newton)


_LEAST_BUDGET = 2


def _is_finite(strength: Any) -> bool:
    try:
        return not isinstance(strength, str) and 0.0 <= float(strength) < math.inf
    except TypeError:
        return False


def _check_share(name: str, value: Any) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name} is {value}; it must lie between 0 and 1")


def _check_count(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} is {value}; it must be at least 1")
