"""What an algorithm queries by what is known of the solution: the one count that prices call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args

import numpy as np

from qnewton.queries import clock, costa, dalzell, jennings
from qnewton.queries.amplification import amplified_times, searched_times
from qnewton.queries.arrays import Array, Numbers, check_all
from qnewton.queries.degrees import inverse_degrees
from qnewton.queries.heights import polynomial_height
from qnewton.queries.sets import QUERY_SETS, QuerySet
from qnewton.records import QueryCount
from qnewton.records.messages import check

ALGORITHMS: Mapping[str, str] = {
    "qsvt": "QSVT with the optimal inverse polynomial, arXiv:2507.15537",
    "dalzell": "Dalzell's shortcut, arXiv:2406.12086",
    "hhl": "HHL with a clock whose spacing is ε·α/κ_be, arXiv:0811.3171, and evolutions by "
    "Jacobi-Anger series, arXiv:2308.01501",
    "costa": "the discrete adiabatic walk, arXiv:2111.08152",
    "jennings": "Jennings et al. 2023, arXiv:2305.11352v1, Theorem 1",
}
"""Every algorithm that is counted, with its theorem."""


@dataclass(frozen=True, kw_only=True)
class QueryCounts:
    """The counts of many systems, each field an array of one shape.

    Attributes:
        queries: Calls of U_A in one attempt.
        success_probability: That an attempt succeeds, at least, for the worst right-hand side.
        expected: Calls of U_A until success, for the worst right-hand side: fewer than ``queries``
            over the probability where attempts are amplified, or where a failed one ends early.
        state_preparations: Calls of U_b until success, for the worst right-hand side.
        theorem: Where the count comes from.
        provenance: How sure we are of it, as in :class:`~qnewton.records.QueryCount`.
        instance: Calls of U_A until success for the gain that was given; ``None`` without one.
        instance_preparations: Calls of U_b until success for it; ``None`` without one.
    """

    queries: Array
    success_probability: Array
    expected: Array
    state_preparations: Array
    theorem: str
    provenance: str
    instance: Array | None = None
    instance_preparations: Array | None = None

    def at(self, index: int | tuple[int, ...] = ()) -> QueryCount:
        """Return the count of one system.

        Example:
            >>> float(attempt("qsvt", "rigorous", kappa=1e3, epsilon=1e-2).at().queries)
            11513.0
        """
        figures = {
            name: float(getattr(self, name)[index])
            for name in ("queries", "success_probability", "expected", "state_preparations")
        }
        instance = None if self.instance is None else float(self.instance[index])
        return QueryCount(
            theorem=self.theorem, provenance=self.provenance, instance=instance, **figures
        )


def attempt(
    algorithm: str,
    knowledge: str,
    *,
    kappa: Numbers,
    epsilon: Numbers,
    gain: Numbers | None = None,
    guess_factor: float = 1.0,
    constant: Numbers | None = None,
) -> QueryCounts:
    """Count what an algorithm queries until it succeeds, for one system or for many.

    What is known decides how often an attempt is repeated:

    ============  ====================================  =======================================
    knowledge     QSVT and HHL                          Dalzell; Costa
    ============  ====================================  =======================================
    rigorous      p unknown: searched                   Eq. 118; c = 2305, proven
    warm-start    p known: amplified; searched where    the norm known within ``guess_factor``;
                  ``guess_factor`` is above 1           as rigorous
    optimistic    as warm-start                         as warm-start; c = 1.84, as seen
    paper         refused                               refused; for ``jennings`` alone
    ============  ====================================  =======================================

    p is (gain/height)² for QSVT and (gain/2κ_be)² for HHL, where gain = ‖(A/α)⁻¹b̂‖ ≥ 1 is 1 in the
    worst case. ``jennings`` knows nothing of the solution; it is counted for A/α, whose norm is at
    most 1, with at least √12 for κ_be.

    Args:
        algorithm: A key of :data:`ALGORITHMS`.
        knowledge: A key of :data:`~qnewton.queries.QUERY_SETS`.
        kappa: κ_be = α/σ_min(A) ≥ 1.
        epsilon: Error of the solution state: above 0, at most 0.24 for ``jennings``, 0.25 for
            ``dalzell``, 0.5 for the others.
        gain: ‖(A/α)⁻¹b̂‖ of this A and b; beyond [1, κ_be] the nearer end is taken.
        guess_factor: How far off, either way, the norm of the last step may be.
        constant: ``costa``: c in place of the knowledge's own.

    Returns:
        Arrays of the shape to which the arguments broadcast. What overflows is infinite.

    Raises:
        ValueError: In one line, if an argument is out of range or there is no such count.

    Cost:
        A microsecond per element at most: 0.3 s for 3·10⁵ of QSVT, less for the others.

    Reference:
        :data:`ALGORITHMS`; searching: Boyer et al., quant-ph/9605034; amplification: Brassard et
        al., quant-ph/0005055.

    Example:
        >>> for name in ("qsvt", "dalzell", "hhl", "costa"):
        ...     found = attempt(name, "warm-start", kappa=1e3, epsilon=1e-2, gain=300.0)
        ...     print(f"{name:8s}{float(found.expected):.3g} {float(found.instance):.3g}")
        qsvt    2.56e+07 8.62e+04
        dalzell 5.81e+03 5.81e+03
        hhl     8.2e+09 2.75e+07
        costa   7.84e+06 7.84e+06
    """
    if algorithm not in ALGORITHMS:
        known = ", ".join(ALGORITHMS)
        raise ValueError(f"no algorithm of a count is called {algorithm!r}; choose {known}")
    if knowledge not in get_args(QuerySet):
        known = ", ".join(QUERY_SETS)
        raise ValueError(f"no set of counts is called {knowledge!r}; choose {known}")
    if knowledge == "paper" and algorithm != "jennings":
        raise ValueError(f"the set 'paper' counts 'jennings' alone, not {algorithm!r}")
    most, count = _COUNTS[algorithm]
    kappa = check_all("kappa", kappa, "must be finite and at least 1", 1.0, _LARGEST)
    limits = f"must be above 0 and at most {most:g}"
    epsilon = check_all("epsilon", epsilon, limits, 5e-324, most)
    within = "must be finite and at least 1"
    check("guess_factor", guess_factor, within, 1.0 <= guess_factor < 1e150)
    if gain is not None:
        gain = np.clip(np.asarray(gain, dtype=np.float64), 1.0, kappa)
    if constant is not None:
        constant = check_all("constant", constant, "must be above 0", 5e-324, _LARGEST)
    with np.errstate(over="ignore"):
        asked = _Asked(knowledge, kappa, epsilon, gain, guess_factor, constant)
        found = count(asked)
    shape = np.broadcast_shapes(
        *(np.shape(value) for value in (kappa, epsilon, gain, constant) if value is not None)
    )
    return found.counts(shape, ALGORITHMS[algorithm])


_LARGEST = np.finfo(np.float64).max


@dataclass(frozen=True)
class _Asked:
    """The arguments of :func:`attempt`, checked."""

    knowledge: str
    kappa: Array
    epsilon: Array
    gain: Array | None
    guess_factor: float
    constant: Array | None


@dataclass(frozen=True, kw_only=True)
class _Found:
    """A count before its arrays are brought to one shape; ``instance`` may be the worst case."""

    queries: Array
    success: Array
    expected: Array
    instance: Array | None
    preparations: Array | float
    provenance: str
    said: str = ""

    def counts(self, shape: tuple[int, ...], theorem: str) -> QueryCounts:
        """Return the record; ``preparations`` are those per query."""

        def whole(values: Array | float) -> Array:
            return np.broadcast_to(np.asarray(values, dtype=np.float64), shape)

        instance = None if self.instance is None else whole(self.instance)
        return QueryCounts(
            queries=whole(self.queries),
            success_probability=whole(self.success),
            expected=whole(self.expected),
            state_preparations=whole(self.expected * self.preparations),
            theorem=theorem + self.said,
            provenance=self.provenance,
            instance=instance,
            instance_preparations=None if instance is None else instance * self.preparations,
        )


def _applied(asked: _Asked, queries: Array, unit: Array, provenance: str) -> _Found:
    """Return the count of what applies a function of A: p = (gain/unit)², one U_b per attempt."""
    known = asked.knowledge != "rigorous" and asked.guess_factor == 1.0
    times: Callable[[Array], Array] = amplified_times if known else searched_times
    # A p that underflows is as small as a float can be: the count is infinite then.
    worst = np.maximum(np.minimum(1.0, 1.0 / unit) ** 2, 5e-324)
    instance = None
    if asked.gain is not None:
        instance = queries * times(np.maximum(np.minimum(1.0, asked.gain / unit) ** 2, 5e-324))
    return _Found(
        queries=queries,
        success=worst,
        expected=queries * times(worst),
        instance=instance,
        preparations=np.maximum(1.0 / queries, 5e-324),  # none times infinity is no number
        provenance=provenance,
        said="; p known: amplified" if known else "; p unknown: searched",
    )


def _qsvt(asked: _Asked) -> _Found:
    degree = inverse_degrees(asked.kappa, asked.epsilon)
    # A degree that overflows costs infinitely much, whatever the height.
    height = polynomial_height(asked.kappa, (np.minimum(degree, 1e307) + 1.0) / 2.0)
    return _applied(asked, degree, height, "transcribed")


def _hhl(asked: _Asked) -> _Found:
    qubits = clock.clock_qubits(asked.kappa, asked.epsilon)
    queries = clock.clocks_queries(qubits, asked.epsilon)
    return _applied(asked, queries, 2.0 * asked.kappa, "standard")


def _dalzell(asked: _Asked) -> _Found:
    kappa, epsilon, gain = asked.kappa, asked.epsilon, asked.gain
    if asked.knowledge == "rigorous":
        reflecting, projecting = dalzell.norm_unknown(kappa, epsilon)
        expected, instance = reflecting + projecting, None
        if gain is not None:
            overlap = dalzell.mean_overlap(kappa, gain)
            instance = sum(dalzell.norm_unknown(kappa, epsilon, overlap))
        log_etas = dalzell.log_reflection_eta(kappa), dalzell.log_projection_eta(epsilon)
        queries = sum(2.0 * dalzell.filter_degree(kappa, log_eta) for log_eta in log_etas)
        success = dalzell.reflected(kappa) * dalzell.PROJECTED
        said = ", Eq. 118: the norm unknown"
    else:
        degree, success = dalzell.known_attempt(kappa, epsilon, asked.guess_factor)
        queries = 2.0 * degree
        expected = queries / success
        instance = None if gain is None else expected
        said = f", the norm known within a factor {asked.guess_factor:g}"
    return _Found(
        queries=np.asarray(queries),
        success=success,
        expected=expected,
        instance=None if instance is None else np.asarray(instance),
        preparations=2.0,
        provenance="transcribed",
        said=said,
    )


def _costa(asked: _Asked) -> _Found:
    constant = asked.constant
    if constant is None:
        seen = asked.knowledge == "optimistic"
        constant = np.asarray(costa.SEEN_CONSTANT if seen else costa.PROVEN_CONSTANT)
    plan = costa.walk_plan(asked.kappa, asked.epsilon, constant, power=2)
    values = np.unique(constant)
    proven = bool(np.all(values >= costa.PROVEN_CONSTANT))
    said = f", c = {values[0]:g}" + ("" if len(values) == 1 else f" to {values[-1]:g}")
    return _Found(
        queries=plan.steps + plan.filtering,
        success=plan.success,
        expected=plan.expected,
        instance=None if asked.gain is None else plan.expected,
        preparations=2.0,
        provenance="transcribed" if proven else "extrapolated",
        said=said,
    )


def _jennings(asked: _Asked) -> _Found:
    kappa = np.maximum(asked.kappa, jennings.JENNINGS_MIN_KAPPA)
    queries = jennings.theorem_1(1.0, kappa, asked.epsilon)
    success = jennings.success_1(asked.epsilon)
    return _Found(
        queries=queries,
        success=success,
        expected=queries / success,
        instance=None if asked.gain is None else queries / success,
        preparations=2.0,
        provenance="transcribed",
    )


_COUNTS: Mapping[str, tuple[float, Callable[[_Asked], _Found]]] = {
    "qsvt": (0.5, _qsvt),
    "dalzell": (dalzell.MAX_EPSILON, _dalzell),
    "hhl": (0.5, _hhl),
    "costa": (0.5, _costa),
    "jennings": (jennings.JENNINGS_MAX_EPSILON, _jennings),
}
"""The largest ε of each algorithm, and what counts it."""
