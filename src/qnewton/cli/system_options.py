"""The system that ``qnewton price`` prices: by its numbers and how it is held, or by its matrix."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from qnewton import cost
from qnewton.cli.output import require
from qnewton.records import Eigenbasis, Facts, Held, LowRank, Products, Sparse
from qnewton.records.messages import check
from qnewton.training.request import check_counts


@dataclass(frozen=True, kw_only=True)
class SystemOptions:
    """The system, by its numbers or by its matrix.

    It is dense unless one option says how else it is held: --sparsity, --columns, --product-flops
    or --kronecker. Every classical solver that can take it in that form is then a rival.

    Attributes:
        n: Number of unknowns.
        kappa: Condition number; with --matrix it is taken as given and not measured.
        sparsity: Most entries per row, d; the default is a dense matrix, d = N. A sparse matrix is
            priced for every solver alike: classical ones then multiply by N·d entries, too.
        mesh: With --sparsity, the dimensions of the mesh whose neighbours are the entries, which
            bounds a sparse factorisation; where the zeros lie is unknown by default.
        columns: Columns of U, of a matrix U Uᵀ + λI that is held by U, such as a Gauss-Newton or
            Fisher matrix by its samples.
        product_flops: Operations of one product with a matrix that is known by products alone.
        kronecker: Rows of Q_L and Q_R, of a matrix that is held by eigenvectors Q_L ⊗ Q_R, as
            Kronecker factors have; their product is --n.
        indefinite: A has eigenvalues of both signs, so that Cholesky and CG are no rivals.
        preconditioned_kappa: Condition number after diagonal scaling, of D^-½ A D^-½; with --matrix
            it is measured unless --kappa is given.
        effective_dimension: Eigenvalues that stand out above λ, of A = G + λI with G positive
            semidefinite: how many a Nyström sketch has to find. Those of --columns may all.
        matrix: A symmetric matrix in a .npy or .mtx file, in place of n, kappa and how it is held.
        accuracy: What training needs of the solution: the error of its direction, between 0 and 1.
            Iterative classical solvers solve no further. By default it is that of the quantum
            solver (--error).
        max_products: With --matrix, the most products that measuring the condition number may
            take; the default is what 1% takes.
        seed: The start of the measurement of κ and the right-hand side of the emulation are drawn
            from it.
    """

    n: int | None = None
    kappa: float | None = None
    sparsity: int | None = None
    mesh: Literal[1, 2, 3] | None = None
    columns: int | None = None
    product_flops: float | None = None
    kronecker: tuple[int, int] | None = None
    indefinite: bool = False
    preconditioned_kappa: float | None = None
    effective_dimension: float | None = None
    matrix: Path | None = None
    accuracy: float | None = None
    max_products: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("kappa", "preconditioned_kappa"):
            value, limit = getattr(self, name), "must be finite and at least 1"
            if value is not None:
                check(f"--{name.replace('_', '-')}", value, limit, value >= 1)
        if self.accuracy is not None:
            needed = self.accuracy
            check("--accuracy", needed, "must lie between 0 and 1", 0 < needed < 1)
        if self.matrix is not None:
            self._check_beside_matrix()
            return
        measured = self.max_products
        require(measured is None, "--max-products is for measuring a --matrix; leave it out")
        for name in ("n", "kappa"):
            missing = f"--{name} is missing; give --n and --kappa, or --matrix FILE"
            require(getattr(self, name) is not None, missing)
        n = self.n or 0
        require(n >= 1, f"--n is {n}; a system has at least 1 unknown")
        self._check_held(n)

    def _check_beside_matrix(self) -> None:
        own = "--matrix brings its own --n, signs and how it is held; leave those out"
        held = (self.sparsity, self.mesh, self.columns, self.product_flops, self.kronecker)
        left_out = (self.n, self.effective_dimension, *held)
        require(not self.indefinite and all(value is None for value in left_out), own)
        check_counts(self, "max_products")
        excluded = self.kappa is not None and self.max_products is not None
        require(not excluded, "--kappa leaves nothing for --max-products to measure; drop one")

    def _check_held(self, n: int) -> None:
        ways = {
            "--sparsity": self.sparsity,
            "--columns": self.columns,
            "--product-flops": self.product_flops,
            "--kronecker": self.kronecker,
        }
        chosen = [name for name, value in ways.items() if value is not None]
        require(len(chosen) <= 1, f"a matrix is held in one way; choose {' or '.join(chosen)}")
        if self.sparsity is not None:
            d = self.sparsity
            check("--sparsity", d, f"must lie between 1 and n = {n}", 1 <= d <= n)
        require(self.mesh is None or self.sparsity is not None, "--mesh goes with --sparsity")
        check_counts(self, "columns")
        if self.product_flops is not None:
            flops = self.product_flops
            check("--product-flops", flops, "must be above 0", flops > 0)
        if self.kronecker is not None:
            left, right = self.kronecker
            orders = f"--kronecker is {left} {right}"
            require(min(left, right) >= 1 and left * right == n, f"{orders}; --n is not {n} then")
        dimension = self.effective_dimension
        if dimension is not None:
            limits = f"must lie between 0 and n = {n}"
            check("--effective-dimension", dimension, limits, 0 <= dimension <= n)
        damped = self.columns is not None or dimension is not None
        definite = "--columns and --effective-dimension are of a definite matrix; drop --indefinite"
        require(not (damped and self.indefinite), definite)

    def surveyed(self, reached: float | None = None) -> tuple[Any, Facts]:
        """Return the matrix, ``None`` without one, and the facts of the system.

        Args:
            reached: The error of the direction that a quantum solver reaches, which training is
                taken to need where nobody says.
        """
        matrix, facts = self._surveyed()
        return matrix, replace(facts, direction_error=self.accuracy or reached)

    def _surveyed(self) -> tuple[Any, Facts]:
        if self.matrix is not None:
            from qnewton.cli.matrix_file import survey_file

            given = (self.kappa, self.preconditioned_kappa)
            return survey_file(self.matrix, self.seed, given, self.max_products)
        assert self.n is not None
        assert self.kappa is not None
        signs = "indefinite" if self.indefinite else None
        facts = cost.kappa_facts(self.n, self.kappa, self.sparsity or self.n, signs)
        if self.preconditioned_kappa is not None:
            behind = cost.given(self.preconditioned_kappa)
            facts = replace(facts, spectrum=replace(facts.spectrum, preconditioned=behind))
        facts = cost.as_held(facts, self._held(facts))
        if self.effective_dimension is not None:
            dimension = self.effective_dimension
            spectrum = replace(facts.spectrum, effective_dimension=dimension)
            facts = replace(facts, spectrum=spectrum, semidefinite=True)
        return None, facts

    def _held(self, facts: Facts) -> Held:
        if self.columns is not None:
            return LowRank(columns=self.columns)
        if self.product_flops is not None:
            return Products(product_flops=self.product_flops)
        if self.kronecker is not None:
            left, right = self.kronecker
            return Eigenbasis(left=left, right=right)
        if self.mesh is None or not isinstance(facts.held, Sparse):
            return facts.held
        assert self.sparsity is not None
        return replace(facts.held, envelope=cost.mesh_envelope(facts.n, self.sparsity, self.mesh))
