"""Interleaved timing: contenders take turns, so that a busy machine is busy for all of them."""

import gc
import random
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

REPEATS = 5
# OpenMP threads spin for up to 0.2 s after a parallel region, on cores the next contender wants.
_SETTLE_S = 0.25

# More than this many contenders do not fit one line of progress.
_MOST_NAMED = 4

Say = Callable[[str], None]


Result = TypeVar("Result", covariant=True)


@dataclass(frozen=True)
class Contender(Generic[Result]):
    """Something to time.

    Attributes:
        name: Its name in results.
        run: Does it once, to the end (asynchronous work awaited).
        repeats: Timed runs.
        slower: Marks a contender so slow that fewer than ``REPEATS`` runs are allowed.
        scale: Whole job over the part that ``run`` does; 1 when it does the whole.

    Raises:
        ValueError: If it has too few repeats and is not labelled slower.
    """

    name: str
    run: Callable[[], Result]
    repeats: int = REPEATS
    slower: bool = False
    scale: float = 1.0

    def __post_init__(self) -> None:
        least = 1 if self.slower else REPEATS
        if self.repeats < least:
            raise ValueError(
                f"{self.name} has {self.repeats} repeats, at least {least} are needed; "
                "raise repeats, or label it slower=True"
            )


@dataclass(frozen=True)
class Timing:
    """What was measured of one contender.

    Attributes:
        name: The contender's.
        seconds: Wall-clock seconds of each timed run, in order, as measured.
        scale: Whole job over the part that was run.
        slower: Whether fewer repeats were asked for.
    """

    name: str
    seconds: tuple[float, ...]
    scale: float = 1.0
    slower: bool = False

    @property
    def median(self) -> float:
        """Median seconds of the whole job, scaled if only a part was run."""
        return self.scale * statistics.median(self.seconds)


def interleave(
    contenders: Sequence[Contender[object]], say: Say, settle: bool = True, seed: int = 0
) -> dict[str, Timing]:
    """Run each contender once to warm up, then all of them in turn until each has its repeats.

    Each round draws its own order, so that nobody always follows the same one: a library's
    threads may go on waiting for work when it is done, and slow whoever comes next.

    Args:
        contenders: What to time; names must differ.
        say: Takes one line of progress per round.
        settle: Whether each run waits for the threads of the one before, and for the collector.
            Without, runs of milliseconds are timed as a loop meets them, caches and threads warm.
        seed: Of the orders; one for each of many calls, so that not all have the same ones.

    Raises:
        ValueError: If two contenders share a name.

    Example:
        >>> found = interleave([Contender("sum", lambda: sum(range(9)))], say=lambda line: None)
        >>> len(found["sum"].seconds)
        5
    """
    names = [contender.name for contender in contenders]
    if len(set(names)) < len(names):
        raise ValueError(f"contenders need names of their own; got {names}")
    for contender in contenders:
        say(f"warming up {contender.name}: {_seconds(contender.run, settle):.3g} s")
    seconds: dict[str, list[float]] = {name: [] for name in names}
    rounds = max((contender.repeats for contender in contenders), default=0)
    for turn in range(rounds):
        for contender in random.Random(f"{seed} {turn}").sample(contenders, len(contenders)):
            if turn < contender.repeats:
                seconds[contender.name].append(_seconds(contender.run, settle))
        say(f"round {turn + 1} of {rounds}: {_latest(seconds)}")
    return {c.name: Timing(c.name, tuple(seconds[c.name]), c.scale, c.slower) for c in contenders}


def fastest(
    contenders: Iterable[Contender[Result]], say: Say
) -> tuple[Contender[Result], dict[str, float | str]]:
    """Return the contender whose single run, after one to warm up, was shortest, and all tried.

    For choosing a peer's best setting (chunk size, mode); the winner is timed properly later. A
    setting that a peer refuses stays in the list with the reason in place of its seconds.

    Args:
        contenders: One peer in several settings.
        say: Takes one line of progress per setting.

    Raises:
        RuntimeError: If none of them runs.
    """
    tried: dict[str, float | str] = {}
    best: tuple[float, Contender[Result]] | None = None
    for contender in contenders:
        try:
            contender.run()
            seconds = contender.scale * _seconds(contender.run)
        except RuntimeError as error:
            tried[contender.name] = f"refused: {str(error).strip().splitlines()[0]}"
            say(f"trying {contender.name}: {tried[contender.name]}")
            continue
        tried[contender.name] = seconds
        say(f"trying {contender.name}: {seconds:.3g} s for the whole")
        if best is None or seconds < best[0]:
            best = (seconds, contender)
    if best is None:
        raise RuntimeError(f"no setting runs: {tried}")
    return best[1], tried


def ratio(slow: Timing, fast: Timing) -> float:
    """Return how many times longer ``slow`` takes: the ratio of the two medians.

    Example:
        >>> ratio(Timing("a", (2.0, 4.0, 9.0)), Timing("b", (1.0, 2.0, 3.0)))
        2.0
    """
    return slow.median / fast.median


def _latest(seconds: Mapping[str, Sequence[float]]) -> str:
    if len(seconds) > _MOST_NAMED:
        return f"{sum(runs[-1] for runs in seconds.values()):.3g} s for {len(seconds)} contenders"
    return ", ".join(f"{name} {runs[-1]:.3g} s" for name, runs in seconds.items())


def _seconds(run: Callable[[], object], settle: bool = True) -> float:
    if settle:
        gc.collect()
        time.sleep(_SETTLE_S)
    start = time.perf_counter()
    result = run()
    elapsed = time.perf_counter() - start
    # Freed here: the next contender must not find the memory taken.
    del result
    return elapsed
