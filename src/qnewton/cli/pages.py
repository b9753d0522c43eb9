"""The page of a run, which a command writes where the extra ``report`` is installed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qnewton.cli.output import warn


@contextmanager
def optional_pictures() -> Iterator[None]:
    """Answer a missing extra by one line of warning: what was computed is worth more."""
    from qnewton.report.vega import MissingExtraError

    try:
        yield
    except MissingExtraError as error:
        warn(str(error))


def write_page(folder: Path) -> Path | None:
    """Write page and pictures of a run or a comparison; ``None``, and a warning, without the extra.

    Returns:
        Path of the page.
    """
    from qnewton.report import write_pictures, write_report

    with optional_pictures():
        page = write_report(folder)
        write_pictures(folder)
        return page
    return None
