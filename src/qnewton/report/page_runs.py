"""What a page tells of: one run, a comparison, or several runs side by side."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qnewton import runs
from qnewton.report import tables
from qnewton.report.style import method_look
from qnewton.runs import Comparison, NotARunError, Run, RunConfig
from qnewton.runs.config import CONFIG_FILE
from qnewton.runs.reader import COMPARISON_FILE


@dataclass(frozen=True)
class Curve:
    """One run as a picture shows it.

    Attributes:
        run: The run.
        method: Decides color and dash: ``sgd``, ``q-newton``…
        label: Its name in the picture.
    """

    run: Run
    method: str
    label: str


@dataclass(frozen=True, kw_only=True)
class PageRuns:
    """The runs of one page.

    Attributes:
        config: Of the run, of the comparison, or of the first of several runs.
        curves: The runs, in the order in which pictures name them.
        comparison: What was compared; ``None`` where nothing was, or it goes on.
        asked: The folders as they were named.
        live: What an unfinished run says of itself; ``None`` once it is finished.
    """

    config: RunConfig
    curves: tuple[Curve, ...]
    comparison: Comparison | None
    asked: tuple[str, ...]
    live: str | None = None

    @property
    def several(self) -> bool:
        """Whether it shows runs side by side that no comparison holds together."""
        return len(self.curves) > 1 and self.comparison is None

    @property
    def told(self) -> Curve | None:
        """The run whose steps the page tells: the first that solved systems, else the first."""
        newton = (curve for curve in self.curves if _solved(curve.run))
        return next(newton, self.curves[0] if self.curves else None)


def page_runs(folders: Sequence[str | os.PathLike[str]]) -> PageRuns:
    """Read what folders hold: a run, a comparison, or several runs.

    ``recorded`` and ``recorded/NAME`` stand for the runs that come with the package. A comparison
    that has not finished is shown as the runs that it has so far.

    Raises:
        NotARunError: If a folder holds nothing of that, or several and a comparison is among them.
        CorruptRunError: If a file in it is damaged.
    """
    asked = tuple(str(folder) for folder in folders)
    found = [path for folder in folders for path in runs.run_folders(folder)]
    configs = [runs.read_config(path) for path in found]
    if len(found) == 1 and configs[0].kind == "compare":
        return replace(_comparison(found[0], configs[0]), asked=asked)
    for path, config in zip(found, configs, strict=True):
        if config.kind == "compare":
            raise NotARunError(f"{path} is a comparison, which has a page of its own; name runs")
    read = [runs.read_run(path) for path in found]
    return PageRuns(config=configs[0], curves=_named(read), comparison=None, asked=asked)


def _comparison(folder: Path, config: RunConfig) -> PageRuns:
    if (folder / COMPARISON_FILE).exists():
        comparison = runs.read_comparison(folder)
        curves = tuple(curves_of(comparison, folder))
        return PageRuns(config=config, curves=curves, comparison=comparison, asked=())
    begun = sorted(path.parent for path in folder.glob(f"*/{CONFIG_FILE}"))
    curves = _named([runs.read_run(path) for path in begun])
    return PageRuns(config=config, curves=curves, comparison=None, asked=())


def _named(read: Sequence[Run]) -> tuple[Curve, ...]:
    """Return runs with labels: their methods where one is shown, else their folders' names."""
    if len(read) == 1:
        policy = read[0].config.policy
        return (Curve(read[0], policy, method_look(policy).label),)
    names = [run.folder.name for run in read]
    paths = [str(run.folder) for run in read]
    labels = names if len(set(names)) == len(names) else paths
    return tuple(Curve(r, r.config.policy, label) for r, label in zip(read, labels, strict=True))


def curves_of(comparison: Comparison, folder: str | os.PathLike[str]) -> list[Curve]:
    """Return the curves of a comparison, methods that took the same steps as one.

    Args:
        comparison: What was compared.
        folder: Its folder, which holds the runs as subfolders.
    """
    curves = []
    for name in dict.fromkeys(row.run for row in comparison.rows):
        rows = [row for row in comparison.rows if row.run == name]
        label = tables.method_text(rows[0]) if len(rows) == 1 else "Newton"
        # Q-Newton stands for the methods that share its steps.
        method = rows[0].method if len(rows) == 1 else "q-newton"
        curves.append(Curve(runs.read_run(Path(folder) / name), method, label))
    return curves


def _solved(run: Run) -> bool:
    return any(block.attempts for step in run.steps for block in step.blocks)
