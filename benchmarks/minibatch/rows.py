"""What the runs say: seconds to the best Adam's loss, runs that kept what they had, held out."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.harness import Row, reached
from benchmarks.minibatch.runs import Run
from benchmarks.minibatch.workloads import Workload

NEAR, FAR = 1.5, 4.0
SHARE_NEAR, SHARE_FASTER, SHARE_HELD_OUT = 6 / 12, 4 / 12, 9 / 12
"""Of the workloads: as near as ``NEAR``, faster than Adam, no worse on what is held out."""


@dataclass(frozen=True)
class Found:
    """All runs on one workload.

    Attributes:
        workload: The workload.
        grid: Every peer from seed 0.
        adams: The best Adam of the grid, from every seed.
        ours: QNewton, from every seed.
        more: QNewton and the best peers on other numbers of threads, from seed 0.
    """

    workload: Workload
    grid: tuple[Run, ...]
    adams: tuple[Run, ...]
    ours: tuple[Run, ...]
    more: tuple[Run, ...]

    @property
    def times(self) -> float:
        """Median over seeds of our seconds to Adam's least loss over Adam's."""
        return statistics.median(
            times_as_long(one, adam) for one, adam in zip(self.ours, self.adams, strict=True)
        )

    @property
    def kept(self) -> list[bool]:
        """Whether each of our runs ended near its best, and raised nothing."""
        return [
            run.error is None
            and self.workload.kept(run.curve[0].loss, run.least_loss, run.curve[-1].loss)
            for run in self.ours
        ]

    @property
    def held_out_lead(self) -> float:
        """Median over seeds of how much better than Adam's our held-out measure is.

        Both are taken where the training loss is first as low as the higher of the two runs'
        least losses.
        """
        sign = 1 if self.workload.higher_is_better else -1
        return statistics.median(
            sign * _held_out_difference(one, adam)
            for one, adam in zip(self.ours, self.adams, strict=True)
        )


def times_as_long(ours: Run, adam: Run) -> float:
    """Return our seconds to Adam's least loss over Adam's.

    Infinite if we never reach it; 1 if Adam never lowered the loss, so that both begin there.
    """
    seconds = ours.seconds_to(adam.least_loss)
    if seconds is None:
        return math.inf
    adam_seconds = adam.seconds_to(adam.least_loss)
    return seconds / adam_seconds if adam_seconds else 1.0


def rows_of(found: Sequence[Found]) -> list[Row]:
    """Return one row per workload and number of threads, and those about all workloads."""
    if not found:
        return []
    rows = [_time_row(one) for one in found]
    rows += [_threads_row(one, threads) for one in found for threads in _threads(one)]
    times = [one.times for one in found]
    near, faster = sum(t <= NEAR for t in times), sum(t < 1 for t in times)
    leads = {one.workload.name: one.held_out_lead for one in found}
    worse = [name for name, lead in leads.items() if not lead >= 0]
    kept = {one.workload.name: one.kept for one in found}
    lost = [f"{name} {held.count(False)}" for name, held in kept.items() if not all(held)]
    runs = sum(len(held) for held in kept.values())
    return [
        *rows,
        _share_row(f"workloads at ≤ {NEAR:g}× Adam's seconds", SHARE_NEAR, near, len(found), ""),
        _share_row("workloads faster than Adam", SHARE_FASTER, faster, len(found), ""),
        reached(
            "runs that end at ≤ 1.1× their best loss + 1% of the first (REINFORCE: return ≥ 0.9)",
            f"{runs} of {runs}",
            f"{sum(sum(held) for held in kept.values())} of {runs}"
            + (f" (lost: {', '.join(lost)})" if lost else ""),
            not lost,
        ),
        _share_row(
            "workloads no worse than Adam on what is held out, at equal training loss",
            SHARE_HELD_OUT,
            len(found) - len(worse),
            len(found),
            f" (worse: {', '.join(worse)})" if worse else "",
        ),
    ]


def described(found: Found) -> dict[str, Any]:
    """Return a workload's runs for the JSON: curves of what is compared, ends of the rest."""
    return {
        "title": found.workload.title,
        "metric": found.workload.metric,
        "times_as_long_as_adam": None if math.isinf(found.times) else found.times,
        "seconds_of_adam": statistics.median(
            adam.seconds_to(adam.least_loss) or 0.0 for adam in found.adams
        ),
        "held_out_lead": found.held_out_lead if math.isfinite(found.held_out_lead) else None,
        "target_loss": [adam.least_loss for adam in found.adams],
        "grid": {
            run.setting: {
                "least_loss": run.least_loss,
                "seconds_per_step": run.seconds_per_step,
                "seconds_to_target": run.seconds_to(found.adams[0].least_loss),
                "error": run.error,
            }
            for run in found.grid
        },
        "runs": [_curve(run) for run in (*found.adams, *found.ours, *found.more)],
    }


def _time_row(found: Found) -> Row:
    target = found.adams[0].least_loss
    best: dict[str, float] = {}
    for run in found.grid:
        family, seconds = run.setting.split(",")[0], run.seconds_to(target)
        best[family] = min(best.get(family, math.inf), math.inf if seconds is None else seconds)
    each = "; ".join(f"{name} {_shown(seconds)}" for name, seconds in best.items())
    ours, adam = found.ours[0], found.adams[0]
    measured = (
        f"{_shown_times(found.times)}; seed 0: {_shown(ours.seconds_to(target))} ({each}) to loss "
        f"{target:.4g}; {1e3 * ours.seconds_per_step:.3g} ms per step, Adam "
        f"{1e3 * adam.seconds_per_step:.3g} ms"
    )
    name = found.workload.name
    question = f"{name}: seconds to the best Adam's loss over Adam's (seeds: {len(found.ours)})"
    return reached(question, f"≤ {FAR:g}×", measured, found.times <= FAR)


def _threads(found: Found) -> list[int]:
    return sorted({run.threads for run in found.more})


def _threads_row(found: Found, threads: int) -> Row:
    runs = {run.setting: run for run in found.more if run.threads == threads}
    *_, ours = runs.values()
    adam = next(run for name, run in runs.items() if name.startswith("Adam,"))
    target = adam.least_loss
    each = "; ".join(f"{name} {_shown(run.seconds_to(target))}" for name, run in runs.items())
    question = f"{found.workload.name}: the same on {threads} threads, by wall clock, seed 0"
    return Row(question, "", f"{_shown_times(times_as_long(ours, adam))} ({each})", "")


def _share_row(question: str, share: float, count: int, of: int, remark: str) -> Row:
    least = math.ceil(share * of)
    return reached(question, f"≥ {least} of {of}", f"{count} of {of}{remark}", count >= least)


def _held_out_difference(ours: Run, adam: Run) -> float:
    equal = max(ours.least_loss, adam.least_loss)
    points = ours.point_at(equal), adam.point_at(equal)
    if points[0] is None or points[1] is None:
        return -math.inf
    return points[0].held_out - points[1].held_out


def _curve(run: Run) -> dict[str, Any]:
    points = [asdict(point) for point in run.curve]
    curve = {key: [float(f"{point[key]:.4g}") for point in points] for key in points[0]}
    return {
        "setting": run.setting,
        "seed": run.seed,
        "threads": run.threads,
        "error": run.error,
        "curve": curve,
    }


def _shown(seconds: float | None) -> str:
    return "never" if seconds is None or math.isinf(seconds) else f"{seconds:.3g} s"


def _shown_times(times: float) -> str:
    return "never" if math.isinf(times) else f"{times:.2g}×"
