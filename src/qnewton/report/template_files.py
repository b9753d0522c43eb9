"""How files among the templates, and data for scripts, become text of a page."""

import json
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment


def template_text(name: str) -> str:
    """Return a file among the templates."""
    return files("qnewton.report").joinpath(f"templates/{name}").read_text(encoding="utf-8")


def script_data(data: object) -> str:
    """Return data as JSON that no HTML parser takes for the end of a script.

    Raises:
        ValueError: If a number in it is not finite.
    """
    text = json.dumps(data, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


@cache
def page_templates() -> "Environment":
    """Return the templates of pages and panels."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("qnewton.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
