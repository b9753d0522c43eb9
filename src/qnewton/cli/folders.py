"""Which run a command means: the folder that is named, or the newest one below runs/."""

from collections.abc import Iterator
from pathlib import Path

from qnewton.cli.output import note
from qnewton.runs import read_comparison, read_config, run_folders

RUNS = Path("runs")


def named_or_newest(folder: Path | None) -> Path:
    """Return the folder that is named, or the newest run or comparison below runs/, and say which.

    Raises:
        ValueError: If none is named and there is none.
    """
    if folder is not None:
        return folder
    configs = RUNS.glob("*/config.json")
    newest = max(configs, key=lambda config: config.stat().st_mtime_ns, default=None)
    if newest is None:
        made = "name one, or make one with qnewton train digits"
        raise ValueError(f"no folder is named and there is no run below {RUNS}/; {made}")
    note(f"the newest run below {RUNS}/ is {newest.parent}")
    return newest.parent


def priced_folders(folder: Path) -> Iterator[Path]:
    """Yield the folders of runs whose systems can be priced, and say which of a comparison.

    Args:
        folder: That of a run, of a comparison, or of several; or ``recorded``.

    Raises:
        NotARunError: If it is none of them.
    """
    for found in run_folders(folder):
        if read_config(found).kind != "compare":
            yield found
            continue
        rows = read_comparison(found).rows
        solved = [row for row in rows if row.quantum_share is not None]
        labels = ", ".join(row.label for row in rows if row.quantum_share is None)
        inside = dict.fromkeys(row.run for row in solved)
        without = f"; {labels} solves no system" if labels else ""
        note(f"{found} is a comparison: priced are the steps of {', '.join(inside)}{without}")
        yield from (found / name for name in inside)
