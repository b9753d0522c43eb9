"""Which block goes to which machine when a classical machine and QPUs work at the same time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from qnewton.records import Decision, Quote
from qnewton.records.messages import check

EXACT_UP_TO = 14
"""Blocks up to which the assignment is the best one; above, a greedy one is improved."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """Machines for the blocks of a step.

    Attributes:
        machines: For each block 0, the classical machine, or 1…m, a QPU.
        makespan: Modelled seconds until the last machine is done.
        lower_bound: No assignment can be done sooner.
    """

    machines: tuple[int, ...]
    makespan: float
    lower_bound: float


def assign(
    classical: Sequence[float | None], quantum: Sequence[float | None], n_qpus: int = 1
) -> Assignment:
    """Assign blocks to one classical machine and equal QPUs so that the last is done soonest.

    Args:
        classical: Modelled seconds of each block on the classical machine; ``None`` if it has no
            price there. What is no duration (NaN, infinite, below 0) is no price either.
        quantum: Those on a QPU.
        n_qpus: QPUs m, 0 or more.

    Returns:
        The assignment: the best one up to :data:`EXACT_UP_TO` blocks, by branch and bound; for
        more, longest first, then single moves while they help.

    Raises:
        ValueError: If the lists differ in length, m is negative, or a block has no price.

    Cost:
        At most (m+1)^14 nodes, of which bounds leave few; O(B²·m) beyond.

    Reference:
        R||Cmax: Lenstra, Shmoys, Tardos 1990.

    Example:
        >>> assign([3.0, 3.0, 4.0], [5.0, 5.0, 5.0]).machines
        (0, 0, 1)
    """
    if len(classical) != len(quantum):
        raise ValueError(f"{len(classical)} classical prices and {len(quantum)} quantum ones")
    check("n_qpus", n_qpus, "must be 0 or more", n_qpus >= 0)
    costs = [(_cost(c), *([_cost(q)] * n_qpus)) for c, q in zip(classical, quantum, strict=True)]
    for index, row in enumerate(costs):
        if min(row) == math.inf:
            prices = (classical[index], *([quantum[index]] if n_qpus else []))
            found = " and ".join("none" if price is None else f"{price} s" for price in prices)
            raise ValueError(f"block {index} has no price on any machine: found {found}")
    least = [min(row) for row in costs]
    # Not math.fsum, which raises where a sum of prices near the end of the range is infinite.
    bound = max(max(least, default=0.0), sum(least) / (n_qpus + 1))
    order = sorted(range(len(costs)), key=lambda block: -least[block])
    chosen = _improved(costs, _greedy(costs, order))
    if len(costs) <= EXACT_UP_TO:
        chosen = _exact(costs, order, chosen)
    makespan = max(_loads(costs, chosen), default=0.0)
    return Assignment(machines=tuple(chosen), makespan=makespan, lower_bound=bound)


def assign_blocks(
    decisions: Sequence[Decision], n_qpus: int = 1
) -> tuple[tuple[Decision, ...], Assignment]:
    """Decide for all blocks of a step at once, from their quotes alone.

    A block goes to the cheapest classical solver or to the cheapest quantum one, whichever
    makes the step end sooner.

    Args:
        decisions: One per block, of which the quotes are read.
        n_qpus: QPUs.

    Raises:
        ValueError: If a block has no price.

    Example:
        >>> def priced(solver, machine, seconds):
        ...     return Quote(solver=solver, machine=machine, seconds=seconds, model="m",
        ...                  hardware="h")
        >>> quotes = (priced("lu", "classical", 2.0), priced("qsvt", "quantum", 3.0))
        >>> block = Decision(chosen="lu", quotes=quotes, policy="hybrid", reason="cheapest")
        >>> [decision.chosen for decision in assign_blocks([block, block])[0]]
        ['lu', 'qsvt']
    """
    best = [(_cheapest(d.quotes, "classical"), _cheapest(d.quotes, "quantum")) for d in decisions]
    found = assign(
        [None if c is None else c.seconds for c, _ in best],
        [None if q is None else q.seconds for _, q in best],
        n_qpus,
    )
    assigned = []
    for decision, pair, machine in zip(decisions, best, found.machines, strict=True):
        quote = pair[1 if machine else 0]
        assert quote is not None
        where = f"QPU {machine}" if machine else "the classical machine"
        done = f"all blocks are done in {found.makespan:.3g} s"
        reason = f"{quote.solver} at {quote.seconds:.3g} s on {where}: {done}"
        chosen = replace(decision, chosen=quote.solver, reason=reason, machine=machine)
        assigned.append(chosen)
    return tuple(assigned), found


def shared_makespan(
    decisions: Sequence[Decision], charged: Sequence[Sequence[Quote]]
) -> float | None:
    """Return the modelled seconds until the last of the machines that share a step is done.

    Args:
        decisions: One per block, from :func:`assign_blocks`.
        charged: The quotes that are paid for each block: of the solver that was chosen and, where
            it failed, of the classical ones that took over.

    Returns:
        The seconds; ``None`` where the blocks share no machines, a quote has no price, or the sum
        is beyond the largest float.

    Example:
        >>> def priced(solver, machine, seconds):
        ...     return Quote(solver=solver, machine=machine, seconds=seconds, model="m",
        ...                  hardware="h")
        >>> quotes = (priced("lu", "classical", 2.0), priced("qsvt", "quantum", 3.0))
        >>> block = Decision(chosen="lu", quotes=quotes, policy="hybrid", reason="cheapest")
        >>> assigned, _ = assign_blocks([block, block])
        >>> shared_makespan(assigned, [[d.quote(d.chosen)] for d in assigned])
        3.0
    """
    loads: dict[int, float] = {}
    for decision, quotes in zip(decisions, charged, strict=True):
        if decision.machine is None:
            return None
        for quote in quotes:
            if quote.seconds is None:
                return None
            machine = decision.machine if quote.machine == "quantum" else 0
            loads[machine] = loads.get(machine, 0.0) + quote.seconds
    makespan = max(loads.values(), default=None)
    return None if makespan == math.inf else makespan


def _cheapest(quotes: Sequence[Quote], machine: str) -> Quote | None:
    priced = [q for q in quotes if q.machine == machine and q.seconds is not None]
    return min(priced, key=lambda q: (q.seconds, q.solver), default=None)


Costs = Sequence[Sequence[float]]


def _cost(seconds: float | None) -> float:
    """Return a price, infinite where there is none."""
    return seconds if seconds is not None and 0 <= seconds < math.inf else math.inf


def _loads(costs: Costs, chosen: Sequence[int]) -> list[float]:
    loads = [0.0] * (len(costs[0]) if costs else 0)
    for row, machine in zip(costs, chosen, strict=True):
        loads[machine] += row[machine]
    return loads


def _greedy(costs: Costs, order: Sequence[int]) -> list[int]:
    chosen = [0] * len(costs)
    loads = [0.0] * (len(costs[0]) if costs else 0)
    for block in order:
        row = costs[block]
        # Where every end is infinite, the price decides: a machine without one is never taken.
        ends = [(load + cost, cost) for load, cost in zip(loads, row, strict=True)]
        machine = ends.index(min(ends))
        chosen[block], loads[machine] = machine, ends[machine][0]
    return chosen


def _improved(costs: Costs, chosen: list[int]) -> list[int]:
    """Move one block at a time off the busiest machine while that ends the step sooner."""
    while True:
        loads = _loads(costs, chosen)
        if not loads:
            return chosen
        busiest = loads.index(max(loads))
        moves = [
            (max(loads[to] + costs[block][to], loads[busiest] - costs[block][busiest]), block, to)
            for block, machine in enumerate(chosen)
            if machine == busiest
            for to in range(len(loads))
            if to != busiest and costs[block][to] < math.inf
        ]
        end, block, to = min(moves, default=(math.inf, 0, 0))
        # By more than rounding, or two blocks could trade places for ever.
        if not end < loads[busiest] * (1 - 1e-9):
            return chosen
        chosen[block] = to


def _exact(costs: Costs, order: Sequence[int], start: list[int]) -> list[int]:
    best, best_end = list(start), max(_loads(costs, start), default=0.0)
    chosen = list(start)

    def place(depth: int, loads: list[float]) -> None:
        nonlocal best, best_end
        if max(loads, default=0.0) >= best_end:
            return
        if depth == len(order):
            best, best_end = list(chosen), max(loads)
            return
        block, tried = order[depth], set()
        for machine, load in enumerate(loads):
            # QPUs are alike: of those with one load, one is tried.
            if (machine > 0, load) in tried:
                continue
            tried.add((machine > 0, load))
            loads[machine] = load + costs[block][machine]
            chosen[block] = machine
            place(depth + 1, loads)
            loads[machine] = load

    if costs:
        place(0, [0.0] * len(costs[0]))
    return best
