"""What the solves of recorded runs cost on each machine, and where both would cost the same."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from qnewton.cost import DEFAULT_AUDIT, QUANTUM_PRICES, Audit, cheapest_whole
from qnewton.cost.axes import faster
from qnewton.records import MachineKind, Quote, StepRecord, decode
from qnewton.runs import Run
from qnewton.scheduler.policy import Choice, Policy
from qnewton.scheduler.pricing import ReplaySettings, repriced_steps

_AGREED = 2e-2  # relative difference at which the sums of both machines count as equal
_LINEAR_TRIES, _MOST_TRIES = 6, 40
_INSTANT = 1e-60
"""Times of a machine whose quantum part costs nothing beside any classical one."""


@dataclass(frozen=True, kw_only=True)
class RunPrice:
    """What one run's solves cost by the cheapest classical and by the cheapest quantum solver.

    Attributes:
        run: The run's name.
        machine: The quantum machine.
        steps: Its steps.
        solves: Systems that were solved.
        priced: Those of them that have a price on both machines; the sums are over them.
        unknowns: Unknowns of the largest system.
        classical_seconds: Modelled seconds by the cheapest classical solver of each.
        quantum_seconds: Modelled seconds by the cheapest quantum solver of each.
        quantum_wins: Solves at which the quantum machine is the cheaper.
        solves_by_solver: How often each solver is the cheapest of all.
        seconds_by_solver: Modelled seconds of those solves.
        times: What all times of the quantum machine have to be multiplied by so that both sums are
            equal; ``None`` where no speed is enough, or nothing has both prices.
        gate_time_s: Its gate time then.
        refused: Why a quantum price is missing, where none is there.
    """

    run: str
    machine: str
    steps: int
    solves: int = 0
    priced: int = 0
    unknowns: int = 0
    classical_seconds: float = 0.0
    quantum_seconds: float = 0.0
    quantum_wins: int = 0
    solves_by_solver: Mapping[str, int] = field(default_factory=dict)
    seconds_by_solver: Mapping[str, float] = field(default_factory=dict)
    times: float | None = None
    gate_time_s: float | None = None
    refused: str | None = None


def own_settings(run: Run) -> ReplaySettings:
    """Return the settings a run was decided with.

    Raises:
        ValueError: If its configuration holds no calibration.
    """
    if run.config.calibration is None:
        raise ValueError(f"{run.folder} records no calibration, so nothing in it can be priced")
    options = run.config.options
    audit = options.get("audit")
    return ReplaySettings(
        calibration=run.config.calibration,
        hardware=run.config.hardware,
        audit=DEFAULT_AUDIT if audit is None else decode(Audit, audit),
        algorithm=options.get("algorithm"),
        n_qpus=int(options.get("qpus", 1)),
        dtype=run.config.dtype or "float32",
    )


def price_run(run: Run, settings: ReplaySettings, cost_model: str = "audited") -> RunPrice:
    """Price every solve of a run on both machines, and find where they would be equal.

    The machine's gate and read-out time are scaled together; what is classical in a quantum price
    stays.

    Args:
        run: The run.
        settings: What to price with; it names a quantum machine.
        cost_model: Which price of the quantum solver, a name in
            :data:`qnewton.cost.QUANTUM_PRICES`.

    Raises:
        ValueError: If the settings have no quantum machine, or there is no such cost model.

    Cost:
        Some ten prices per solve.

    Example:
        >>> from qnewton.experiments.replay import own_settings
        >>> from qnewton.runs import recorded
        >>> [digits] = recorded("digits")
        >>> found = price_run(digits, own_settings(digits))
        >>> found.quantum_wins, found.times < 1e-6
        (0, True)
    """
    return price_steps(run.folder.name, run.steps, settings, cost_model)


def price_steps(
    name: str, records: Sequence[StepRecord], settings: ReplaySettings, cost_model: str = "audited"
) -> RunPrice:
    """Price the solves of recorded steps, as :func:`price_run` does those of a run."""
    hardware = settings.hardware
    if hardware is None:
        raise ValueError("a break-even needs a quantum machine; name one (hardware)")
    QUANTUM_PRICES.get(cost_model)  # raises on an unknown one
    chooser = cheapest_by(cost_model)
    steps = list(repriced_steps(records, chooser, settings))
    solves = list(solved_quotes(steps, settings.solvers))
    pairs = [
        (best_seconds(quotes, "classical"), best_seconds(quotes, "quantum")) for quotes in solves
    ]
    priced = [index for index, pair in enumerate(pairs) if None not in pair]
    winners = [winner for quotes in solves if (winner := cheapest_whole(quotes)) is not None]
    by_solver: dict[str, list[float]] = {}
    for winner in winners:
        by_solver.setdefault(winner.name, []).append(winner.seconds or 0.0)
    classical, quantum = ([pairs[i][side] or 0.0 for i in priced] for side in (0, 1))
    settings = replace(settings, keep=("classical",))

    def quantum_seconds(times: float) -> float:
        machine = faster(hardware, times)
        again = replace(settings, hardware=machine)
        found = list(solved_quotes(repriced_steps(steps, chooser, again)))
        return math.fsum(best_seconds(found[i], "quantum") or math.inf for i in priced)

    times = None
    if priced:
        known = (math.fsum(classical), math.fsum(quantum))
        times = _equal(quantum_seconds, *known)
    refusals = (q.refused for quotes in solves for q in quotes if q.machine == "quantum")
    return RunPrice(
        run=name,
        machine=hardware.name,
        steps=len(records),
        solves=len(solves),
        priced=len(priced),
        unknowns=max((b.n for s in steps for b in s.blocks if b.attempts), default=0),
        classical_seconds=math.fsum(classical),
        quantum_seconds=math.fsum(quantum),
        quantum_wins=sum(q < c for c, q in zip(classical, quantum, strict=True)),
        solves_by_solver={name: len(found) for name, found in by_solver.items()},
        seconds_by_solver={name: math.fsum(found) for name, found in by_solver.items()},
        times=times,
        gate_time_s=None if times is None else hardware.gate_time_s.value * times,
        refused=None if priced else next(filter(None, refusals), None),
    )


def verdict(prices: Sequence[RunPrice]) -> str:
    """Return in two sentences who wins, and what would have to change.

    Args:
        prices: One per run.
    """
    wins, priced = sum(p.quantum_wins for p in prices), sum(p.priced for p in prices)
    machines = ", ".join(dict.fromkeys(p.machine for p in prices))
    if not priced:
        why = next((p.refused for p in prices if p.refused is not None), "nothing was solved")
        return f"On {machines} no solve has a quantum price: {why}."
    said = f"On {machines} the quantum solver is cheaper in {wins:,} of {priced:,} solves. "
    nearest = max((p for p in prices if p.times is not None), key=_times, default=None)
    if nearest is None or nearest.gate_time_s is None:
        return said + "No gate time is short enough to change that."
    gate = f"gates of {nearest.gate_time_s:.3g} s"
    if _times(nearest) >= 1.0:
        return f"{said}It wins the run {nearest.run} up to {gate}."
    said += f"It comes nearest on {nearest.run}, which breaks even where all its times are "
    return f"{said}{1 / _times(nearest):.3g} times shorter, {gate}."


def _times(price: RunPrice) -> float:
    return price.times or 0.0


def cheapest_by(cost_model: str) -> Policy:
    """Return a policy that takes the cheapest of all solvers at one cost model."""

    def choose(quotes: Sequence[Quote]) -> Choice:
        best = cheapest_whole(quotes) or quotes[0]
        return best.solver, "the cheapest"

    return Policy(
        name="cheapest",
        title="Cheapest",
        summary="the cheapest of all",
        choose=choose,
        quantum_price=cost_model,
    )


def solved_quotes(
    steps: Iterable[StepRecord], solvers: Collection[str] | None = None
) -> Iterator[list[Quote]]:
    """Give the quotes of every system that was solved.

    Args:
        steps: Decided steps.
        solvers: The classical solvers that count; ``None`` for all. One that was tried has a quote
            even where nobody asked for it.
    """
    for step in steps:
        for block in step.blocks:
            if block.attempts:
                quotes = block.decision.quotes
                yield [
                    quote
                    for quote in quotes
                    if quote.machine == "quantum" or solvers is None or quote.solver in solvers
                ]


def best_seconds(quotes: Sequence[Quote], machine: MachineKind) -> float | None:
    """Return the price of the cheapest solver on one kind of machine; ``None`` without any."""
    best = best_quote(quotes, machine)
    return None if best is None else best.seconds


def best_quote(quotes: Sequence[Quote], machine: MachineKind) -> Quote | None:
    """Return the cheapest quote on one kind of machine; ``None`` where none has a price."""
    return cheapest_whole(quote for quote in quotes if quote.machine == machine)


def solved_steps(run: Run) -> list[StepRecord]:
    """Return the steps of a run that solved a system."""
    return [step for step in run.steps if any(block.attempts for block in step.blocks)]


def _equal(seconds: Callable[[float], float], target: float, now: float) -> float | None:
    """Return the factor of a machine's times at which it takes ``target`` seconds.

    Prices rise with the times, nearly linearly, and more slowly where another design becomes the
    cheaper: the line through the last two looks soon leads there.
    """
    fixed = seconds(_INSTANT)
    if fixed >= target:
        return None
    low, high = (_INSTANT, fixed), (1.0, now)
    last = (low, high)
    for attempt in range(_MOST_TRIES):
        times = _on_the_line(*last, target)
        if high[1] >= target and not low[0] < times < high[0]:
            times = _on_the_line(low, high, target)
        if high[1] >= target and attempt >= _LINEAR_TRIES:
            times = math.sqrt(low[0] * high[0])
        found = (times, seconds(times))
        if abs(found[1] / target - 1.0) <= _AGREED:
            return times
        if high[1] < target:
            low, high = high, found  # both were below it: one step out
        elif found[1] < target:
            low = found
        else:
            high = found
        last = (last[1], found)
    return math.sqrt(low[0] * high[0])


def _on_the_line(one: tuple[float, float], other: tuple[float, float], target: float) -> float:
    """Return where the line through two points meets the target; infinity where it never does."""
    rise = other[1] - one[1]
    return one[0] + (target - one[1]) * (other[0] - one[0]) / rise if rise else math.inf
