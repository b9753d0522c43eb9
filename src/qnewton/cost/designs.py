"""Every way to solve systems on a quantum machine: algorithm × block-encoding × split of ε."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qnewton import queries
from qnewton.cost.audit import Audit
from qnewton.cost.breakdown import Breakdown, GateTerm
from qnewton.cost.budget import ErrorBudget, Split, Splits, split_grid
from qnewton.cost.constants import Constants
from qnewton.cost.state_price import Asked, StatePrice, state_price
from qnewton.queries.arrays import Array

LIKELY = 1
"""Index of the likely constants among :meth:`Constants.ends`."""


@dataclass(frozen=True, kw_only=True)
class Designs:
    """Systems, each with a block-encoding, priced by one algorithm for every split of ε.

    Attributes:
        algorithm: The quantum solver.
        asked: The systems, shape [points].
        before: Seconds of the classical parts before the solver, by term, shape [points] each.
        price: The quantum part, shapes that broadcast to [constants, splits, points].
        after: Seconds of the classical parts after it.
    """

    algorithm: str
    asked: Asked
    before: Mapping[str, Any]
    price: StatePrice
    after: Mapping[str, Any]

    @cached_property
    def seconds(self) -> Array:
        """All seconds, shape [constants, splits, points]; infinite where a number overflows."""
        with np.errstate(all="ignore"):
            classical = sum(self.before.values()) + sum(self.after.values())
            found = self.price.seconds + classical
        return np.where(np.isnan(found), np.inf, found)

    @cached_property
    def best(self) -> NDArray[np.int64]:
        """Index of the cheapest split at the likely constants, shape [points]."""
        return np.argmin(self.seconds[LIKELY], axis=0)

    @cached_property
    def least(self) -> Array:
        """Seconds by the cheapest split, shape [constants, points]."""
        return np.take_along_axis(self.seconds, self.best[None, None, :], axis=1)[:, 0]

    @cached_property
    def _chosen(self) -> StatePrice:
        """The quantum part by the cheapest split at the likely constants, shape [points]."""
        index = (LIKELY, self.best, np.arange(len(self.best)))
        return _mapped(self.price, lambda part: np.broadcast_to(part, self.seconds.shape)[index])

    def breakdown(self, point: int = 0) -> Breakdown:
        """Return the numbers of one point's cheapest design, at the likely constants."""
        price: StatePrice = _mapped(self._chosen, lambda part: part[point])
        low, _, high = (float(end) if np.isfinite(end) else None for end in self.least[:, point])
        # A part that a design has none of takes no time.
        before, after = (
            {name: float(s[point]) for name, s in terms.items() if s[point]}
            for terms in (self.before, self.after)
        )
        quantum = {name: float(term) for name, term in price.terms().items()}
        gates = tuple(
            GateTerm(
                name=part.name,
                calls=float(part.calls),
                toffoli=float(part.calls * part.toffoli),
                t_gates=float(part.calls * part.t_gates),
                cycles=float(part.calls * (price.toffoli_cycles * part.toffoli + part.t_gates)),
            )
            for part in price.parts
        )
        code = price.code
        corrected: dict[str, Any] = {}
        if code is not None:
            made = code.factories
            corrected = {
                "code_distance": int(code.distance),
                "cycle_s": float(code.cycle_s),
                "physical_qubits": int(np.ceil(code.physical_qubits)),
                "factories": int(made.count),
                "factory_qubits": int(made.physical_qubits),
            }
        return Breakdown(
            algorithm=self.algorithm,
            encoding=self.asked.encodings[self.asked.which[point]].name,
            alpha=float(self.asked.alpha[point]),
            budget=price.budget,
            count=price.count.at(),
            gates=gates,
            logical_qubits=int(price.logical_qubits),
            states=float(price.states),
            state_s=float(price.state_s),
            seconds={**before, **quantum, **after},
            low=low,
            high=high,
            **corrected,
        )


def _mapped(value: Any, change: Callable[[Array], Any]) -> Any:
    """Return a record with every array in it changed."""
    if isinstance(value, np.ndarray):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_mapped(item, change) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in fields(value)}
        return type(value)(**{name: _mapped(part, change) for name, part in parts.items()})
    return value


_COUNTED = tuple(name for name in queries.ALGORITHMS if name != "jennings")


def algorithms_of(audit: Audit, algorithm: str | None = None) -> tuple[str, ...]:
    """Return the algorithms that an audit prices, or of them the one that is asked for."""
    known = ("jennings",) if audit.query_set == "paper" else _COUNTED
    if algorithm is None:
        return known
    return (algorithm,) if algorithm in known else ()


def splits_of(audit: Audit) -> tuple[Split, ...]:
    """Return the splits of ε to price."""
    return (audit.split,) if audit.split is not None else split_grid(audit.readout != "none")


def designs(
    asked: Asked,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    audit: Audit,
    algorithm: str,
    splits: Splits,
    constants: Constants,
) -> Designs:
    """Price systems by one algorithm, for every split of ε.

    Args:
        asked: The systems, with their block-encodings.
        before: Seconds of the classical parts before the solver, by term.
        after: Those after it.
        audit: What is assumed.
        algorithm: Which.
        splits: Of ε.
        constants: What no theorem fixes, along a first axis.

    Cost: about 0.3 ms, or 0.3 µs per point, split and set of constants.
    """
    with np.errstate(all="ignore"):
        budget = ErrorBudget.of(asked.epsilon, splits)
        return Designs(
            algorithm=algorithm,
            asked=asked,
            before=before,
            price=state_price(asked, algorithm, audit, budget, constants),
            after=after,
        )
