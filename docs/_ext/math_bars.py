"""Docstrings write |x| and v_1ᵀ as mathematics; reStructuredText reads substitutions and links."""

import re
from typing import Any

from sphinx.application import Sphinx

_LITERAL = re.compile(r"(``.+?``|:[a-z:]+:`.+?`)")
_BAR = re.compile(r"(?<!\\)\|")
_TRAILING_UNDERSCORE = re.compile(r"(?<=\w)_(?=\W|$)")


def _escape(line: str) -> str:
    parts = _LITERAL.split(line)
    parts[::2] = [
        _TRAILING_UNDERSCORE.sub(r"\\_", _BAR.sub(r"\\|", part))
        for part in parts[::2]
    ]
    return "".join(parts)


def escape_docstring(
    app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]
) -> None:
    """Escape bars and trailing underscores outside literals and examples, in place."""
    inside_example = False
    for number, line in enumerate(lines):
        inside_example = line.strip().startswith(">>>") or (
            inside_example and bool(line.strip())
        )
        if not inside_example:
            lines[number] = _escape(line)


def setup(app: Sphinx) -> dict[str, bool]:
    """Run before napoleon, whose markup must stay as it is."""
    app.connect("autodoc-process-docstring", escape_docstring, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
