"""The shape of a vector: how many of its components are how large."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Amplitudes:
    """The squares of a unit vector's components, in groups of a factor 2, largest first.

    Shots of a read-out depend on nothing else of a vector, and a group says as much of them as its
    components: the error of one hardly changes over a factor 2.

    Attributes:
        squares: Mean square of a component of each group; those of all components sum to 1.
        counts: Components of each group.

    Example:
        >>> Amplitudes(squares=(0.5, 0.125), counts=(1, 4)).n
        5
    """

    squares: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def n(self) -> int:
        """Components N."""
        return sum(self.counts)
