"""Sentences with numbers in them, apart from the code that finds the numbers."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from qnewton.report import quantities

_TEMPLATES = Environment(undefined=StrictUndefined)
_TEMPLATES.filters |= {
    "to": format,
    "number": quantities.number_text,
    "power": quantities.power_text,
    "seconds": quantities.seconds_text,
    "share": quantities.share_text,
}


def rendered(template: str, values: Mapping[str, Any]) -> str:
    r"""Return a Jinja template with values in it, as one line.

    ``x | to("g")`` is Python's format; ``number``, ``power``, ``seconds`` and ``share`` are those
    of :mod:`qnewton.report.quantities`.

    Example:
        >>> rendered("{{ n | to(',') }} steps\n{% if n > 9 %}and more{% endif %}", {"n": 1200})
        '1,200 steps and more'
    """
    return " ".join(_TEMPLATES.from_string(template).render(values).split())


@cache
def _sentences() -> dict[str, str]:
    path = files("qnewton.report").joinpath("templates/words.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def words(name: str, **values: Any) -> str:
    """Return a sentence of ``templates/words.toml`` with values in it."""
    return rendered(_sentences()[name], values)
