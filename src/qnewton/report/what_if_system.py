"""What a system costs under any assumption: a grid of audited prices for a page without Python.

Gate time, measurement time, error rate and the rival's speed enter by formulas, which are exact.
Condition number and error ε are interpolated between the nodes of a grid, in logarithms. All others
are stops.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np

from qnewton import cost
from qnewton.cost.budget import ErrorBudget, Splits
from qnewton.cost.constants import Constants
from qnewton.cost.designs import LIKELY, algorithms_of, splits_of
from qnewton.cost.encodings import Tables
from qnewton.cost.points import Points
from qnewton.cost.state_price import Called, StatePrice, state_price, states_made
from qnewton.cost.surface_code import code_distance, laid_out
from qnewton.queries import QuerySet
from qnewton.queries.arrays import Array
from qnewton.records import Calibration, Facts, QuantumHardware, Quote

SIZES = (4, 16, 64, 256, 1_024, 4_096, 12_544, 65_536, 2**20, 2**30)
"""Unknowns N."""

ROWS = (5, 16, 64, 256, 1_946)
"""Entries in a row d; a matrix with more of them is dense."""

KAPPAS = (1.0, 1.2, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 30.0, 100.0, 300.0, 1e3, 1e4, 1e5, 1e6)
"""Condition numbers κ between which prices are interpolated."""

EPSILONS = (0.5, 0.4, 0.25, 0.1, 0.05, 0.02, 0.01)
"""Errors ε, likewise."""

TABLES, QUERY_SETS = get_args(Tables), get_args(QuerySet)

MACHINES = {"nominal": "a plain computer", "h100": "an H100", "h100-cluster": "4,608 H100s"}
"""Classical machines: their profiles, and what they are."""

CHOSEN_AT = 1e-3
"""The physical error at which the cheapest algorithm and split of ε are chosen."""

_KRYLOV = ("cg", "sparse_cg")


@dataclass(frozen=True, kw_only=True)
class SystemPrices:
    """Prices of the systems of a grid; ``pairs`` and ``sizes`` are its block-encodings.

    Attributes:
        pairs: N and d of each system, read by its rows' entries.
        sizes: N of each system that is read as a dense one.
        counts: Cycles of U_A, of U_b and of the solver, states that are read, and logical qubits
            as laid out, shape [5, encodings, tables, query sets, constants, κ, ε].
        writing: Seconds of writing the tables, shape [machines, encodings].
        norm: Seconds of the product that gives the step's length, shape [machines, pairs].
        direct: Seconds of the cheapest direct solver, shape [machines, pairs]; infinite where the
            machine's memory is too small, as in the next ones.
        inversion: Seconds of LU inversion, in the same shape.
        krylov: Seconds of conjugate gradients, in any case and per product, of a dense and of a
            sparse matrix, shape [2, 2, machines, pairs].
    """

    pairs: tuple[tuple[int, int], ...]
    sizes: tuple[int, ...]
    counts: Array
    writing: Array
    norm: Array
    direct: Array
    inversion: Array
    krylov: Array


def system_prices(sizes: Sequence[int] = SIZES) -> SystemPrices:
    """Return the grid.

    Args:
        sizes: The N that it has.

    Cost: a second per N.
    """
    pairs = tuple((n, d) for n in sizes for d in (*(d for d in ROWS if d < n), n))
    dense = tuple((n, n) for n in sizes)
    machines = [cost.load_classical(name) for name in MACHINES]
    classical = [[_classical(pair, machine) for pair in pairs] for machine in machines]
    columns = np.array(classical)
    beside = [[_beside(pair, "sparse", machine) for pair in pairs] for machine in machines]
    others = [[_beside(pair, "dense", machine) for pair in dense] for machine in machines]
    writing = np.concatenate([np.array(beside)[..., 0], np.array(others)[..., 0]], axis=1)
    return SystemPrices(
        pairs=pairs,
        sizes=tuple(sizes),
        counts=np.concatenate([_counts(pairs, "sparse"), _counts(dense, "dense")], axis=1),
        writing=writing,
        norm=np.array(beside)[..., 1],
        direct=columns[..., 0],
        inversion=columns[..., 1],
        krylov=np.moveaxis(columns[..., 2:].reshape(*columns.shape[:2], 2, 2), (0, 1), (2, 3)),
    )


def facts_of(n: int, d: int, kappa: float, epsilon: float) -> Facts:
    """Return a system as ``qnewton price`` takes it, its rivals asked for the same accuracy."""
    facts = cost.kappa_facts(n, kappa, d)
    return replace(cost.as_held(facts, facts.held), direction_error=epsilon)


def _classical(pair: tuple[int, int], machine: Calibration) -> list[float]:
    """Return seconds: direct, inversion, and conjugate gradients in any case and per product."""
    few, many = (
        {q.solver: q for q in cost.classical_quotes(machine, facts_of(*pair, kappa, 0.1))}
        for kappa in (1e2, 1e4)
    )
    direct = [
        _seconds(quote)
        for name, quote in few.items()
        if name != "lu_inverse" and not cost.SOLVERS.get(name).family.iterates
    ]
    lines = [_line(few.get(name), many.get(name)) for name in _KRYLOV]
    once, each = zip(*lines, strict=True)
    return [min(direct), _seconds(few["lu_inverse"]), *once, *each]


def _seconds(quote: Quote) -> float:
    return np.inf if quote.seconds is None else quote.seconds


def _line(few: Quote | None, many: Quote | None) -> tuple[float, float]:
    """Return seconds in any case and per product, from two quotes of one solver."""
    if few is None or many is None or few.products is None or many.products is None:
        return np.inf, np.inf
    if few.seconds is None or many.seconds is None:
        return np.inf, np.inf
    rise = (many.seconds - few.seconds) / (many.products - few.products)
    return few.seconds - few.products * rise, rise


def _machine() -> QuantumHardware:
    """Return a machine with all figures; no count hangs on them."""
    return cost.load_hardware("qubit_gate_ns_e3")


def _beside(pair: tuple[int, int], encoding: str, machine: Calibration) -> tuple[float, float]:
    """Return seconds of writing the tables, and of one product with the matrix."""
    facts = facts_of(*pair, 1.0, 0.1)
    scenario = cost.Scenario(facts=facts, calibration=machine, hardware=_machine())
    points = Points.of([scenario], {encoding})
    return points.before[0]["tables"], points.after[0]["norm"]


def _counts(pairs: Sequence[tuple[int, int]], encoding: str) -> Array:
    """Return the counts of one block-encoding, shape [5, pairs, tables, sets, constants, κ, ε]."""
    machines: dict[str, Any] = {"calibration": cost.nominal_calibration(), "hardware": _machine()}
    systems = [facts_of(*pair, kappa, 0.1) for pair in pairs for kappa in KAPPAS]
    found = []
    for tables in TABLES:
        audit = replace(cost.DEFAULT_AUDIT, tables=tables)
        each = [cost.Scenario(facts=facts, audit=audit, **machines) for facts in systems]
        points = Points.of(each, {encoding})
        found += [_cheapest(points, replace(audit, query_set=name)) for name in QUERY_SETS]
    shape = (len(TABLES), len(QUERY_SETS), *found[0].shape[:-1], len(pairs), len(KAPPAS))
    # tables, sets, numbers, constants, ε, pairs, κ
    whole = np.array(found).reshape(shape)
    return np.transpose(whole, (2, 5, 0, 1, 3, 6, 4))


def _cheapest(points: Points, audit: cost.Audit) -> Array:
    """Return the counts of the cheapest algorithm and split, shape [5, constants, ε, points]."""
    epsilon = np.array(EPSILONS)[:, None, None]
    asked = replace(points.asked, epsilon=epsilon)
    constants, budget = Constants.ends(3), ErrorBudget.of(epsilon, Splits.of(splits_of(audit)))
    bare = replace(audit, readout="none", error_correction="perfect")
    found, least = np.empty(0), np.array(np.inf)
    with np.errstate(all="ignore"):
        states = states_made(asked, budget.readout, audit, constants)
        called = Called.of(asked, audit, budget, constants)
        for algorithm in algorithms_of(audit):
            made = state_price(asked, algorithm, bare, budget, constants, called)
            columns = [*_cycles(made), states, laid_out(made.logical_qubits)]
            shape = np.broadcast_shapes(*(np.shape(column) for column in columns))
            counts = np.array([np.broadcast_to(column, shape) for column in columns])
            cycles = counts[:3, LIKELY].sum(axis=0)
            qubits = np.broadcast_to(made.logical_qubits, shape[1:])
            distance = code_distance(
                qubits, cycles, CHOSEN_AT, audit.error_budget, Constants.likely()
            )
            price = counts[3, LIKELY] * cycles * distance
            price = np.where(np.isnan(price), np.inf, price)
            split = np.argmin(price, axis=1)[:, None, :]
            lowest = np.take_along_axis(price, split, axis=1)[:, 0]
            chosen = np.take_along_axis(counts, split[None, None], axis=3)[:, :, :, 0]
            found = np.where(lowest < least, chosen, found) if found.size else chosen
            least = np.minimum(lowest, least)
    return found


def _cycles(made: StatePrice) -> list[Array]:
    """Return the logical cycles of each part of a state."""
    return [part.calls * (made.toffoli_cycles * part.toffoli + part.t_gates) for part in made.parts]
