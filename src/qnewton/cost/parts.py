"""What every classical quote is put together from: terms, assumptions, refusals, and forming."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

from qnewton import records
from qnewton.cost import kernels
from qnewton.cost.memory import ITEM_BYTES, Kept, exchanged, held_bytes

FORMING = "forming"
"""The term that pays for entries which are not there yet."""

_AS_PRODUCT = "the two triangular solves are priced as one matrix-vector product: both read N²"

NO_RANK = "the rank of the factor is unknown"

RESIDUAL = "residual"
"""The term that pays for the check of a solution."""

SKETCH = "sketch"
"""The term that pays for products with many vectors at once, of which a preconditioner is made."""

BASIS = "basis"
"""The term that pays for vectors of earlier products, which every further one reads."""

NETWORK = "network"
"""The term that pays for what the nodes of a cluster tell each other."""

# All-reduces of one product and the two inner products beside it.
_REDUCES_PER_PRODUCT = 3

ONCE = (FORMING, RESIDUAL, SKETCH)
"""Terms that do not hang on how many products a solve takes."""

# Operations of a Gram matrix that take as long as one of Householder's reflections.
_GRAM_FLOPS = 2.0

PASSES_BESIDE_A_PRODUCT = 5
"""Passes over N-vectors beside a Krylov product, where no kernel timed them together."""


@dataclass
class Draft:
    """A quote in the making: terms are added until one of them has no price.

    Args:
        solver: Its name in the table of solvers.
        calibration: The classical machine.
        facts: What is known of the system.
        dtype: ``float32`` or ``float64``.
        model: The formula, in words.
        basis: What the price rests on.

    Attributes:
        refused: Why there is no price; ``None`` as long as there may be one.
        kept: What the solver keeps in memory beside the matrix as it is held.
    """

    solver: str
    calibration: records.Calibration
    facts: records.Facts
    dtype: str
    model: str
    basis: records.Basis = records.Basis.FACTS
    terms: list[records.PriceTerm] = field(default_factory=list)
    assumptions: list[str] = field(default_factory=list)
    refused: str | None = None
    kept: list[Kept] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The sum of the terms so far."""
        return math.fsum(term.seconds for term in self.terms)

    def refuse(self, reason: str) -> Self:
        """Keep the first reason why there is no price."""
        self.refused = self.refused or reason
        return self

    def assume(self, *said: str) -> Self:
        """Keep what the price assumes."""
        self.assumptions += said
        return self

    def add(
        self,
        name: str,
        kernel: str,
        work: float | None,
        *,
        calls: float = 1,
        unknown: str = "",
        as_timed: bool = False,
    ) -> Self:
        """Add a term, or refuse: for a rate nobody timed, or work that is ``unknown``."""
        if work is None:
            return self.refuse(unknown)
        fit = self.calibration.fit(kernel, self.dtype)
        if fit is None:
            return self.refuse(kernels.missing_fit(self.calibration, kernel, self.dtype))
        seconds = kernels.seconds_of(fit, work, calls, as_timed)
        self.terms.append(records.PriceTerm(name=name, seconds=seconds))
        return self

    def add_factor(self, name: str, kernel: str, work: float, *, as_timed: bool = False) -> Self:
        """Add what the solver's factorisation of A costs, unless it is there already."""
        if self.facts.factored_by == self.solver:
            return self
        return self.add(name, kernel, work, as_timed=as_timed)

    def add_reflections(self, name: str, flops: float, *, calls: float = 1) -> Self:
        """Add Householder's reflections, at half the rate of a Gram matrix where nobody timed them.

        Args:
            name: The term's.
            flops: Operations, of all calls.
            calls: How often they are started.
        """
        if self.timed("householder"):
            return self.add(name, "householder", flops, calls=calls)
        self.assume("reflections are priced as twice as many operations of a Gram matrix")
        return self.add(name, "gram", _GRAM_FLOPS * flops, calls=calls)

    def timed(self, kernel: str) -> bool:
        """Return whether the calibration has a rate of the kernel."""
        return self.calibration.fit(kernel, self.dtype) is not None

    def keep(self, what: str, numbers: float, *, dtype: str = "", fewer: str = "") -> Self:
        """Keep so many numbers in memory, of another dtype than the matrix where told."""
        size = ITEM_BYTES[dtype or self.dtype]
        self.kept.append(Kept(what, size * numbers, fewer))
        return self

    def add_forming(self) -> Self:
        """Add what the entries cost where they are not there yet."""
        held = self.facts.held
        if isinstance(held, records.Formed) or self.facts.factored_by == self.solver:
            return self
        self.keep("the entries", float(self.facts.n) ** 2)
        if isinstance(held, records.Sparse):
            return self.add(FORMING, "elementwise", float(self.facts.n) ** 2)
        if isinstance(held, records.Eigenbasis):
            return self.add(FORMING, "gemm", self._entry_flops(held))
        work = held.forming
        if work is None or not work.rows or not self.timed("curvature_rows"):
            unknown = "the operations that form the entries: nobody counted them"
            return self.add(FORMING, "gemm", None if work is None else work.flops, unknown=unknown)
        seconds = forming_seconds(self.calibration, work, self.dtype)
        self.terms.append(records.PriceTerm(name=FORMING, seconds=seconds))
        return self

    def add_network(self, rounds: float, numbers: float = 0.0, reduces: int = 1) -> Self:
        """Add what the nodes of a cluster tell each other; nothing on a single machine.

        Args:
            rounds: How often.
            numbers: Numbers that all nodes together send in a round.
            reduces: All-reduces of a few numbers in a round.
        """
        network = self.calibration.network
        if network is None:
            return self
        sent = numbers * ITEM_BYTES[self.dtype] / (network.nodes * network.bytes_per_s)
        seconds = rounds * (reduces * network.all_reduce_s + sent)
        self.terms.append(records.PriceTerm(name=NETWORK, seconds=seconds))
        return self

    def _add_exchange(self, count: int) -> Self:
        network = self.calibration.network
        if network is None:
            return self
        numbers = exchanged(self.facts, network.nodes)
        return self.add_network(count, numbers, _REDUCES_PER_PRODUCT)

    def add_products(self, count: int) -> Self:
        """Add ``count`` products with A as it is held."""
        return self._add_own_products(count)._add_exchange(count)

    def _add_own_products(self, count: int) -> Self:
        n = self.facts.n
        match self.facts.held:
            case records.Formed():
                return self.add("products", "matvec", kernels.matvec_work(n, count), calls=count)
            case records.Sparse():
                return self._add_sparse_products(count)
            case records.Products(product_flops=flops, product_operations=operations):
                closed = operations is None and self.timed("closed_form_product")
                kernel = "closed_form_product" if closed else "curvature_product"
                work, calls = (
                    None if flops is None else count * flops,
                    kernels.graph_calls(operations, count),
                )
                unknown = "the operations of a product are unknown"
                return self.add("products", kernel, work, calls=calls, unknown=unknown)
            case records.LowRank(product_flops=float(flops)):
                kernel = "factor_product" if self.timed("factor_product") else "gemm"
                return self.add("products", kernel, count * flops, calls=count)
            case records.LowRank(columns=columns):
                # U and Uᵀ, N·k entries each, are read as a dense matrix is.
                work = None if columns is None else 2.0 * count * n * columns
                return self.add("products", "matvec", work, calls=2 * count, unknown=NO_RANK)
            case records.Eigenbasis() as held:
                if not held.orders:
                    return self.add("products", "elementwise", float(count) * n, calls=count)
                work, calls = 4.0 * count * n * sum(held.orders), 2 * len(held.orders) * count
                return self.add("products", "gemm", work, calls=calls)

    def _entry_flops(self, held: records.Eigenbasis) -> float:
        """Return the operations of the entries that eigenvectors mix; others are zero."""
        # Q_R S Q_Rᵀ for each row of the longer side, then their sums over the shorter.
        n, orders = self.facts.n, held.orders
        if not orders:
            return float(n)
        inner = 2.0 * n * max(orders) ** 2 if len(orders) > 1 else 0.0
        return inner + 2.0 * n * held.left * held.right * min(orders)

    def _add_sparse_products(self, count: int) -> Self:
        entries, unknown = nonzeros(self.facts).entries, "the number of nonzero entries is unknown"
        work = None if entries is None else float(count) * entries
        return self.add("products", "sparse_matvec", work, calls=count, unknown=unknown)

    def add_entry_products(self, count: int) -> Self:
        """Add ``count`` products with the nonzero entries, which a formed A is searched for."""
        if not isinstance(self.facts.held, records.Sparse):
            self.add("compressing", "compress", kernels.matvec_work(self.facts.n))
        return self._add_sparse_products(count)._add_exchange(count)

    def add_vectors(self, kernel: str, count: int, length: int | None = None) -> Self:
        """Add the vector operations beside ``count`` products, of N numbers unless told."""
        n = self.facts.n if length is None else length
        if self.timed(kernel):
            return self.add("vectors", kernel, float(count) * n, calls=count)
        passes = PASSES_BESIDE_A_PRODUCT * count
        return self.add("vectors", "elementwise", float(passes) * n, calls=passes)

    def add_solve(self) -> Self:
        """Add two triangular solves, which read N² entries together as a product does."""
        if self.timed("substitution"):
            return self.add("solve", "substitution", kernels.matvec_work(self.facts.n))
        self.assume(f"{_AS_PRODUCT} entries")
        return self.add("solve", "matvec", kernels.matvec_work(self.facts.n))

    def add_residual(self) -> Self:
        """Add the product that checks the residual."""
        if isinstance(self.facts.held, records.Formed) and self.timed("residual"):
            return self.add(RESIDUAL, "residual", kernels.matvec_work(self.facts.n))
        return self._renamed(RESIDUAL, lambda: self.add_products(1))

    def _renamed(self, name: str, add: Callable[[], Any]) -> Self:
        """Add terms under another name."""
        before, self.terms = self.terms, []
        add()
        self.terms = [*before, *(replace(term, name=name) for term in self.terms)]
        return self

    def add_sketch(self, columns: int) -> Self:
        """Add products with ``columns`` vectors at once, one product each."""
        n, held = self.facts.n, self.facts.held
        self._renamed(SKETCH, lambda: self._add_exchange(columns))
        match held:
            case records.Formed():
                return self.add(SKETCH, "gemm", 2.0 * n * n * columns)
            case records.LowRank(product_flops=None, columns=int(rank)):
                return self.add(SKETCH, "gemm", 4.0 * n * rank * columns, calls=2)
            case records.Products(product_flops=float(flops), product_operations=int(passes)):
                if self.timed("curvature_rows"):
                    calls = kernels.rows_calls(columns, passes)
                    return self.add(SKETCH, "curvature_rows", columns * flops, calls=calls)
        return self._renamed(SKETCH, lambda: self._add_own_products(columns))

    def _refuse_too_large(self, memory: float) -> None:
        """Refuse a solver whose matrix, factors and vectors a machine cannot hold."""
        matrix = Kept("the matrix", held_bytes(self.facts, self.dtype))
        pieces = [piece for piece in (matrix, *self.kept) if piece.bytes > 0.0]
        needed = math.fsum(piece.bytes for piece in pieces)
        if needed <= memory:
            return
        parts = ", ".join(piece.what for piece in pieces)
        ways = ["choose a machine with more memory", *(p.fewer for p in pieces if p.fewer)]
        holds = f"calibration {self.calibration.name!r} has memory for {memory:.3g}"
        self.refuse(f"{parts} take {needed:.3g} bytes, and {holds}; {', or '.join(ways)}")

    def quote(self, *, drifts: bool = True, **priced: Any) -> records.Quote:
        """Return the finished quote, every term times what earlier runs found of the solver.

        Args:
            drifts: Whether what earlier runs found counts.
            priced: Other fields of the quote, where it has a price.
        """
        fixed: dict[str, Any] = {"solver": self.solver, "model": self.model, "basis": self.basis}
        fixed |= {"machine": "classical", "hardware": self.calibration.name}
        fixed |= {"representation": self.facts.held.KIND}
        if self.calibration.memory_bytes is not None:
            self._refuse_too_large(self.calibration.memory_bytes)
        if self.refused is not None:
            return records.Quote(seconds=None, refused=self.refused, **fixed)
        terms, assumptions = self.terms, list(self.assumptions)
        drift = self.calibration.drift(self.solver) if drifts else None
        if drift is not None:
            # Forming is not the solver's.
            ratios = [1.0 if term.name == FORMING else drift.ratio for term in terms]
            terms = [replace(t, seconds=r * t.seconds) for t, r in zip(terms, ratios, strict=True)]
            said = f"times {drift.ratio:.3g}, what {drift.solves} solves of earlier runs took"
            assumptions.append(said)
        if not self.calibration.timed:
            # Rates that nobody timed here say so in every quote made from them.
            assumptions.append(self.calibration.source)
        seconds = math.fsum(term.seconds for term in terms)
        said, parts = tuple(assumptions), tuple(terms)
        return records.Quote(seconds=seconds, terms=parts, assumptions=said, **fixed, **priced)


def forming_seconds(
    calibration: records.Calibration, work: records.FormingWork, dtype: str
) -> float:
    """Return what forming entries costs: rows by double backward, the rest in matrix products.

    A calibration without ``curvature_rows`` prices all of them as matrix products.
    """
    if not work.rows or calibration.fit("curvature_rows", dtype) is None:
        return kernels.price(calibration, "gemm", work.flops, dtype)
    calls = kernels.rows_calls(work.rows, work.row_operations)
    seconds = kernels.price(calibration, "curvature_rows", work.rows_flops, dtype, calls=calls)
    rest = work.flops - work.rows_flops
    return seconds + kernels.price(calibration, "gemm", rest, dtype) if rest > 0.0 else seconds


def nonzeros(facts: records.Facts) -> records.Sparse:
    """Return what is known of the nonzero entries, whether A is held by them or not.

    Example:
        >>> from qnewton.records import Facts, Formed
        >>> nonzeros(Facts(n=3, held=Formed(entries=5))).entries, nonzeros(Facts(n=3)).entries
        (5, None)
    """
    held = facts.held
    if isinstance(held, records.Formed):
        return records.Sparse(entries=held.entries, envelope=held.envelope)
    return held if isinstance(held, records.Sparse) else records.Sparse()


_FLOAT64_EPS = 2.0**-52


def singular_to_rounding(facts: records.Facts) -> bool:
    """Return whether the smallest |λ| is known to be zero to the rounding of float64.

    Eigenvalues of order N are off by 4√N roundings of the norm, so that κ is not known beyond.

    Example:
        >>> from qnewton.records import Estimate, Facts, Spectrum
        >>> known = {"value": None, "high": None, "method": "exact", "products": 0}
        >>> found = [Spectrum(condition=Estimate(low=low, **known)) for low in (1e15, 1e3)]
        >>> [singular_to_rounding(Facts(n=50, spectrum=spectrum)) for spectrum in found]
        [True, False]
    """
    condition, n = facts.spectrum.condition, facts.n
    if condition is None or condition.value is not None or condition.low is None:
        return False
    return 2.0 * min(float(n), 4.0 * math.sqrt(n)) * _FLOAT64_EPS * condition.low >= 1.0


def definiteness_known(facts: records.Facts) -> tuple[records.Definiteness | None, str]:
    """Return what is known of A's signs, and where from: this step's survey before an earlier one.

    Example:
        >>> from qnewton.records import Earlier, Facts
        >>> earlier = Earlier(step=4, definiteness="indefinite")
        >>> definiteness_known(Facts(n=3, earlier=earlier))
        ('indefinite', ', as an earlier step found')
    """
    if facts.spectrum.definiteness is not None:
        return facts.spectrum.definiteness, ""
    if facts.earlier is not None and facts.earlier.definiteness is not None:
        return facts.earlier.definiteness, ", as an earlier step found"
    return None, ""
