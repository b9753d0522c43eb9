"""All runs: every setting on one seed, then QNewton and the best Adam on the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.harness import INSTALL, Report, Row, Say, describe_machine, missing_peers
from benchmarks.harness.results import FOLDER
from benchmarks.minibatch.log import remembered
from benchmarks.minibatch.rows import Found, described, rows_of
from benchmarks.minibatch.runs import Limits, Run, run
from benchmarks.minibatch.settings import ADAM, OURS, Setting, peers
from benchmarks.minibatch.workloads import WORKLOADS, Workload

PATIENCE = 4.0
"""Times the seconds of a peer that QNewton has to reach the best Adam's loss."""

_WARM_UP_S = 0.2


@dataclass(frozen=True)
class Plan:
    """What is run.

    Attributes:
        workloads: On which workloads.
        seeds: From how many seeds.
        seconds: How long a peer trains, in the seconds that count.
        threads: On how many threads; on other than the first, the best setting of each family
            runs from one seed.
        log: Where runs are kept.
    """

    workloads: tuple[Workload, ...] = WORKLOADS
    seeds: int = 5
    seconds: float = 10.0
    threads: tuple[int, ...] = (1, 2)
    log: Path = FOLDER / "minibatch.jsonl"


def measure(say: Say, plan: Plan | None = None) -> Report:
    """Run the plan, and say where each optimizer stands.

    Cost: about fifteen minutes per workload by default, most of it the peers' grids.
    """
    plan = plan or Plan()
    warm_up()
    found: list[Found] = []
    missing: list[Row] = []
    for number, workload in enumerate(plan.workloads, 1):
        say(f"{workload.name}, {number} of {len(plan.workloads)}: {workload.title}")
        try:
            workload.make(0)
        except ValueError as reason:
            missing.append(Row(workload.name, "", str(reason), "not measured"))
            continue
        found.append(trained(workload, plan, say))
    if absent := missing_peers("pytorch_optimizer"):
        reason = f"{', '.join(absent)} is not installed: {INSTALL}"
        missing.append(Row("SOAP beside the others", "runs", reason, "not measured"))
    rows = [*rows_of(found), *missing]
    facts = {"seconds": plan.seconds, "seeds": plan.seeds}
    facts |= {one.workload.name: described(one) for one in found}
    return Report("minibatch", rows, describe_machine(), facts=facts)


def warm_up() -> None:
    """Let every optimizer load what it imports at its first step."""
    [workload] = [workload for workload in WORKLOADS if workload.name == "Friedman"]
    for setting in (OURS, *{setting.family: setting for setting in peers()}.values()):
        run(workload, setting, 0, Limits(_WARM_UP_S, _WARM_UP_S))


def trained(workload: Workload, plan: Plan, say: Say) -> Found:
    """Return all runs on one workload."""
    first, *others = plan.threads
    torch.set_num_threads(first)
    runner = _Runner(workload, plan, say)
    grid = [runner.peer(setting, 0) for setting in peers()]
    best = best_of_families(grid)
    ours = [runner.ours(0, best[ADAM])]
    adams = [best[ADAM]]
    [adam] = [setting for setting in peers() if setting.name == best[ADAM].setting]
    for seed in range(1, plan.seeds):
        adams.append(runner.peer(adam, seed))
        ours.append(runner.ours(seed, adams[-1]))
    more: list[Run] = []
    chosen = [setting for setting in peers() if setting.name in {r.setting for r in best.values()}]
    for threads in others:
        torch.set_num_threads(threads)
        peer_runs = [runner.peer(setting, 0) for setting in chosen]
        more += [*peer_runs, runner.ours(0, best_of_families(peer_runs)[ADAM])]
    torch.set_num_threads(first)
    return Found(workload, tuple(grid), tuple(adams), tuple(ours), tuple(more))


def best_of_families(runs: Sequence[Run]) -> dict[str, Run]:
    """Return the run of every family with the least loss."""
    best: dict[str, Run] = {}
    for one in sorted(runs, key=lambda one: one.least_loss):
        best.setdefault(one.setting.split(",")[0], one)
    return best


@dataclass(frozen=True)
class _Runner:
    """Runs of one workload, kept in the plan's log."""

    workload: Workload
    plan: Plan
    say: Say

    def peer(self, setting: Setting, seed: int) -> Run:
        return self._run(setting, seed, Limits(self.plan.seconds, self.plan.seconds))

    def ours(self, seed: int, adam: Run) -> Run:
        limits = Limits(self.plan.seconds, PATIENCE * self.plan.seconds, adam.least_loss)
        return self._run(OURS, seed, limits)

    def _run(self, setting: Setting, seed: int, limits: Limits) -> Run:
        threads = torch.get_num_threads()
        wanted = Run(self.workload.name, setting.name, seed, threads, limits, (), None)
        done = remembered(self.plan.log, wanted, lambda: run(self.workload, setting, seed, limits))
        last = done.curve[-1]
        self.say(
            f"  {done.setting}, seed {seed}, threads {threads}: {last.steps} steps of "
            f"{1e3 * done.seconds_per_step:.3g} ms, loss {done.curve[0].loss:.4g} to "
            f"{last.loss:.4g}, {self.workload.metric} {last.held_out:.4g}"
            + (f"; {done.error}" if done.error else "")
        )
        return done
