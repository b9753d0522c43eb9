"""The page "When would a quantum computer help?", written beside the documentation's own pages."""

from pathlib import Path

from sphinx.application import Sphinx

from docs.explorable.build import write_page


def _write(app: Sphinx, failure: Exception | None) -> None:
    if failure is None and app.builder.format == "html":
        write_page(Path(app.outdir))


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the page when the others are finished."""
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
