"""What became of one solve: an enumeration that code compares, beside words that people read."""

from enum import StrEnum


class Outcome(StrEnum):
    """What became of a solve; the words and numbers of one case are a *detail* beside it.

    Members are strings, so that a record holds them as they are. Code compares members and never
    reads a detail.

    Example:
        >>> Outcome.RESIDUAL.describe("3e-02 above 3e-04")
        'residual 3e-02 above 3e-04'
        >>> str(Outcome.SINGULAR), Outcome("singular") is Outcome.SINGULAR
        ('singular', True)
    """

    SOLVED = "solved"
    FACTORIZED = "factorized"
    NOT_TRIED = "not solved"
    # What the entries of A and b, or the arithmetic, end in.
    NOT_DEFINITE = "not positive definite"
    SINGULAR = "singular"
    NOT_FINITE = "not finite"
    NOT_CONVERGED = "not converged"
    RESIDUAL = "residual above the tolerance"
    OVERFLOW = "x overflows"
    UNDERFLOW = "x underflows"
    NO_FACTOR = "needs a low-rank factor"
    NO_EIGENBASIS = "needs eigenvectors"
    NO_TARGET = "needs the target of least squares"
    NO_DAMPING = "needs damping above 0"
    NO_PRECONDITIONER = "no preconditioner"
    RAISED = "raised"
    # What only a quantum solver meets.
    PROMISE_BROKEN = "promise broken"
    ALPHA_TOO_SMALL = "alpha below the norm"
    ZERO_RHS = "zero right-hand side"
    DEGREE_TOO_HIGH = "degree above the limit"
    CLOCK_TOO_LARGE = "clock above the limit"
    NOTHING_READ = "nothing read"
    NO_SUCCESS = "success probability 0"
    # What a solver from outside, or an older version, called in its own words.
    FAILED = "failed"

    def __repr__(self) -> str:
        """Return the value in quotes: a record shows words, as its JSON does."""
        return repr(self.value)

    def describe(self, detail: str = "") -> str:
        """Return what people read: the outcome, and what the detail says of it.

        Args:
            detail: The words and numbers of one case; empty where the outcome says it all.
        """
        if not detail:
            return self.value
        return f"{_LEADS.get(self, f'{self.value} ')}{detail}"


# What stands before a detail, where it is not the value and a space.
_LEADS = {
    Outcome.RESIDUAL: "residual ",
    Outcome.NO_PRECONDITIONER: "no preconditioner: ",
    Outcome.PROMISE_BROKEN: "promise broken, ",
    Outcome.DEGREE_TOO_HIGH: "degree ",
    Outcome.CLOCK_TOO_LARGE: "clock of ",
    Outcome.FAILED: "",
}
