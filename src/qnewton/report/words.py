"""Sentences with numbers in them, apart from the code that finds the numbers."""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined, Template

from qnewton.records import QuantumHardware, Quote
from qnewton.report import quantities


def machine_name(machine: QuantumHardware | Quote) -> str:
    """Return the name of a machine, or of a quote's machine, marked where it does not exist."""
    name = machine.hardware if isinstance(machine, Quote) else machine.name
    return f"{name} (hypothetical)" if machine.hypothetical else name


def _title(solver: str) -> str:
    from qnewton.report.style import solver_look  # it loads altair, which sentences alone need not

    return solver_look(solver).label


_TEMPLATES = Environment(undefined=StrictUndefined)
_TEMPLATES.filters |= {
    "to": format,
    "number": quantities.number_text,
    "power": quantities.power_text,
    "seconds": quantities.seconds_text,
    "share": quantities.share_text,
    "machine": machine_name,
    "title_of": _title,
}


def rendered(template: str, values: Mapping[str, Any]) -> str:
    r"""Return a Jinja template with values in it, as one line.

    ``x | to("g")`` is Python's format; ``number``, ``power``, ``seconds`` and ``share`` are those
    of :mod:`qnewton.report.quantities`.

    Example:
        >>> rendered("{{ n | to(',') }} steps\n{% if n > 9 %}and more{% endif %}", {"n": 1200})
        '1,200 steps and more'
    """
    return " ".join(_template(template).render(values).split())


@cache
def _template(text: str) -> Template:
    return _TEMPLATES.from_string(text)


@cache
def _sentences() -> dict[str, str]:
    path = files("qnewton.report").joinpath("templates/words.toml")
    return tomllib.loads(path.read_text(encoding="utf-8"))


def words(name: str, **values: Any) -> str:
    """Return a sentence of ``templates/words.toml`` with values in it."""
    return rendered(_sentences()[name], values)
