"""What a finite circuit does wrong, as an emulated one is told to do it, too."""

from dataclasses import dataclass
from typing import Protocol

from qnewton.records.messages import check


class Budget(Protocol):
    """What each cause of an error may do to the state; :class:`qnewton.cost.ErrorBudget` is one."""

    @property
    def entries(self) -> float:
        """κ_be·δ_A."""
        ...

    @property
    def rhs(self) -> float:
        """κ_be·δ_b."""
        ...

    @property
    def rotations(self) -> float:
        """Q·δ_r/√p."""
        ...


@dataclass(frozen=True, kw_only=True)
class CircuitErrors:
    """The errors of a circuit with finitely many bits and gates.

    Attributes:
        entries: δ_A: the encoded matrix is A + E, ‖E‖₂ = α·δ_A, for a drawn E with ‖E·v‖ = ‖E‖₂‖v‖
            for every v.
        rhs: δ_b: the state that is prepared lies δ_b from b̂, in a drawn direction.
        rotations: δ_r: each of Q queries moves the output, of length √p, by δ_r, all of them
            together by Q·δ_r in a drawn direction.
        seed: Seeds what is drawn.

    Raises:
        ValueError: If an error is negative, or those of A or b are 1 or more.

    Example:
        >>> CircuitErrors(entries=1e-6).rhs
        0.0
    """

    entries: float = 0.0
    rhs: float = 0.0
    rotations: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("entries", "rhs"):
            value = getattr(self, name)
            check(f"the error of {name}", value, "must lie in [0, 1)", 0.0 <= value < 1.0)
        said = "the error of rotations"
        check(said, self.rotations, "must be 0 or more", self.rotations >= 0.0)

    @classmethod
    def within(cls, budget: Budget, kappa: float, queries: float, seed: int = 0) -> "CircuitErrors":
        """Return the largest errors that a budget allows.

        Args:
            budget: What each cause may do to the state.
            kappa: κ_be.
            queries: Q/√p, or more, such as the calls that a price expects until success.
            seed: Seeds what is drawn.

        Example:
            >>> from types import SimpleNamespace
            >>> budget = SimpleNamespace(entries=1e-3, rhs=2e-3, rotations=1e-3)
            >>> errors = CircuitErrors.within(budget, kappa=100.0, queries=1e4)
            >>> f"{errors.entries:.0e} {errors.rhs:.0e} {errors.rotations:.0e}"
            '1e-05 2e-05 1e-07'
        """
        return cls(
            entries=float(budget.entries) / kappa,
            rhs=float(budget.rhs) / kappa,
            rotations=float(budget.rotations) / queries,
            seed=seed,
        )
