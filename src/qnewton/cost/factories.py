"""Qubits of T factories in closed form: rounds of 15-to-1 distillation in the surface code."""

import math
from dataclasses import dataclass

THRESHOLD = 1e-2
"""Physical error at which the surface code stops helping (FORMULAS 23)."""

CROSSING_PREFACTOR = 0.03
"""A logical qubit fails in a cycle with 0.03·(p/0.01)^((D+1)/2)."""

MOST_T_ERROR = 0.05
"""Largest physical error of a T state that is distilled here: 15-to-1 fails with 15 times it."""

_LOGICAL_QUBITS, _CYCLES = 20, 13  # of a 15-to-1 unit, the estimator's "space efficient" one
_FROM_CUBE, _FROM_CLIFFORD = 35.0, 7.1  # its output error: 35·e³ + 7.1·P
_MOST_T_A_CYCLE = 4 / 3  # 4 a Toffoli, which takes 3 cycles


@dataclass(frozen=True)
class Factories:
    """T factories that keep up with a circuit.

    Attributes:
        count: How many work in parallel.
        qubits: Physical qubits of one.
        distances: Code distance of each round, the first round first.
    """

    count: int
    qubits: int
    distances: tuple[int, ...]

    @property
    def physical_qubits(self) -> int:
        """Physical qubits of all."""
        return self.count * self.qubits


def t_factories(t_states: float, error: float, t_error: float, budget: float) -> Factories:
    """Return factories whose T states all are right but for a given chance.

    From the last round back: a round whose output may err with e has the least odd distance d with
    7.1·P(d) ≤ e/2, and takes states of error (e/70)^(1/3), until physical ones are as good. Round
    i from the last holds u^i units of 20·2d² qubits, u = ⌈15/(1-15·p_T)⌉ + 1; rounds follow each
    other in the same place. A unit takes 13 cycles at its own distance, at most half of the next
    round's, and 4/3 T states a cycle are used at most, so 13·(2 - 2^{1-r})·4/3 factories keep up.
    No part falls as more states are asked for.

    Args:
        t_states: T states of the circuit.
        error: Physical error of Clifford gates and measurements, below :data:`THRESHOLD`.
        t_error: Physical error of a T state, at most :data:`MOST_T_ERROR`.
        budget: Chance that any of them is wrong.

    Cost: a few scalar operations.

    Reference: Beverland et al., arXiv:2211.07629, Appendix C; the constants (20 qubits, 13 cycles,
    35 and 7.1) reproduce what qdk 1.33.1 reports of its factories.

    Example:
        >>> t_factories(4e9, 1e-3, 1e-3, 5e-3)
        Factories(count=26, qubits=55080, distances=(9, 23))
        >>> t_factories(4e9, 1e-3, 1e-6, 5e-3).distances
        (23,)
    """
    log_need = math.log(budget) - math.log(max(t_states, 1.0))
    distances: list[int] = []
    while t_error > 0 and math.log(t_error) > log_need:
        distances.insert(0, _distance(log_need, error))
        log_need = (log_need - math.log(2 * _FROM_CUBE)) / 3
    if not distances:
        return Factories(0, 0, ())
    rounds = len(distances)
    units = math.ceil(15 / (1 - 15 * t_error)) + 1
    qubits = max(
        units ** (rounds - 1 - index) * _LOGICAL_QUBITS * 2 * distance**2
        for index, distance in enumerate(distances)
    )
    count = math.ceil(_MOST_T_A_CYCLE * _CYCLES * (2 - 2.0 ** (1 - rounds)))
    return Factories(count, qubits, tuple(distances))


def _distance(log_error: float, error: float) -> int:
    """Return the least odd distance at which a unit's Clifford gates add half of an error."""
    if error <= 0:
        return 1
    log_excess = math.log(2 * _FROM_CLIFFORD * CROSSING_PREFACTOR) - log_error
    return 2 * max(1, math.ceil(log_excess / (math.log(THRESHOLD) - math.log(error)))) - 1
