"""``qnewton report``: the page of a run folder, made again."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import tyro

from qnewton.cli.folders import named_or_newest
from qnewton.cli.output import print_json, say_paths
from qnewton.cli.progress import Progress
from qnewton.runs import read_config


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write report.html and the pictures of a run or a comparison again, from its records alone.

    Examples: qnewton report; qnewton report runs/digits-20250101-120000

    Attributes:
        folder: Folder that train or compare wrote; the default is the newest below runs/.
        json: Print one JSON object with the page's path.
    """

    usual: ClassVar[tuple[str, ...]] = ("folder", "json")

    folder: tyro.conf.Positional[Path | None] = None
    json: bool = False

    def run(self) -> None:
        """Write the page."""
        folder = named_or_newest(self.folder)
        read_config(folder)
        # Loaded after the folder is read: charts take a second that a wrong one need not.
        from qnewton.report import write_pictures, write_report

        with Progress(f"writing the page of {folder}", quiet=self.json):
            page = write_report(folder)
            write_pictures(folder)
        if self.json:
            print_json({"page": str(page)})
        else:
            say_paths(f"page {page}")
