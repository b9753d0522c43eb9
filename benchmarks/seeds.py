"""Does ``QNewton(model)`` ever raise, or end above where it began? 200 seeds of three networks.

A feed-forward, a convolutional and a recurrent network, 150 steps each, in float32 and float64,
with nothing set. Every run that ended is a line of ``results/seeds.jsonl``, so that a command that
was killed goes on where it was; lines of other source code are passed over.

    python -m benchmarks seeds
"""

import dataclasses
import hashlib
import itertools
import json
import math
import multiprocessing
import statistics
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import torch

import qnewton
from benchmarks import seed_networks
from benchmarks.harness import Report, Row, Say, cpus_allowed, reached
from benchmarks.harness.results import FOLDER
from benchmarks.seed_networks import DTYPES, NETWORKS, STEPS, SeedRun, run_seed
from qnewton.optimizer.machine import default_calibration
from qnewton.records import encode

SEEDS = 200
MOST_AT_BOUND = 0.5
LOG = FOLDER / "seeds.jsonl"

_SAY_EVERY_S = 20.0

Key = tuple[str, str, int]


def measure(say: Say, seeds: int = SEEDS, steps: int = STEPS, log: Path = LOG) -> Report:
    """Train what the log lacks, and report on all."""
    source = source_code()
    wanted = [(n, d, s) for s, n, d in itertools.product(range(seeds), NETWORKS, DTYPES)]
    known = read_log(log, source, steps)
    missing = [key for key in wanted if key not in known]
    say(f"{len(wanted) - len(missing)} of {len(wanted)} runs are in {log.name} already")
    known |= _train(missing, steps, log, source, say)
    runs = [known[key] for key in wanted]
    rows = [_row([run for run in runs if (run.network, run.dtype) == of]) for of in _kinds()]
    facts = {
        "seeds": seeds,
        "steps": steps,
        "source": source,
        "runs": [dataclasses.asdict(run) for run in runs],
    }
    return Report("seeds", rows, facts=facts)


def source_code() -> str:
    """Return a digest of what a run depends on: the package, the networks, the calibration."""
    digest = hashlib.sha256(torch.__version__.encode())
    digest.update(json.dumps(encode(default_calibration())).encode())
    package = Path(qnewton.__file__).parent
    for path in [*sorted(package.rglob("*.py")), Path(seed_networks.__file__)]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def read_log(log: Path, source: str, steps: int) -> dict[Key, SeedRun]:
    """Return the runs of this source code that a log holds; a line cut short is passed over."""
    found: dict[Key, SeedRun] = {}
    if not log.exists():
        return found
    for line in log.read_text(encoding="utf-8").splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if (content["source"], content["asked"]) == (source, steps):
            run = SeedRun(**content["run"])
            found[run.network, run.dtype, run.seed] = run
    return found


def _kinds() -> Iterable[tuple[str, str]]:
    return itertools.product(NETWORKS, DTYPES)


def _train(
    missing: Sequence[Key], steps: int, log: Path, source: str, say: Say
) -> dict[Key, SeedRun]:
    found: dict[Key, SeedRun] = {}
    if not missing:
        return found
    log.parent.mkdir(parents=True, exist_ok=True)
    spawn = multiprocessing.get_context("spawn")
    workers = min(cpus_allowed(), len(missing))
    told = time.monotonic()
    with (
        log.open("a", encoding="utf-8") as lines,
        ProcessPoolExecutor(workers, spawn, torch.set_num_threads, (1,)) as pool,
    ):
        # A line that a kill cut short must not swallow the next one.
        lines.write("\n")
        waiting = [pool.submit(run_seed, *key, steps) for key in missing]
        for done in as_completed(waiting):
            run = done.result()
            found[run.network, run.dtype, run.seed] = run
            content = {"source": source, "asked": steps, "run": dataclasses.asdict(run)}
            lines.write(json.dumps(content) + "\n")
            lines.flush()
            if run.error is not None or run.rose or time.monotonic() - told > _SAY_EVERY_S:
                told = time.monotonic()
                say(f"{len(found)} of {len(missing)} runs: {_said(run)}")
    return found


def _said(run: SeedRun) -> str:
    what = f"{run.network}, {run.dtype}, seed {run.seed}: {run.first:.3g} to {run.last:.3g}"
    return what if run.error is None else f"{what}, ended by {run.error}"


def _row(runs: Sequence[SeedRun]) -> Row:
    errors = sum(run.error is not None for run in runs)
    rose = sum(run.rose for run in runs)
    most = max(run.share_at_bound for run in runs)
    ratio = statistics.median(run.last / run.first for run in runs)
    return reached(
        f"seeds, {runs[0].network}, {runs[0].dtype}",
        f"no exception, no loss above its first, λ at a bound in at most {MOST_AT_BOUND:.0%}",
        f"{len(runs)} runs, {errors} exceptions, {rose} above, λ at a bound in at most "
        f"{most:.1%} of the steps, median loss {ratio:.3g} of the first",
        errors == 0 and rose == 0 and most <= MOST_AT_BOUND and math.isfinite(ratio),
    )
