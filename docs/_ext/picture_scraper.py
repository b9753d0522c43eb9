"""Pictures of the gallery: a block that ends in an Altair chart or a drawn circuit shows it."""

import ast
from typing import Any

import altair as alt
from sphinx_gallery.scrapers import figure_rst

from qnewton.report.style import themed


def scrape(
    block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]
) -> str:
    """Save what a block ends in as PNG and return the reStructuredText that shows it."""
    statements = ast.parse(block.content).body
    # sphinx-gallery keeps the value of a last expression under this name, and does not clear it.
    value = block_vars["example_globals"].get("___")
    if not (statements and isinstance(statements[-1], ast.Expr)):
        return ""
    if isinstance(value, alt.TopLevelMixin):
        path = next(block_vars["image_path_iterator"])
        # By vl-convert.
        themed(value).save(path, format="png", scale_factor=2)
    elif hasattr(value, "savefig"):
        # Qiskit draws circuits with matplotlib, an extra, and closes the figure.
        path = next(block_vars["image_path_iterator"])
        value.savefig(path, bbox_inches="tight", dpi=150)
    else:
        return ""
    return figure_rst([path], gallery_conf["src_dir"])
