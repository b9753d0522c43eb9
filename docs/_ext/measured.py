"""What the benchmarks measured: tables made from their committed results when a page is built."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from benchmarks.__main__ import NAMES
from benchmarks.harness.results import FOLDER, markdown


class Measured(SphinxDirective):
    """The rows of every benchmark, or a line that says that it was not run."""

    def run(self) -> list[nodes.Node]:
        """Return the tables; the page is built again when a result changes."""
        for path in FOLDER.glob("*.json"):
            self.env.note_dependency(path)
        return self.parse_text_to_nodes(
            "\n\n".join(markdown(name) for name in NAMES)
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("measured", Measured)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
