"""A TOML profile read strictly: every mistake is one line naming file, field and limit."""

import datetime
import math
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from os import PathLike
from pathlib import Path
from typing import Any

from qnewton.records import Figure

BUNDLED = files("qnewton.cost") / "profiles"


@dataclass(frozen=True)
class Table:
    """One table of a profile, with the words that name it in a message.

    Attributes:
        where: File, and the table inside it.
        values: The parsed TOML.
    """

    where: str
    values: dict[str, Any]

    def only(self, allowed: Collection[str]) -> None:
        """Raise ``ValueError`` if the table holds a field that no profile has."""
        for field in self.values:
            if field not in allowed:
                raise ValueError(
                    f"{self.where}: unknown field {field!r}; the fields are {', '.join(allowed)}"
                )

    def get(self, field: str) -> Any:
        """Return a field, or raise ``ValueError`` if it is missing."""
        if field not in self.values:
            raise ValueError(f"{self.where}: the field {field} is missing")
        return self.values[field]

    def text(self, field: str) -> str:
        """Return a field that must be words; a TOML date counts, as ISO 8601."""
        value = self.get(field)
        if isinstance(value, datetime.date):
            return value.isoformat()
        if not isinstance(value, str) or not value.strip():
            raise ValueError(f"{self.where}: {field} is {value!r}; it must be a text in quotes")
        return value

    def flag(self, field: str) -> bool:
        """Return a field that must be ``true`` or ``false``."""
        value = self.get(field)
        if not isinstance(value, bool):
            raise ValueError(f"{self.where}: {field} is {value!r}; it must be true or false")
        return value

    def number(self, field: str, *, zero: bool = False, high: float = math.inf) -> float:
        """Return a finite number above 0, or from 0 where ``zero``, and at most ``high``."""
        value = self.get(field)
        limits = "0 or more" if zero else "above 0"
        if high < math.inf:
            limits = f"{limits} and at most {high:g}"
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and (0 < value < math.inf or (zero and value == 0)) and value <= high):
            raise ValueError(f"{self.where}: {field} is {value!r}; it must be a number {limits}")
        return float(value)

    def table(self, field: str) -> "Table":
        """Return a field that must itself be a table."""
        value = self.get(field)
        if not isinstance(value, dict):
            raise ValueError(
                f"{self.where}: {field} is {value!r}; it must be a table with value, source, date"
            )
        return Table(f"{self.where}: {field}", value)

    def figure(self, field: str, *, zero: bool = False, high: float = math.inf) -> Figure:
        """Return a field that must be a number with its source and date."""
        table = self.table(field)
        table.only(("value", "source", "date"))
        return Figure(
            value=table.number("value", zero=zero, high=high),
            source=table.text("source"),
            date=table.text("date"),
        )


def bundled(kind: str) -> tuple[str, ...]:
    """Return the names of the profiles of ``kind`` that come with the package, sorted."""
    folder = BUNDLED / kind
    return tuple(sorted(f.name.removesuffix(".toml") for f in folder.iterdir()))


def read(kind: str, name_or_path: str | PathLike[str]) -> Table:
    """Return a bundled profile by name, or a user's own by path.

    Raises:
        ValueError: If there is no such profile or file, or the file is not TOML.
    """
    names = bundled(kind)
    if str(name_or_path) in names:
        return _parse(BUNDLED / kind / f"{name_or_path}.toml", f"profile {name_or_path}")
    path = Path(name_or_path)
    if path.suffix != ".toml":
        raise ValueError(
            f"no {kind} profile is called {str(name_or_path)!r}; choose {', '.join(names)}, or "
            "give the path of a .toml file"
        )
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file; bundled profiles: {', '.join(names)}")
    return _parse(path, str(path))


def _parse(file: Traversable, where: str) -> Table:
    try:
        return Table(where, tomllib.loads(file.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{where}: not a TOML file: {error}") from error
