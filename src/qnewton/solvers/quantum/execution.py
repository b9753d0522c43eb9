"""What carries a quantum solver out: the emulator, or the gates of its circuit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Protocol

import numpy as np

from qnewton.solvers.quantum.algorithm import Applied, Posed
from qnewton.solvers.quantum.gates import circuits
from qnewton.solvers.quantum.outcomes import DrawnOutcomes, Outcomes
from qnewton.solvers.quantum.output_state import Eigenbasis, output_state
from qnewton.solvers.quantum.readout import Readout
from qnewton.solvers.solution import Mode


@dataclass(frozen=True, kw_only=True)
class Executed:
    """One system, run.

    Attributes:
        applied: The output state before it is normalised, and its chances.
        outcomes: Makes what measures the state, from a generator to draw with.
    """

    applied: Applied
    outcomes: Callable[[np.random.Generator], Outcomes]


class Execution(Protocol):
    """Something that runs an algorithm on a system, and measures what comes out."""

    @property
    def name(self) -> str:
        """What records call it."""
        ...

    def check(self, n: int) -> None:
        """Raise ``ValueError`` where no system of n unknowns can be run."""
        ...

    def check_readout(self, readout: Readout | None) -> None:
        """Raise ``ValueError`` where no state can be read so."""
        ...

    def run(self, posed: Posed) -> Executed:
        """Run one system.

        Raises:
            ValueError: If it is too large; its subclass ``SystemRefused`` on account of the
                entries.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Emulation:
    """The emulator: no gates, the same state.

    Attributes:
        mode: How the state is computed.
        basis: A's eigenpairs, for mode ``eigen``.
        epsilon: Where mode ``krylov`` cannot resolve the state, changes below it end it.
        name: What records call it.
    """

    mode: Mode
    basis: Eigenbasis | None
    epsilon: float
    name: str = "emulator"

    def check(self, n: int) -> None:
        """Do nothing: every size is emulated."""

    def check_readout(self, readout: Readout | None) -> None:
        """Do nothing: every read-out is drawn."""

    def run(self, posed: Posed) -> Executed:
        """Compute the state; its outcomes are drawn from the exact distributions."""
        known = (self.mode, self.basis, self.epsilon)
        applied = output_state(posed.solver, posed.operator, posed.unit, *known)
        state = applied.image / applied.image.norm()
        return Executed(applied=applied, outcomes=partial(DrawnOutcomes, state))


EXECUTIONS: Mapping[str, Callable[[], Execution | None]] = MappingProxyType(
    {
        "emulator": lambda: None,
        "circuit": lambda: circuits().GateByGate(),
        "fake_sherbrooke": lambda: circuits().OnMachine("fake_sherbrooke"),
    }
)
"""What may carry a solver out, by name; ``None`` for the emulator, made for each matrix."""


def execution_of(value: "str | Execution") -> Execution | None:
    """Return what a name stands for, or the value itself; ``None`` for the emulator.

    Raises:
        ValueError: If the name is unknown, or a library that it needs is not installed.

    Example:
        >>> execution_of("emulator") is None
        True
    """
    if not isinstance(value, str):
        return value
    if value not in EXECUTIONS:
        raise ValueError(f"execute is {value!r}; choose {', '.join(EXECUTIONS)}")
    return EXECUTIONS[value]()
