"""The early first-order phase: how long it lasts, and what ends it."""

import math
from dataclasses import dataclass
from typing import Literal

from qnewton.records import BlockRecord


def check_rate(rate: float) -> None:
    """Raise if a first-order rate is negative or not finite."""
    if not 0.0 <= rate < math.inf:
        raise ValueError(f"first_order_lr is {rate}; it must be finite and 0 or more")


@dataclass(frozen=True, kw_only=True)
class Warmup:
    """When training changes from first-order to Newton steps.

    Attributes:
        mode: ``steps`` takes ``steps`` first-order steps. ``auto`` surveys every
            ``survey_every`` first-order steps and changes over when the chosen solves of all
            blocks together are priced within ``budget_seconds`` (modelled). ``paper`` changes
            over when every block's κ and d are below ``condition_below`` and
            ``sparsity_below``, the criterion of the paper's IV-B.
        steps: First-order steps in mode ``steps``.
        survey_every: First-order steps from one survey to the next.
        budget_seconds: Modelled seconds a Newton solve may cost.
        max_steps: First-order steps after which Newton starts whatever the survey says.
        condition_below: Largest κ at which Newton may start in mode ``paper``.
        sparsity_below: Largest d, as a share of N, at which Newton may start there.
        first_order_lr: Learning rate of first-order steps, and of what has no Newton direction;
            of groups whose ``lr`` is not 0.

    Raises:
        ValueError: If a count or the rate is negative, or a limit is not positive.

    Example:
        >>> Warmup.of(5).steps
        5
        >>> Warmup.of("auto").mode
        'auto'
    """

    mode: Literal["steps", "auto", "paper"] = "steps"
    steps: int = 0
    survey_every: int = 10
    budget_seconds: float = 1.0
    max_steps: int = 100
    condition_below: float = 100.0
    sparsity_below: float = 0.5
    first_order_lr: float = 0.1

    def __post_init__(self) -> None:
        if self.mode not in ("steps", "auto", "paper"):
            raise ValueError(f"warmup is {self.mode!r}; pass a number of steps, 'auto' or 'paper'")
        if self.steps < 0 or self.max_steps < 0:
            raise ValueError(
                f"warmup is {min(self.steps, self.max_steps)} steps; it must be 0 or more"
            )
        if self.survey_every < 1:
            raise ValueError(f"warmup survey_every is {self.survey_every}; it must be at least 1")
        for name in ("budget_seconds", "condition_below", "sparsity_below"):
            if not getattr(self, name) > 0:
                raise ValueError(f"warmup {name} is {getattr(self, name)}; it must be positive")
        check_rate(self.first_order_lr)

    @classmethod
    def of(cls, value: "int | str | Warmup") -> "Warmup":
        """Return ``value`` as a Warmup: a step count, ``"auto"``, ``"paper"``, or itself."""
        if isinstance(value, Warmup):
            return value
        if isinstance(value, int) and not isinstance(value, bool):
            return cls(steps=value)
        return cls(mode=value)  # type: ignore[arg-type]  # __post_init__ names a wrong one

    def is_over(self, step: int) -> bool:
        """Return whether ``step`` is a Newton step without asking any survey."""
        return step >= (self.steps if self.mode == "steps" else self.max_steps)

    def surveys(self, step: int) -> bool:
        """Return whether first-order step ``step`` is surveyed."""
        return self.mode != "steps" and step % self.survey_every == 0

    def ends_with(self, blocks: tuple[BlockRecord, ...]) -> bool:
        """Return whether a survey that found ``blocks`` ends the phase."""
        if self.mode == "auto":
            quotes = [block.decision.quote(block.decision.chosen) for block in blocks]
            prices = [quote.seconds for quote in quotes if quote and quote.seconds is not None]
            return len(prices) == len(blocks) and sum(prices) <= self.budget_seconds
        return all(
            _below(spectrum.condition and spectrum.condition.value, self.condition_below)
            and _below(spectrum.row_sparsity, self.sparsity_below * block.n)
            for block in blocks
            for spectrum in (block.facts.spectrum,)
        )


def _below(value: float | None, limit: float) -> bool:
    return value is not None and value < limit
