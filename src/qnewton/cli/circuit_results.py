"""What ``qnewton circuit`` found, as one JSON object and as tables and lines."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rich.console import RenderableType
from torch import Tensor

from qnewton.cli.circuit_system import GivenSystem
from qnewton.records import encode
from qnewton.report.quantities import number_text
from qnewton.report.table import Column, table_of
from qnewton.scheduler.step_angle import angle_between
from qnewton.solvers.quantum import QuantumSolution
from qnewton.solvers.quantum.circuits import CircuitCounts, Samples, SolverCircuit

_SHOWN = 16  # components that the table has


@dataclass(frozen=True, kw_only=True)
class CircuitResults:
    """What one circuit came to.

    Attributes:
        system: What it was built for.
        emulated: What the emulator foretells.
        chances: Success probability of one attempt, with every guess of the norm.
        circuit: The circuit, amplified, of the likeliest guess.
        rounds: Of amplification in it.
        written: Its counts as it was written.
        backend: The machine's name.
        made: Its counts on the machine; ``None`` without one.
        samples: What shots gave; ``None`` without shots.
        files: What was written.
    """

    system: GivenSystem
    emulated: QuantumSolution
    chances: tuple[float, ...]
    circuit: SolverCircuit
    rounds: int
    written: CircuitCounts
    backend: str | None
    made: CircuitCounts | None
    samples: Samples | None
    files: Sequence[Path]

    @cached_property
    def exact(self) -> Tensor:
        """The exact solution, of unit length."""
        solution = torch.linalg.solve(self.system.matrix, self.system.rhs)
        return solution / solution.norm()

    @cached_property
    def state(self) -> Tensor:
        """The state that the circuit leaves on success."""
        return self._along(torch.from_numpy(self.circuit.image))

    @cached_property
    def read(self) -> Tensor | None:
        """What shots read of it; ``None`` without any, or where they read nothing."""
        samples = self.samples
        vector = None if samples is None else samples.vector
        return None if vector is None else self._along(torch.from_numpy(vector))

    @property
    def success_probability(self) -> float:
        """Of the whole circuit; without amplification the mean over all guesses of the norm."""
        if self.rounds:
            return float(self.circuit.image @ self.circuit.image)
        return math.fsum(self.chances) / len(self.chances)

    def plain(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        emulated, samples = self.emulated, self.samples
        return {
            "system": {
                "source": self.system.source,
                "n": len(self.exact),
                "kappa": self._kappa,
                "matrix": self.system.matrix.tolist(),
                "rhs": self.system.rhs.tolist(),
            },
            "solver": {
                "algorithm": emulated.algorithm,
                "epsilon": emulated.epsilon,
                "alpha": emulated.alpha,
                "kappa_be": emulated.kappa,
                "promise_held": emulated.promise_held,
                "rounds": self.rounds,
            },
            "circuit": encode(self.written)
            | {
                "queries": self.circuit.queries,
                "state_preparations": self.circuit.state_preparations,
            },
            "state": {
                "exact": self.exact.tolist(),
                "circuit": self.state.tolist(),
                "emulator": self._along(emulated.state).tolist(),
                "angle": angle_between(self.state, self.exact),
                "success_probability": self.success_probability,
            },
            "emulator": {
                "angle": angle_between(self._along(emulated.state), self.exact),
                "success_probability": emulated.success_probability,
                "queries": emulated.queries,
                "expected_queries": emulated.expected_queries,
                "amplified_queries": emulated.amplified_queries,
            },
            "machine": None if self.made is None else {"backend": self.backend} | encode(self.made),
            "shots": None
            if samples is None
            else {
                "shots": samples.shots,
                "attempts": samples.shots // 2,
                "successes": samples.successes,
                "counts": samples.counts.tolist(),
                "vector": None if self.read is None else self.read.tolist(),
                "angle": self._read_angle,
            },
            "files": [str(file) for file in self.files],
        }

    def shown(self, *, verbose: bool) -> list[RenderableType]:
        """Return the lines and tables that a terminal shows: what came of it, then the counts."""
        files = ", ".join(str(file) for file in self.files)
        return [
            f"{self.emulated.algorithm} for {self.system.source}: {self._parameters}",
            self._state_text,
            *([] if self.samples is None else [self._shots_text(self.samples)]),
            self._state_table(),
            self._circuit_table(verbose=verbose),
            *([f"written: {files}"] if files else []),
        ]

    @property
    def _kappa(self) -> float:
        return float(torch.linalg.cond(self.system.matrix))

    def _along(self, state: Tensor) -> Tensor:
        """Return a state of unit length with the solution's sign, which nothing measures."""
        unit = state / state.norm()
        # A zero is shown without a sign.
        return 0.0 - unit if float(unit @ self.exact) < 0.0 else unit + 0.0

    @property
    def _read_angle(self) -> float | None:
        """Between the exact solution and what was read of it."""
        return None if self.read is None else angle_between(self.read, self.exact)

    @property
    def _state_text(self) -> str:
        emulated = self._along(self.emulated.state)
        angle = number_text(angle_between(self.state, self.exact))
        foretold = number_text(angle_between(emulated, self.exact))
        unsolved = number_text(angle_between(self._along(self.system.rhs), self.exact))
        difference = number_text(float((self.state - emulated).norm()))
        chance = number_text(math.fsum(self.chances) / len(self.chances))
        told = number_text(self.emulated.success_probability)
        said = (
            f"The state's angle to the exact solution is {angle} rad (emulator: {foretold}; b "
            f"itself: {unsolved}), its distance to the emulator's state {difference}; an attempt "
            "succeeds with probability "
        )
        said += f"{chance} (emulator: {told})"
        if len(self.chances) > 1:
            said += f", the mean over {len(self.chances)} guesses of the norm"
        if self.rounds:
            said += f", the amplified circuit with {number_text(self.success_probability)}"
        return said

    def _circuit_table(self, *, verbose: bool) -> RenderableType:
        made = self.made
        columns = [
            Column[_Row]("", lambda row: row.what, words=True),
            Column[_Row]("as written", lambda row: row.written),
        ]
        if made is not None:
            columns.append(Column[_Row](f"on {self.backend}", lambda row: row.made))
        return table_of("The circuit", columns, self._rows(verbose=verbose)).rich()

    @property
    def _parameters(self) -> str:
        emulated = self.emulated
        clock = self.written.registers.get("clock")
        numbers = {
            "κ": self._kappa,
            "ε" if clock is None else "clock qubits": clock or emulated.epsilon,
            "α": emulated.alpha,
            "κ_be": emulated.kappa,
        }
        said = ", ".join(f"{name} = {number_text(value)}" for name, value in numbers.items())
        rounds = f", rounds of amplification: {self.rounds}" if self.rounds else ""
        return f"N = {len(self.exact)}, {said}{rounds}"

    def _rows(self, *, verbose: bool) -> Iterable["_Row"]:
        written, made = self.written, self.made
        for name, size in written.registers.items() if verbose else ():
            yield _Row(f"qubits, {name}", f"{size}")
        yield _Row.of("qubits in all", sum(written.registers.values()), made and made.qubits)
        yield _Row.of("depth", written.depth, made and made.depth)
        yield _Row.of("gates (an oracle is one)", written.gates, made and made.gates)
        twos = (written.two_qubit_gates, made and made.two_qubit_gates)
        yield _Row.of("gates on two qubits", *twos)
        yield _Row.of("gates on more", written.larger_gates, made and made.larger_gates)
        if self.circuit.queries:
            yield _Row("calls of U_A", f"{self.circuit.queries:,}")
        else:
            yield _Row("calls of U_A for its evolutions", f"{self.emulated.queries:,}")
        yield _Row("calls of U_b", f"{self.circuit.state_preparations:,}")

    def _shots_text(self, samples: Samples) -> str:
        noise = "" if self.backend is None else f" with the noise of {self.backend}"
        said = f"{samples.shots:,} shots{noise}: {samples.successes:,} of "
        said += f"{samples.shots // 2:,} attempts succeeded, "
        if self._read_angle is None:
            return f"{said}and nothing was read; take more shots, or --rounds 1"
        angle = number_text(self._read_angle)
        return f"{said}and the vector that was read is {angle} rad from the exact solution"

    def _state_table(self) -> RenderableType:
        columns: list[Column[int]] = [
            Column("component", str),
            Column("exact", lambda j: f"{float(self.exact[j]):.6f}"),
            Column("circuit", lambda j: f"{float(self.state[j]):.6f}"),
            Column("emulator", lambda j: f"{float(self._along(self.emulated.state)[j]):.6f}"),
        ]
        read = self.read
        if read is not None:
            columns.append(Column("shots", lambda j: f"{float(read[j]):.6f}"))
        n = len(self.exact)
        note = f"the first {_SHOWN} of {n}; --json has all" if n > _SHOWN else ""
        title = "The state on success, of unit length"
        return table_of(title, columns, range(min(n, _SHOWN)), note).rich()


@dataclass(frozen=True)
class _Row:
    """One line about the circuit."""

    what: str
    written: str
    made: str = ""

    @classmethod
    def of(cls, what: str, written: int, made: int | None) -> "_Row":
        return cls(what, f"{written:,}", "" if made is None else f"{made:,}")
