"""Sphinx configuration. ``make docs`` builds these pages, offline, every warning an error."""

import json
import logging
import sys
from pathlib import Path

import qnewton

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
sys.path.insert(
    1, str(Path(__file__).parents[1])
)  # paper/ and benchmarks/, not installed

# The notebooks of the gallery begin as this one does: they install qnewton where it is not there.
_notebook = json.loads(
    (
        Path(__file__).parent / "notebooks" / "qnewton_in_ten_minutes.ipynb"
    ).read_text(encoding="utf-8")
)
_install = next(
    "".join(cell["source"])
    for cell in _notebook["cells"]
    if cell["cell_type"] == "code"
)

# Where a package that an example imports turns logging on, Qiskit tells of every pass.
logging.getLogger("qiskit").setLevel(logging.WARNING)

project = "qnewton"
author = "the qnewton authors"
copyright = author
version = release = qnewton.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
    "colons",
    "math_bars",
    "mathml",
    "measured",
    "public",
    "explorable",
]
exclude_patterns = ["_build", "gallery", "**sg_execution_times.rst"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"
smartquotes = False  # --resume is no dash

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # types stand in the signature
autodoc_class_signature = "mixed"
autodoc_default_options = {"members": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Cost", "Reference"]
napoleon_use_ivar = True

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "subsection_order": [
        f"gallery/{reader}" for reader in ("train", "fit", "quantum", "frameworks")
    ],
    "within_subsection_order": "FileNameSortKey",
    "first_notebook_cell": _install,
    "image_scrapers": ("picture_scraper.scrape",),
    "reset_modules": (),
    "capture_repr": (),
    "run_stale_examples": True,
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "min_reported_time": 1e9,
}

html_theme = "furo"
html_title = f"qnewton {release}"
html_copy_source = False
html_search_scorer = str(Path(__file__).parent / "_ext" / "search_order.js")
html_static_path = ["_static"]
html_favicon = "_static/icon.svg"
templates_path = ["_templates"]
html_css_files = ["formulas.css", "gallery.css"]
