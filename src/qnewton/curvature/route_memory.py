"""What earlier steps found of a block's routes, so that nothing rejected is computed twice."""

from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any

_MOST = 64  # rejections kept of one block: graphs of sequences of as many lengths


@dataclass(frozen=True)
class RouteMemory:
    """Rejected routes, and the products that a block's solve took, as plain numbers.

    A rejection holds for one structure of the graph: operations in the same order, whatever their
    shapes. It is a matter of speed alone: what takes a rejected route's place is right for any
    loss, so a rejection that no longer holds costs time and no correctness.

    Args:
        numbers: Where they are kept, under flat names; the optimizer's state.
        step: The present step, which a new rejection is kept with.
        structure: Checksum of the graph's operations.
        usual_products: Products that a solve is expected to take as long as none was counted;
            ``None`` where systems are formed, whatever products take.

    Example:
        >>> memory = RouteMemory({}, step=3, structure=7)
        >>> memory.reject("full", "ggn", "sample-space")
        >>> memory.rejected("full", "ggn", "sample-space"), memory.rejected("0", "ggn", "jacobian")
        (3, None)
    """

    numbers: MutableMapping[str, Any] = field(default_factory=dict)
    step: int = 0
    structure: int = 0
    usual_products: int | None = None

    def rejected(self, block: str, kind: str, route: str) -> int | None:
        """Return the step at which a route was rejected for this graph, or ``None``."""
        found = self.numbers.get(self._name(block, kind, route))
        return None if found is None else int(found)

    def reject(self, block: str, kind: str, route: str) -> None:
        """Remember that a route does not hold for this graph."""
        before = [name for name in self.numbers if name.startswith(f"{block}.rejected.")]
        if len(before) >= _MOST:
            del self.numbers[min(before, key=lambda name: (self.numbers[name], name))]
        self.numbers[self._name(block, kind, route)] = self.step

    def products(self, block: str) -> int | None:
        """Return how many products a solve of ``block`` should take, as the last one counted.

        One that ran out is expected to take twice as many.
        """
        if self.usual_products is None:
            return None
        counts = (self.numbers.get(f"{block}.{name}") for name in _COUNTED)
        spent = next((int(count) for count in counts if count is not None), None)
        if spent is not None:
            return spent
        unfinished = self.numbers.get(f"{block}.cg_unfinished")
        return self.usual_products if unfinished is None else 2 * int(unfinished)

    def _name(self, block: str, kind: str, route: str) -> str:
        return f"{block}.rejected.{kind}.{route}.{self.structure}"


_COUNTED = ("cg_products", "cg_expected", "minres_products", "minres_expected")
