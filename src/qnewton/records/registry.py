"""Tables of named things that others may add to, by a call or by an entry point."""

import warnings
from collections.abc import Iterable, Iterator
from typing import Generic, Protocol, TypeVar


class Named(Protocol):
    """What a registry holds: anything with a name."""

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        ...


Item = TypeVar("Item", bound=Named)


class Registry(Generic[Item]):
    """Named objects of one kind: ours, those that were registered, and those of entry points.

    Entry points are looked up once, when the registry is first read, so that importing it costs
    nothing. One that cannot be loaded is left out with a warning.

    Args:
        kind: What the objects are, for messages: ``solver``.
        group: The entry-point group others name theirs in: ``qnewton.solvers``.
        items: The objects that come with the package.

    Raises:
        ValueError: If two objects have one name.

    Cost:
        One pass over the metadata of what is installed, at the first read.

    Example:
        >>> from types import SimpleNamespace
        >>> pets = Registry("pet", "example.pets", [SimpleNamespace(name="cat")])
        >>> dog = pets.register(SimpleNamespace(name="dog"))
        >>> [pet.name for pet in pets], "cow" in pets
        (['cat', 'dog'], False)
    """

    def __init__(self, kind: str, group: str, items: Iterable[Item] = ()) -> None:
        self.kind = kind
        self.group = group
        self._items: dict[str, Item] = {}
        self._loaded = False
        for item in items:
            self.register(item)

    def register(self, item: Item) -> Item:
        """Add an object and return it.

        Raises:
            ValueError: If another object has its name.
        """
        if self._items.setdefault(item.name, item) is not item:
            raise ValueError(f"a {self.kind} called {item.name!r} is there already")
        return item

    def unregister(self, name: str) -> None:
        """Remove an object.

        Raises:
            ValueError: If there is none of that name.
        """
        del self._items[self.get(name).name]

    def get(self, name: str) -> Item:
        """Return the object called ``name``.

        Raises:
            ValueError: If there is none; the message names those there are.
        """
        found = self.find(name)
        if found is None:
            raise ValueError(f"no {self.kind} is called {name!r}; choose {', '.join(self.names)}")
        return found

    def find(self, name: str) -> Item | None:
        """Return the object called ``name``, or ``None`` if there is none."""
        return self._known().get(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The names, in the order of registration."""
        return tuple(self._known())

    def __iter__(self) -> Iterator[Item]:
        return iter(tuple(self._known().values()))

    def __contains__(self, name: object) -> bool:
        return name in self._known()

    def __len__(self) -> int:
        return len(self._known())

    def _known(self) -> dict[str, Item]:
        if not self._loaded:
            self._loaded = True
            from importlib.metadata import entry_points

            for point in entry_points(group=self.group):
                try:
                    self.register(point.load())
                except Exception as error:  # noqa: BLE001  # a stranger's import may raise anything
                    warnings.warn(f"{self.kind} {point.name!r} is left out: {error}", stacklevel=3)
        return self._items
