"""The system that ``qnewton circuit`` builds a circuit for: a file, numbers, or a step of a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qnewton.cli.output import require, warn
from qnewton.cli.progress import TrainingProgress
from qnewton.records.messages import check
from qnewton.training.request import check_counts

if TYPE_CHECKING:
    from torch import Tensor

_KAPPA = 10.0  # of a system that is drawn


@dataclass(frozen=True)
class GivenSystem:
    """A system A·x = b in float64.

    Attributes:
        source: Where it comes from, in words.
        matrix: A, shape [N, N].
        rhs: b, shape [N].
    """

    source: str
    matrix: "Tensor"
    rhs: "Tensor"

    def check_regular(self) -> None:
        """Raise ``ValueError`` for a singular matrix: it has no solution to compare with."""
        import torch

        found, eps = torch.linalg.cond(self.matrix).item(), torch.finfo(self.matrix.dtype).eps
        said = f"{self.source}: the matrix is singular (κ = {found:.2g}) and has no solution to"
        require(found * len(self.matrix) * eps < 1.0, f"{said} compare; add λ to its diagonal")


@dataclass(frozen=True, kw_only=True)
class CircuitSystem:
    """The system: drawn from numbers, read from a file, or one that a step of a run solved.

    Attributes:
        n: Unknowns of a symmetric system that is drawn from --seed.
        kappa: Its condition number; 10 by default.
        indefinite: It has eigenvalues of both signs.
        matrix: A symmetric matrix in a .npy or .mtx file.
        rhs: Its right-hand side, a vector in a .npy or .mtx file; by default it is drawn.
        run: Folder of a training run; the system is the one that its --step solved. The run goes
            on from a checkpoint in memory; nothing is written into the folder.
        step: The step, counted from 0.
        block: The block of the step, by name; the default is the first that fits a circuit.
        data_dir: Local folder with the run's data, for workloads that need one (else
            QNEWTON_DATA).
        seed: Systems and right-hand sides are drawn from it, and so are the outcomes of --shots.
    """

    n: int | None = None
    kappa: float | None = None
    indefinite: bool = False
    matrix: Path | None = None
    rhs: Path | None = None
    run: Path | None = None
    step: int | None = None
    block: str | None = None
    data_dir: Path | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        sources = {"--n": self.n, "--matrix": self.matrix, "--run": self.run}
        given = [name for name, value in sources.items() if value is not None]
        none = "no system is given; give --n N, --matrix FILE, or --run FOLDER --step K"
        require(bool(given), none)
        require(len(given) == 1, f"{' and '.join(given)} exclude each other; give one")
        belongs = {
            "--kappa": ("--n", self.kappa),
            "--indefinite": ("--n", self.indefinite or None),
            "--rhs": ("--matrix", self.rhs),
            "--step": ("--run", self.step),
            "--block": ("--run", self.block),
            "--data-dir": ("--run", self.data_dir),
        }
        for name, (source, value) in belongs.items():
            misplaced = value is not None and source not in given
            require(not misplaced, f"{name} goes with {source} alone, not with {given[0]}")
        require(self.run is None or self.step is not None, "--step is missing; --run needs it")
        check_counts(self, "n")
        if self.kappa is not None:
            check("--kappa", self.kappa, "must be finite and at least 1", self.kappa >= 1)

    def given(self, largest: int, *, quiet: bool) -> GivenSystem:
        """Return the system.

        Args:
            largest: The most unknowns that fit a circuit.
            quiet: Show no progress of the steps that are taken again.

        Raises:
            ValueError: One line, if it is not there, damaged, or larger than that.
        """
        if self.run is not None:
            return self._of_a_step(self.run, largest, quiet)
        if self.matrix is not None:
            return self._of_a_file(self.matrix, largest)
        assert self.n is not None
        _check_size(f"--n {self.n}", self.n, largest)
        return self._drawn(self.n)

    def _drawn(self, n: int) -> GivenSystem:
        """Draw Q diag(λ) Qᵀ with |λ| from 1/κ to 1, evenly in their logarithms."""
        import torch

        kappa = self.kappa or _KAPPA
        require(n > 1 or not self.indefinite, "--indefinite needs two unknowns; --n is 1")
        generator = torch.Generator().manual_seed(self.seed)
        entries = torch.randn(n, n, generator=generator, dtype=torch.float64)
        vectors = torch.linalg.qr(entries).Q
        values = torch.logspace(0.0, -torch.tensor(kappa).log10().item(), n, dtype=torch.float64)
        if self.indefinite:
            values[1::2] *= -1.0
        matrix = (vectors * values) @ vectors.T
        rhs = torch.randn(n, generator=generator, dtype=torch.float64)
        kind = "indefinite" if self.indefinite else "positive definite"
        source = f"a random {kind} system of {n} unknowns, seed {self.seed}"
        return GivenSystem(source, (matrix + matrix.T) / 2, rhs)

    def _of_a_file(self, path: Path, largest: int) -> GivenSystem:
        import torch

        from qnewton.cli.matrix_file import read_matrix

        operator = read_matrix(path)
        n = operator.n
        _check_size(f"--matrix {path}", n, largest)
        if self.rhs is None:
            generator = torch.Generator().manual_seed(self.seed)
            rhs = torch.randn(n, generator=generator, dtype=torch.float64)
            return GivenSystem(f"{path}, b drawn from seed {self.seed}", operator.dense(), rhs)
        return GivenSystem(f"{path}, {self.rhs}", operator.dense(), read_vector(self.rhs, n))

    def _of_a_step(self, folder: Path, largest: int, quiet: bool) -> GivenSystem:
        from qnewton.experiments.step_system import block_to_solve, solved_system
        from qnewton.runs import read_run

        assert self.step is not None
        run = read_run(folder)
        for warning in run.warnings:
            warn(warning)
        block = block_to_solve(run, self.step, self.block, largest)
        label = "taking steps again"
        with TrainingProgress(self.step + 1, quiet=quiet, label=label) as shown:
            asked = (run, self.step, block.name, self.data_dir)
            system = solved_system(*asked, shown.on_step, shown.on_stage, warn)
        damping = block.treatment.damping
        source = f"step {self.step} of {folder}, block {block.name}, λ = {damping:.3g}"
        return GivenSystem(source, system.operator.dense().double(), system.rhs.double())


def read_vector(path: Path, n: int) -> Any:
    """Return the right-hand side of ``path`` in float64, shape [N].

    Raises:
        ValueError: One line naming the file and what is wrong with it.
    """
    import numpy
    import torch

    from qnewton.cli.matrix_file import read_array

    def taken(found: Any) -> Any:
        found = found if isinstance(found, numpy.ndarray) else found.toarray()
        require(found.size == n, f"its shape is {found.shape}; the matrix needs [{n}]")
        require(found.dtype.kind in "fiub", f"its dtype is {found.dtype}; it must be real")
        return torch.from_numpy(found.astype(numpy.float64).reshape(n))

    return read_array("--rhs", path, taken)


def _check_size(name: str, n: int, largest: int) -> None:
    said = f"{name} has {n:,} unknowns, and a circuit is built for {largest:,} at most"
    require(n <= largest, f"{said}; take a smaller one, or emulate it: qnewton price --matrix FILE")
