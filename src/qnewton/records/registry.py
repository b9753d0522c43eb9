"""Tables of named things that others may add to, by a call or by an entry point."""

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from qnewton.records.messages import choice_of, one_line, shown


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
        of: The type they are of; ``None`` for any with a name.
        check: Raises ``ValueError`` on an object that cannot be used.

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

    def __init__(
        self,
        kind: str,
        group: str,
        items: Iterable[Item] = (),
        of: type[Item] | None = None,
        check: Callable[[Item], None] = lambda _: None,
    ) -> None:
        self.kind, self.group, self._of, self._check = kind, group, of, check
        self._items: dict[str, Item] = {}
        self._loaded = False
        for item in items:
            self.register(item)
        self._own = dict(self._items)

    def register(self, item: Item) -> Item:
        """Add an object and return it.

        Raises:
            ValueError: If another object has its name, the name is no word, or the object is of
                another type or cannot be used.
        """
        if self._of is not None and not isinstance(item, self._of):
            wanted = f"{self._of.__module__}.{self._of.__qualname__}"
            found = f"the class {item.__name__}" if isinstance(item, type) else shown(item)
            raise ValueError(f"{found} is no {self.kind}; register an instance of {wanted}")
        name = item.name
        if not isinstance(name, str) or not re.fullmatch(r"\w[\w.+-]*", name):
            limits = "its name must be a word of letters, digits and any of _ . + -"
            raise ValueError(f"a {self.kind} is called {name!r}; {limits}")
        if self._items.get(name, item) is not item:
            way_out = "choose another name, or unregister that one first"
            raise ValueError(f"a {self.kind} called {name!r} is there already; {way_out}")
        self._check(item)
        return self._items.setdefault(name, item)

    def is_own(self, item: Item) -> bool:
        """Return whether an object came with the package."""
        return self._own.get(item.name) is item

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
            raise ValueError(f"no {self.kind} is called {name!r}; {choice_of(name, self.names)}")
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
                except (Exception, SystemExit) as error:  # noqa: BLE001  # a stranger's import
                    said = one_line(error)
                    warnings.warn(f"{self.kind} {point.name!r} is left out: {said}", stacklevel=3)
        return self._items
