"""Keep colons in the first line of a property's or a value's docstring.

Napoleon reads "a: b" there as a type and a description. Types stand in the signature here.
"""

from typing import Any


def _keep(
    app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    if what in ("property", "attribute", "data"):
        # Napoleon looks for the type in the first line alone that is not empty. An escaped end of a
        # line is nothing to reStructuredText.
        lines.insert(0, "\\")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx, before napoleon."""
    app.connect("autodoc-process-docstring", _keep, priority=400)
    return {"parallel_read_safe": True}
