"""``qnewton report``: the page of a run folder, made again."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from qnewton.cli.output import print_json, say_paths


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write report.html and the pictures of a run or a comparison again, from its records alone.

    Attributes:
        folder: Folder that train or compare wrote.
        json: Print one JSON object with the page's path.
    """

    folder: tyro.conf.Positional[Path]
    json: bool = False

    def run(self) -> None:
        """Write the page."""
        from qnewton.report import write_pictures, write_report

        page = write_report(self.folder)
        write_pictures(self.folder)
        if self.json:
            print_json({"page": str(page)})
        else:
            say_paths(f"page {page}")
