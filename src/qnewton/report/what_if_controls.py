"""Controls of the what-if panels, and how their templates and scripts become text."""

from dataclasses import dataclass
from typing import Any

from qnewton.report.template_files import page_templates, script_data, template_text


@dataclass(frozen=True, kw_only=True)
class Slider:
    """A control that moves between two ends.

    Attributes:
        name: Its name in the script.
        title: Its label.
        low: Its lower end.
        high: Its upper end.
        step: What a key moves it by.
        hint: What it means, in a sentence.
    """

    name: str
    title: str
    low: float
    high: float
    step: float
    hint: str


@dataclass(frozen=True)
class Option:
    """A value of a control, its name, and what it means in a sentence."""

    value: str
    title: str
    said: str


@dataclass(frozen=True)
class Choice:
    """A control that offers named values."""

    name: str
    title: str
    options: tuple[Option, ...]


TABLE_LOADING = Choice(
    "tables",
    "table loading",
    (
        Option("0 1", "QROM, written anew", "Entries are read by QROM and written at every step."),
        Option("0 0", "QROM, writing is free", "Entries are read by QROM; nobody writes them."),
        Option("1 1", "QRAM, written anew", "QRAM reads them, which nobody has built."),
        Option("1 0", "QRAM, writing is free", "Nobody has built QRAM; nobody writes it here."),
    ),
)
"""What reads the tables, and whether writing them is charged: an index, and 1 or 0."""


def rendered(template: str, data: dict[str, Any], **content: Any) -> str:
    """Return a panel's HTML.

    Args:
        template: Name of its template.
        data: What its script reads; JSON without infinite numbers.
        content: What else the template names.
    """
    from markupsafe import Markup

    return page_templates().get_template(template).render(data=Markup(script_data(data)), **content)


def joined_script(names: tuple[str, ...], start: str) -> str:
    """Return one script of several files, whose names no other script of the page sees."""
    return "\n".join(("(() => {", *map(template_text, names), start, "})();"))
