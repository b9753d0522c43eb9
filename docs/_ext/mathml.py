"""Formulas as MathML, which browsers draw themselves: no script, no picture, no network.

They need a font that says where indices and roots stand, which many systems lack: STIX Two Math,
which ziamath brings, comes with the pages.
"""

import re
from importlib.resources import files
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

# As in LaTeX only bars of left and right grow; others would, those with an index excepted.
_BAR = re.compile(r"<mo(?: stretchy=\"false\")?>(&#x02016;|&#x0007C;)</mo>")


def formula(latex: str, display: str = "inline") -> str:
    """Return MathML."""
    fixed = r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>'
    return _BAR.sub(fixed, convert(latex, display=display))


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(formula(node.astext()))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    # A narrow screen scrolls a wide formula, also by the keyboard, and not the page.
    box = '<div class="formula" role="group" aria-label="formula" tabindex="0">'
    writer.body.append(f"{box}{formula(node.astext(), 'block')}</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer that ``html_math_renderer`` names, and the folder of its font."""
    app.config.html_static_path.append(str(files("ziamath") / "fonts"))
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
