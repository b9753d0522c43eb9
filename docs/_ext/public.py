"""``public``: a table of some public names of a module, then what each of them is."""

import inspect
from importlib import import_module
from typing import Any

from docutils import nodes
from public_names import docstring, is_value
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_LONGEST_VALUE = 120
"""Characters of a value that is still shown beside its name."""


class Public(SphinxDirective):
    """The names stand in the body; the module, which they are imported from, is the argument."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the table, which links to the descriptions below it, and the descriptions."""
        (module,) = self.arguments
        names = " ".join(self.content).split()
        lines = [".. list-table::", "   :widths: 35 65", ""]
        for name in names:
            # As a docstring, for the mathematics in it is escaped as in one.
            said = [docstring(module, name).partition("\n")[0]]
            self.env.app.emit(
                "autodoc-process-docstring", "table", name, None, {}, said
            )
            lines += [
                f"   * - :py:obj:`~{module}.{name}`",
                f"     - {' '.join(said)}",
            ]
        for name in names:
            lines += ["", f".. {_directive(module, name)}:: {module}.{name}"]
            if _directive(module, name) == "autodata" and not _short(module, name):
                lines.append("   :no-value:")
        text = "\n".join(lines)
        return self.parse_text_to_nodes(f"```{{eval-rst}}\n{text}\n```")


def _directive(module: str, name: str) -> str:
    value = getattr(import_module(module), name)
    if inspect.isclass(value):
        return "autoexception" if issubclass(value, BaseException) else "autoclass"
    return "autofunction" if inspect.isroutine(value) else "autodata"


def _short(module: str, name: str) -> bool:
    value = repr(getattr(import_module(module), name))
    return len(value) <= _LONGEST_VALUE and "<" not in value


def _describe_value(
    app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]
) -> None:
    """Say of an imported value what stands below it, where autodoc says what its class is."""
    if what == "data" and is_value(value):
        module, _, name = name.rpartition(".")
        lines[:] = [*docstring(module, name).splitlines(), ""]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register, and describe values before anything else reads their docstrings."""
    app.add_directive("public", Public)
    app.connect("autodoc-process-docstring", _describe_value, priority=50)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
