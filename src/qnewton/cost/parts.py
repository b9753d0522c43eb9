"""What every classical quote is put together from: terms, assumptions, refusals, and forming."""

import math
from dataclasses import dataclass, field, replace

from qnewton.cost.kernels import (
    graph_calls,
    matvec_work,
    missing_fit,
    price,
    rows_calls,
    seconds_of,
)
from qnewton.records import (
    Basis,
    Calibration,
    CurvatureRecord,
    Definiteness,
    Facts,
    PriceTerm,
    Quote,
)

FORMING = "forming"
"""The term that pays for entries which are not there yet."""

NO_RANK = "the rank of the factor is unknown"

RESIDUAL = "residual"
"""The term that pays for the check of a solution."""

PASSES_BESIDE_A_PRODUCT = 5
"""Passes over N-vectors beside a Krylov product, where no kernel timed them together."""


@dataclass
class Draft:
    """A quote in the making: terms are added until one of them has no price.

    Args:
        solver: Name in the portfolio.
        calibration: The classical machine.
        facts: What is known of the system.
        dtype: ``float32`` or ``float64``.
        model: The formula, in words.

    Attributes:
        refused: Why there is no price; ``None`` as long as there may be one.
    """

    solver: str
    calibration: Calibration
    facts: Facts
    dtype: str
    model: str
    terms: list[PriceTerm] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)
    refused: str | None = None

    @property
    def seconds(self) -> float:
        """The sum of the terms so far."""
        return math.fsum(term.seconds for term in self.terms)

    def refuse(self, reason: str) -> None:
        """Keep the first reason why there is no price."""
        self.refused = self.refused or reason

    def add(
        self,
        name: str,
        kernel: str,
        work: float | None,
        *,
        calls: float = 1,
        unknown: str = "",
        as_timed: bool = False,
    ) -> None:
        """Add a term, or refuse: for a rate nobody timed, or work that is ``unknown``."""
        if work is None:
            self.refuse(unknown)
            return
        fit = self.calibration.fit(kernel, self.dtype)
        if fit is None:
            self.refuse(missing_fit(self.calibration, kernel, self.dtype))
        else:
            self.terms.append(PriceTerm(name=name, seconds=seconds_of(fit, work, calls, as_timed)))

    def timed(self, kernel: str) -> bool:
        """Return whether the calibration has a rate of the kernel."""
        return self.calibration.fit(kernel, self.dtype) is not None

    def add_forming(self) -> None:
        """Add what the entries cost where they are not there yet."""
        facts = self.facts
        if facts.representation == "formed":
            return
        if facts.representation == "sparse":
            self.add(FORMING, "elementwise", float(facts.n) ** 2)
            return
        unknown = "the operations that form the entries: nobody counted them"
        if not facts.forming_rows or not self.timed("curvature_rows"):
            self.add(FORMING, "gemm", facts.forming_flops, unknown=unknown)
            return
        seconds = forming_seconds(self.calibration, facts, self.dtype)
        if seconds is None:
            self.refuse(unknown)
        else:
            self.terms.append(PriceTerm(name=FORMING, seconds=seconds))

    def add_products(self, count: int) -> None:
        """Add ``count`` products with A as it is held."""
        facts = self.facts
        if facts.representation == "formed":
            self.add("products", "matvec", matvec_work(facts.n, count), calls=count)
        elif facts.representation == "sparse":
            self._add_sparse_products(count)
        elif facts.product_flops is not None:
            calls = graph_calls(facts.product_operations, count)
            self.add("products", self._product_kernel(), count * facts.product_flops, calls=calls)
        elif facts.representation == "low-rank":
            # U and Uᵀ, N·k entries each, are read as a dense matrix is.
            columns = factor_columns(facts)
            work = None if columns is None else 2.0 * count * facts.n * columns
            self.add(
                "products",
                "matvec",
                work,
                calls=2 * count,
                unknown=NO_RANK,
            )
        else:
            self.refuse("the operations of a product are unknown")

    def _product_kernel(self) -> str:
        """Return the kernel of a product that is known by its operations."""
        if self.facts.representation == "products":
            closed = self.facts.product_operations is None and self.timed("closed_form_product")
            return "closed_form_product" if closed else "curvature_product"
        return "factor_product" if self.timed("factor_product") else "gemm"

    def _add_sparse_products(self, count: int) -> None:
        entries = self.facts.entries
        self.add(
            "products",
            "sparse_matvec",
            None if entries is None else float(count) * entries,
            calls=count,
            unknown="the number of nonzero entries is unknown",
        )

    def add_entry_products(self, count: int) -> None:
        """Add ``count`` products with the nonzero entries, which a formed A is searched for."""
        if self.facts.representation != "sparse":
            self.add("compressing", "compress", matvec_work(self.facts.n))
        self._add_sparse_products(count)

    def add_vectors(self, kernel: str, count: int) -> None:
        """Add the vector operations beside ``count`` products."""
        n = self.facts.n
        if self.timed(kernel):
            self.add("vectors", kernel, float(count) * n, calls=count)
        else:
            passes = PASSES_BESIDE_A_PRODUCT * count
            self.add("vectors", "elementwise", float(passes) * n, calls=passes)

    def add_residual(self) -> None:
        """Add the product that checks the residual."""
        if self.facts.representation == "formed" and self.timed("residual"):
            self.add(RESIDUAL, "residual", matvec_work(self.facts.n))
            return
        before = len(self.terms)
        self.add_products(1)
        for index in range(before, len(self.terms)):
            self.terms[index] = PriceTerm(name=RESIDUAL, seconds=self.terms[index].seconds)

    def quote(
        self,
        *,
        drifts: bool = True,
        condition_number: float | None = None,
        epsilon: float | None = None,
        products: int | None = None,
        basis: Basis = Basis.FACTS,
    ) -> Quote:
        """Return the finished quote, every term times what earlier runs found of the solver."""
        if self.refused is not None:
            return Quote(
                solver=self.solver,
                machine="classical",
                seconds=None,
                model=self.model,
                hardware=self.calibration.name,
                refused=self.refused,
                basis=basis,
                representation=self.facts.representation,
            )
        terms, assumptions = tuple(self.terms), list(self.assumptions)
        drift = self.calibration.drift(self.solver) if drifts else None
        if drift is not None:
            # Forming is not the solver's.
            terms = tuple(
                term if term.name == FORMING else replace(term, seconds=drift.ratio * term.seconds)
                for term in terms
            )
            assumptions.append(
                f"times {drift.ratio:.3g}, what {drift.solves} solves of earlier runs took"
            )
        if not self.calibration.timed:
            # Rates that nobody timed here say so in every quote made from them.
            assumptions.append(self.calibration.source)
        return Quote(
            solver=self.solver,
            machine="classical",
            seconds=math.fsum(term.seconds for term in terms),
            model=self.model,
            hardware=self.calibration.name,
            terms=terms,
            assumptions=tuple(assumptions),
            condition_number=condition_number,
            epsilon=epsilon,
            representation=self.facts.representation,
            products=products,
            basis=basis,
        )


def forming_seconds(
    calibration: Calibration, known: Facts | CurvatureRecord, dtype: str
) -> float | None:
    """Return what forming entries costs: rows by double backward, the rest in matrix products.

    ``None`` where nobody counted the operations. A calibration without ``curvature_rows`` prices
    all of them as matrix products.
    """
    if known.forming_flops is None:
        return None
    if not known.forming_rows or calibration.fit("curvature_rows", dtype) is None:
        return price(calibration, "gemm", known.forming_flops, dtype)
    calls = rows_calls(known.forming_rows, known.product_operations)
    by_rows = known.forming_rows_flops
    seconds = price(calibration, "curvature_rows", by_rows, dtype, calls=calls)
    rest = known.forming_flops - by_rows
    return seconds + price(calibration, "gemm", rest, dtype) if rest > 0.0 else seconds


def factor_columns(facts: Facts) -> int | None:
    """Return the columns of the factor that a low-rank matrix is held by, if anybody knows.

    Example:
        >>> factor_columns(Facts(n=10, rank=3)), factor_columns(Facts(n=10, rank=10, columns=20))
        (3, 20)
    """
    return facts.rank if facts.columns is None else facts.columns


def definiteness_known(facts: Facts) -> tuple[Definiteness | None, str]:
    """Return what is known of A's signs, and where from: this step's survey before an earlier one.

    Example:
        >>> from qnewton.records import EarlierFacts
        >>> earlier = EarlierFacts(step=4, definiteness="indefinite")
        >>> definiteness_known(Facts(n=3, earlier=earlier))
        ('indefinite', ', as an earlier step found')
    """
    if facts.definiteness is not None:
        return facts.definiteness, ""
    if facts.earlier is not None and facts.earlier.definiteness is not None:
        return facts.earlier.definiteness, ", as an earlier step found"
    return None, ""
