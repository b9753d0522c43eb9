"""Formulas as MathML, which browsers draw themselves: no script, no picture, no network.

They need a font that says where indices and roots stand, which many systems lack: STIX Two Math,
which ziamath brings, comes with the pages.
"""

from importlib.resources import files
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    # A narrow screen scrolls a wide formula, also by the keyboard, and not the page.
    box = '<div class="formula" role="group" aria-label="formula" tabindex="0">'
    writer.body.append(f"{box}{convert(node.astext(), display='block')}</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer that ``html_math_renderer`` names, and the folder of its font."""
    app.config.html_static_path.append(str(files("ziamath") / "fonts"))
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
