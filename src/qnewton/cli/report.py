"""``qnewton report``: the page of a run, a comparison or several runs, made from their folders."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import tyro

from qnewton.cli.folders import named_or_newest
from qnewton.cli.output import print_json, require, say_paths
from qnewton.cli.progress import Progress
from qnewton.runs import read_config, run_folders


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write one page of a run, of a comparison, or of several runs side by side.

    The page is one file that opens without a network: who wins, what was trained, what it cost on
    both clocks, who solved each step, and what would have to change. It is made from records alone.

    Examples: qnewton report; qnewton report runs/digits-20250101-120000; qnewton report runs/a
    runs/b --out both.html; qnewton report recorded/digits --out digits.html

    Attributes:
        folders: Folders that train or compare wrote, or one that holds several runs; recorded
            stands for the runs that come with the package, and recorded/NAME for one. The default
            is the newest run below runs/.
        out: The page's file; by default report.html in the folder, and of several folders here.
        pictures: Write the pictures of a run or comparison, too: PNG, SVG and CSV in pictures/.
        json: Print one JSON object with the page's path.
    """

    usual: ClassVar[tuple[str, ...]] = ("folders", "out", "pictures", "json")

    folders: tyro.conf.Positional[tuple[Path, ...]] = ()
    out: Path | None = None
    pictures: bool = False
    json: bool = False

    def __post_init__(self) -> None:
        several = self.pictures and len(self.folders) > 1
        require(not several, f"--pictures takes one folder, not {len(self.folders)}")

    def run(self) -> None:
        """Write the page."""
        folders = self.folders or (named_or_newest(None),)
        for folder in (found for named in folders for found in run_folders(named)):
            read_config(folder)
        # Loaded after the folders are read: charts take a second that a wrong one need not.
        from qnewton.report import write_pictures, write_report

        with Progress("writing the page", quiet=self.json):
            page = write_report(*folders, out=self.out)
            pictures = write_pictures(folders[0]) if self.pictures else []
        if self.json:
            print_json({"page": str(page), "pictures": [str(path) for path in pictures]})
        else:
            say_paths(f"page {page}", *(f"picture {path}" for path in pictures))
