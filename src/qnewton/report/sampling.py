"""Fewer of many, evenly spread."""

from collections.abc import Sequence
from typing import TypeVar

from qnewton.records import StepRecord

Item = TypeVar("Item")


def evenly(items: Sequence[Item], most: int | None) -> list[Item]:
    """Return at most ``most`` items, evenly spread, the first and the last among them.

    Example:
        >>> evenly(range(10), 4), evenly("abc", None)
        ([0, 3, 6, 9], ['a', 'b', 'c'])
    """
    if most is None or len(items) <= most:
        return list(items)
    if most == 1:
        return [items[-1]]
    return [items[round(place * (len(items) - 1) / (most - 1))] for place in range(most)]


def of_so_many_solves(steps: Sequence[StepRecord], most: int) -> list[StepRecord]:
    """Return steps, evenly spread, that solved so many systems in all at most; one at least."""
    each = max(sum(bool(block.attempts) for block in step.blocks) for step in steps)
    return evenly(steps, max(1, most // each))
