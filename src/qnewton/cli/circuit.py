"""``qnewton circuit``: a quantum linear solver, gate by gate."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tyro.conf import Positional

from qnewton.cli.circuit_system import CircuitSystem, GivenSystem
from qnewton.cli.output import RESULTS, Verbose, print_json, require, warn
from qnewton.cli.progress import Progress
from qnewton.records.messages import check
from qnewton.training.request import check_counts

if TYPE_CHECKING:
    from qnewton.cli.circuit_results import CircuitResults
    from qnewton.solvers.quantum.circuits import Plan, SolverCircuit


_EPSILON, _EPSILONS = 0.01, {"hhl": 0.1}
"""The error that is asked where none is given, and that of solvers which need another."""


@dataclass(frozen=True, kw_only=True)
class CircuitSolver:
    """The solver, and what its circuit is made of.

    Attributes:
        epsilon: Error (0 to 1): of QSVT's polynomial, of Dalzell's state, of HHL's clock, or of
            HHL's evolutions where --clock-qubits is given. The default is 0.01, and 0.1 for hhl,
            whose clock grows by a qubit with each halving.
        kappa_be: The promise κ_be; by default it is what the matrix needs. A smaller one makes a
            shorter circuit, which is wrong on the smallest eigenvalues.
        encoding: How U_A is built: dense, from all entries, which is the default; sparse, from
            oracles for positions and values; low_rank, from the columns of a factor. The evolutions
            of HHL are exact gates, and are made from calls of U_A with dense.
        clock_qubits: Qubits of HHL's clock; by default --epsilon decides.
        window: What HHL's clock starts with; the tails of sine fall faster.
        norm: For dalzell, a guess of the solution's length; by default it is unknown, and a grid
            of guesses is tried.
        rounds: Rounds of amplitude amplification: 2·rounds + 1 attempts in one circuit.
    """

    epsilon: float | None = None
    kappa_be: float | None = None
    encoding: Literal["dense", "sparse", "low_rank"] | None = None
    clock_qubits: int | None = None
    window: Literal["uniform", "sine"] | None = None
    norm: float | None = None
    rounds: int = 0

    def __post_init__(self) -> None:
        if self.epsilon is not None:
            check("--epsilon", self.epsilon, "must lie between 0 and 1", 0 < self.epsilon < 1)
        if self.kappa_be is not None:
            check("--kappa-be", self.kappa_be, "must be finite and at least 1", self.kappa_be >= 1)
        if self.norm is not None:
            check("--norm", self.norm, "must be positive", self.norm > 0)
        check_counts(self, "clock_qubits")
        check("--rounds", self.rounds, "must be 0 or more", self.rounds >= 0)

    def check_for(self, algorithm: str) -> None:
        """Raise ``ValueError`` for an option that another solver has."""
        others = {
            "--clock-qubits": (self.clock_qubits, "hhl"),
            "--window": (self.window, "hhl"),
            "--norm": (self.norm, "dalzell"),
        }
        for name, (value, solver) in others.items():
            said = f"{name} is for {solver}, not for {algorithm}; leave it out"
            require(value is None or algorithm == solver, said)


@dataclass(frozen=True, kw_only=True)
class CircuitMachine:
    """What the circuit is run on.

    Attributes:
        shots: Measure so often, half of it to tell signs; by default only the exact state is
            shown.
        backend: A model of a machine, such as fake_sherbrooke: the circuit is transpiled to its
            gates, and shots have its noise.
    """

    shots: int | None = None
    backend: str | None = None

    def __post_init__(self) -> None:
        if self.shots is not None:
            check("--shots", self.shots, "must be 2 or more", self.shots >= 2)


@dataclass(frozen=True, kw_only=True)
class Circuit:
    """Build the circuit of a quantum linear solver for one small system, and look at it.

    It is simulated exactly: the state that it leaves on success stands beside the exact solution
    and beside what the emulator foretells. Then it is counted, drawn, exported, run with shots, or
    transpiled to a machine and run with its noise. The system is drawn from numbers, read from a
    file, or the Newton system that a step of a recorded run really solved. A circuit holds up to
    256 unknowns; with a machine's noise, 2 to 4 are enough. Needs the extra: pip install
    'qnewton[quantum]'.

    Examples: qnewton circuit hhl --n 4 --clock-qubits 6 --draw hhl.txt;
    qnewton circuit qsvt --matrix A.npy --rhs b.npy --epsilon 1e-6 --qasm circuit.qasm;
    qnewton circuit qsvt --n 2 --kappa 2 --shots 2000 --backend fake_sherbrooke;
    qnewton circuit dalzell --run runs/digits --step 5 --block 2.bias

    Attributes:
        algorithm: hhl, phase estimation and a rotation; qsvt, an inverse polynomial; dalzell, a
            reflection about the kernel of an augmented matrix.
        draw: Draw the circuit into this file: .png, .svg or .txt. Of a long one, the beginning and
            the end.
        qasm: Write the circuit into this file as OpenQASM 3.
        verbose: Add the counts of every register.
        json: Print one JSON object.
    """

    usual: ClassVar[tuple[str, ...]] = (
        "algorithm",
        "n",
        "kappa",
        "matrix",
        "epsilon",
        "shots",
        "draw",
        "verbose",
        "json",
    )

    algorithm: Positional[Literal["hhl", "qsvt", "dalzell"]]
    system: CircuitSystem
    solver: CircuitSolver
    machine: CircuitMachine
    draw: Path | None = None
    qasm: Path | None = None
    verbose: Verbose = False
    json: bool = False

    def __post_init__(self) -> None:
        self.solver.check_for(self.algorithm)
        for option, path in (("--qasm", self.qasm), ("--draw", self.draw)):
            if path is not None:
                folder = path.parent
                require(folder.is_dir(), f"{option} is {path}; there is no folder {folder}")

    def run(self) -> None:
        """Build the circuit, run it, and print what came of it."""
        from qnewton.solvers.quantum.gates import circuits

        package = circuits()
        if self.draw is not None:
            package.check_drawing(self.draw)
        name = self.machine.backend
        backend = None if name is None else package.named_backend(name)
        system = self.system.given(package.MAX_UNKNOWNS, quiet=self.json)
        system.check_regular()
        plan = self._planned(package, system, backend)
        with Progress("building the circuit", quiet=self.json) as shown:
            results = self._results(package, system, plan, backend, shown.start)
        self._warn_of_clock(results)
        emulated = results.emulated
        if emulated.promise_held is False:
            promised = f"κ_be = {emulated.kappa:.4g} is less than this matrix needs"
            warn(f"{promised}, so the state is wrong on its smallest eigenvalues")
        if self.json:
            print_json(results.plain())
            return
        for part in results.shown(verbose=self.verbose):
            RESULTS.print(part)

    def _warn_of_clock(self, results: "CircuitResults") -> None:
        """Warn of a clock whose spacing is above the smallest eigenvalue that is promised."""
        from qnewton.queries.clock import clock_qubits

        qubits = results.written.registers.get("clock")
        needed = int(clock_qubits(results.emulated.kappa, 1.0))
        if qubits is not None and qubits < needed:
            said = f"--clock-qubits {qubits} is too coarse for κ_be = {results.emulated.kappa:.3g}"
            warn(f"{said}: {needed} qubits are the fewest that tell its smallest eigenvalue from 0")

    def _planned(self, package: Any, system: GivenSystem, backend: Any) -> "Plan":
        """Return what will be built; refuse what cannot be, or does not fit on the machine."""
        from qnewton.solvers.quantum import Clock
        from qnewton.solvers.quantum.circuits.limits import MAX_CLOCK_QUBITS

        solver = self.solver
        clock = solver.clock_qubits
        limits = f"--clock-qubits is {clock}; a circuit has {MAX_CLOCK_QUBITS} at most"
        require(clock is None or clock <= MAX_CLOCK_QUBITS, limits)
        plan = package.planned(
            system.matrix,
            system.rhs,
            self.algorithm,
            solver.epsilon or _EPSILONS.get(self.algorithm, _EPSILON),
            solver.kappa_be,
            solver.norm,
            encoding=solver.encoding,
            clock=Clock(qubits=solver.clock_qubits, window=solver.window or "uniform"),
        )
        plan.check_simulation()
        if backend is not None:
            # Shots interfere the state with a known one, which takes one more qubit.
            package.check_fits(plan.qubits + (self.machine.shots is not None), backend)
        return plan

    def _results(
        self,
        package: Any,
        system: GivenSystem,
        plan: "Plan",
        backend: Any,
        say: Callable[[str], None],
    ) -> "CircuitResults":
        """Build the circuit, and do with it what is asked."""
        from qnewton.cli.circuit_results import CircuitResults

        attempts: list[SolverCircuit] = list(plan.attempts())
        rounds = self.solver.rounds
        if backend is not None or self.qasm is not None:
            package.check_gates(package.amplified(attempts[0], rounds).circuit)
        say(f"simulating {plan.qubits} qubits")
        # Of several guesses of the norm it is the likeliest one's circuit.
        single = max(attempts, key=lambda attempt: float(attempt.image @ attempt.image))
        whole = package.amplified(single, rounds) if rounds else single
        made = samples = None
        if backend is not None:
            say(f"transpiling to {backend.name}")
            made = package.counted(whole.circuit, backend)
        if self.machine.shots is not None:
            say(f"measuring {self.machine.shots:,} shots")
            shots, seed = self.machine.shots, self.system.seed
            samples = package.sampled(whole, shots, backend, seed)
        files = []
        if self.draw is not None:
            say("drawing")
            files.append(package.drawn(whole.circuit, self.draw))
        if self.qasm is not None:
            say("exporting")
            self.qasm.write_text(package.exported(whole.circuit) + "\n", encoding="utf-8")
            files.append(self.qasm)
        return CircuitResults(
            system=system,
            emulated=plan.emulator.solve(system.rhs, norm=self.solver.norm),
            chances=tuple(float(attempt.image @ attempt.image) for attempt in attempts),
            circuit=whole,
            rounds=rounds,
            written=package.counted(whole.circuit),
            backend=self.machine.backend,
            made=made,
            samples=samples,
            files=tuple(files),
        )
