"""Policies: which quote wins. A decision depends on the quotes and the policy, nothing else.

Torch-free, so that recorded steps can be decided again without loading any solver.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

from qnewton.cost import QUANTUM_PRICES, SOLVERS, SurveyFact
from qnewton.records import Decision, MachineKind, QuantumHardware, Quote
from qnewton.records.colors import BLUE, GRAY, GREEN, ORANGE, SKY, VERMILLION
from qnewton.records.messages import check, one_line, shown
from qnewton.records.quotes import cheapest
from qnewton.records.registry import Registry

Choice = tuple[str, str]
"""The name of the chosen solver, and the reason in one sentence."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A rule that chooses the solver of a block, and the facts that it needs.

    Attributes:
        name: Its name in options and records.
        title: Its name in pictures.
        summary: What it chooses, in one line.
        choose: Chooses from the quotes, one per solver, sorted by machine and solver; raises
            ``ValueError`` where a quote it needs is missing.
        survey: The facts it has to have surveyed before it asks for quotes.
        quantum_price: The cost model of the quantum solver that it weighs, a name in
            :data:`qnewton.cost.QUANTUM_PRICES`; ``None`` for a policy that weighs no quantum
            machine.
        shares_machines: Whether the blocks of a step share the machines, which work at the same
            time.
        needs_entries: Whether every block is formed, and measured where a quantum machine is
            priced, before it decides. A policy that does not need them decides from shapes and
            what earlier steps left, and a block is formed only for a solver that reads entries.
        color: Its color in pictures.
        dash: Its line in pictures: pixels drawn and left out in turn; empty for a full line.

    Raises:
        ValueError: If ``survey`` names no fact of :data:`qnewton.cost.SurveyFact`, or ``choose``
            cannot be called.

    Example:
        >>> POLICIES.get("hybrid").needs_quantum_machine, POLICIES.get("classical").survey
        (True, ())
    """

    name: str
    title: str
    summary: str
    choose: Callable[[Sequence[Quote]], Choice]
    survey: tuple[SurveyFact, ...] = ()
    quantum_price: str | None = None
    shares_machines: bool = False
    needs_entries: bool = True
    color: str = GRAY
    dash: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        limits = "must be a function of the quotes that returns a solver's name and the reason"
        check(f"policy {self.name!r}: choose", self.choose, limits, callable(self.choose))
        facts = get_args(SurveyFact)
        holds = not isinstance(self.survey, str) and set(self.survey) <= set(facts)
        limits = f"must be a tuple of some of {', '.join(facts)}"
        check(f"policy {self.name!r}: survey", self.survey, limits, holds)

    @property
    def needs_quantum_machine(self) -> bool:
        """Whether it weighs a quantum machine, so that there has to be one."""
        return self.quantum_price is not None


def decide(policy: str | Policy, quotes: Sequence[Quote]) -> Decision:
    """Choose a solver for one block.

    ``classical`` takes the lowest classical price, the first name in alphabetical order at equal
    prices; ``hybrid`` the lowest of all, a tie going to the classical solver. ``paper`` takes
    ``lu_inverse`` if R_c < R_q and ``qsvt`` otherwise, so a tie goes to the quantum solver; a
    quantum solver without a price loses. The two baselines choose their solver whatever it costs,
    also when its price is unknown.

    Args:
        policy: A policy, or the name of one in :data:`POLICIES`.
        quotes: One quote per solver, in any order; modelled seconds.

    Returns:
        The decision, with its reason in one sentence and the quotes sorted by machine and solver.

    Raises:
        ValueError: If the policy is unknown, a quote it needs is missing, two quotes are of one
            solver, or a price it compares with was refused.

    Cost:
        One pass over the quotes.

    Reference:
        Li et al., arXiv:2405.00252, Algorithm 2, lines 5-16.

    Example:
        >>> def priced(solver, machine, seconds):
        ...     return Quote(solver=solver, machine=machine, seconds=seconds, model="m",
        ...                  hardware="h")
        >>> two = (priced("lu_inverse", "classical", 2.0), priced("qsvt", "quantum", 0.5))
        >>> decide("paper", two).reason
        'R_q = 0.5 s is not above R_c = 2 s, so the quantum solver'
    """
    chooser = policy_of(policy)
    ordered = _ordered(quotes)
    names = [quote.solver for quote in ordered]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two quotes are of solver {twice!r}; pass one per solver")
    try:
        choice = chooser.choose(ordered)
    except ValueError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {one_line(error)}"
        raise ValueError(f"policy {chooser.name!r} raised {said}") from error
    if not isinstance(choice, tuple) or [type(part) for part in choice] != [str, str]:
        needed = "it must be a solver's name and the reason, two strings"
        raise ValueError(f"policy {chooser.name!r} chose {shown(choice)}; {needed}")
    chosen, reason = choice
    if chosen not in names:
        raise ValueError(f"policy {chooser.name!r} chose {chosen!r}, of which there is no quote")
    return Decision(chosen=chosen, quotes=ordered, policy=chooser.name, reason=reason)


def decide_anyway(policy: Policy, quotes: Sequence[Quote]) -> Decision:
    """Choose as :func:`decide` does; where the policy cannot, take the cheapest classical solver.

    A step goes on: the reason says what kept the policy from choosing. Where no classical solver
    has a price, one that multiplies alone is taken.
    """
    try:
        return decide(policy, quotes)
    except ValueError as refusal:
        said = one_line(refusal)

    def rank(quote: Quote) -> tuple[bool | float | str, ...]:
        solver = SOLVERS.get(quote.solver)
        # Without any price: not one that the run refuses, and one that takes any matrix as it is.
        fits = quote.refusal is not None, solver.needs_entries, solver.needs_definite
        unpriced = quote.seconds is None
        return quote.machine != "classical", unpriced, quote.seconds or 0.0, *fits, quote.solver

    ordered = _ordered(quotes)
    chosen = min(ordered, key=rank).solver
    reason = f"{said}; so {chosen}, the first of the classical solvers by price"
    return Decision(chosen=chosen, quotes=ordered, policy=policy.name, reason=reason)


def _ordered(quotes: Sequence[Quote]) -> tuple[Quote, ...]:
    return tuple(sorted(quotes, key=lambda quote: (quote.machine, quote.solver)))


def policy_of(policy: str | Policy) -> Policy:
    """Return the policy of a name, or itself.

    Raises:
        ValueError: If no policy is called so.
    """
    return policy if isinstance(policy, Policy) else POLICIES.get(policy)


def needs_survey(policy: str | Policy, hardware: QuantumHardware | None) -> tuple[SurveyFact, ...]:
    """Return the facts that have to be measured before a policy asks for quotes.

    Empty for the classical policies, which decide from N; a CG quote is refused until somebody
    surveys the condition number.

    Raises:
        ValueError: If the policy is unknown, weighs a quantum machine and none is given, or a cost
            model that is not registered.

    Example:
        >>> needs_survey("classical", None)
        ()
    """
    asked = policy_of(policy)
    if asked.needs_quantum_machine and hardware is None:
        needed = f"policy {asked.name!r} needs a quantum machine and hardware is None"
        raise ValueError(f"{needed}; name one, or use policy 'classical'")
    if asked.quantum_price is not None and asked.quantum_price not in QUANTUM_PRICES:
        weighs = f"policy {asked.name!r} weighs the quantum price {asked.quantum_price!r}"
        known = f"choose {', '.join(QUANTUM_PRICES.names)}, or register it first"
        raise ValueError(f"{weighs}, which is not registered; {known}")
    return asked.survey


def facts_paid_for(
    policy: str | Policy, hardware: QuantumHardware | None, chosen: Iterable[Quote | None]
) -> tuple[SurveyFact, ...]:
    """Return the measured facts that a step's decisions used, so that its price includes them.

    κ where a chosen Krylov solver was priced by it, whatever the policy; otherwise those of
    :func:`needs_survey`. A κ that was measured for other reasons costs a decision nothing.

    Args:
        policy: A policy, or the name of one in :data:`POLICIES`.
        hardware: The quantum machine, if there is one.
        chosen: The chosen solver's quote of every block.

    Example:
        >>> facts_paid_for("classical", None, [])
        ()
    """
    if any(quote is not None and _priced_by_condition(quote) for quote in chosen):
        return ("condition",)
    return needs_survey(policy, hardware)


def _priced_by_condition(quote: Quote) -> bool:
    solver = SOLVERS.find(quote.solver)
    return solver is not None and solver.family.iterates and quote.condition_number is not None


def _needed(policy: str, solver: str, quotes: Sequence[Quote]) -> Quote:
    found = next((quote for quote in quotes if quote.solver == solver), None)
    if found is None:
        raise ValueError(f"policy {policy!r} needs a quote of {solver!r} and has none; add it")
    return found


def _quantum(policy: str, quotes: Sequence[Quote]) -> Quote:
    """Return the quote of the quantum solver, of several the cheapest, or the paper's own."""
    found = [quote for quote in quotes if quote.machine == "quantum"]
    if not found:
        needed = f"policy {policy!r} needs a quote of a quantum solver and has none"
        raise ValueError(f"{needed}; give it a quantum machine (hardware)")
    own = next((quote for quote in found if quote.solver == _QUANTUM), found[0])
    return cheapest(found) or own


def _cheapest(quotes: Sequence[Quote], policy: str, machine: MachineKind | None = None) -> Choice:
    offers = [quote for quote in quotes if machine in (None, quote.machine)]
    kind = "" if machine is None else f"{machine} "
    # Quotes come sorted by machine, and classical ones win a tie.
    priced = sorted((q.seconds, q.machine, q.solver) for q in offers if q.seconds is not None)
    if not priced:
        refusals = "; ".join(f"{q.solver}: {q.refused}" for q in offers) or "there is none"
        raise ValueError(f"policy {policy!r} has no {kind}price to choose ({refusals})")
    seconds, _, solver = priced[0]
    if len(priced) == 1:
        return solver, f"{solver} at {seconds:.3g} s is the only {kind}solver with a price"
    after, _, runner_up = priced[1]
    best = f"{solver} at {seconds:.3g} s is the cheapest of {len(priced)} {kind}solvers"
    return solver, f"{best}, {runner_up} next at {after:.3g} s"


def _hybrid(quotes: Sequence[Quote]) -> Choice:
    _quantum("hybrid", quotes)
    return _cheapest(quotes, "hybrid")


def _algorithm_2(quotes: Sequence[Quote]) -> Choice:
    classical, quantum = _needed("paper", _CLASSICAL, quotes), _quantum("paper", quotes)
    if classical.seconds is None:
        raise ValueError(f"policy 'paper' needs a price of {_CLASSICAL!r}: {classical.refused}")
    if quantum.seconds is None:
        return _CLASSICAL, f"the quantum solver has no price, so LU inversion: {quantum.refused}"
    r_c, r_q = f"R_c = {classical.seconds:.3g} s", f"R_q = {quantum.seconds:.3g} s"
    if classical.seconds < quantum.seconds:
        return _CLASSICAL, f"{r_c} is below {r_q}, so LU inversion"
    return quantum.solver, f"{r_q} is not above {r_c}, so the quantum solver"


def _always(policy: str, quote: Quote) -> Choice:
    said = f"{policy} always takes {quote.solver}"
    if quote.seconds is None:
        return quote.solver, f"{said}; its price is unknown: {quote.refused}"
    return quote.solver, f"{said}, here at {quote.seconds:.3g} s"


def _classical_only(quotes: Sequence[Quote]) -> Choice:
    return _always("classical-only", _needed("classical-only", _CLASSICAL, quotes))


def _quantum_only(quotes: Sequence[Quote]) -> Choice:
    return _always("quantum-only", _quantum("quantum-only", quotes))


_CLASSICAL, _QUANTUM = "lu_inverse", "qsvt"  # the paper's two solvers

POLICIES: Registry[Policy] = Registry(
    "policy",
    "qnewton.policies",
    (
        Policy(
            name="classical",
            title="Newton, best classical",
            summary="the cheapest classical solver",
            choose=partial(_cheapest, policy="classical", machine="classical"),
            needs_entries=False,
            color=SKY,
        ),
        Policy(
            name="hybrid",
            title="Newton, hybrid",
            summary="the cheapest solver of all, quantum ones at their audited prices",
            choose=_hybrid,
            survey=("condition", "row_sparsity"),
            quantum_price="audited",
            shares_machines=True,
            color=ORANGE,
        ),
        Policy(
            name="paper",
            title="Q-Newton",
            summary="LU inversion against the quantum solver at the paper's price (its "
            "Algorithm 2)",
            choose=_algorithm_2,
            survey=("determinant", "row_sparsity"),
            quantum_price="paper",
            color=GREEN,
        ),
        Policy(
            name="classical-only",
            title="Classical-only",
            summary="LU inversion at every step: the paper's classical baseline",
            choose=_classical_only,
            color=BLUE,
            dash=(8, 3),
        ),
        Policy(
            name="quantum-only",
            title="Quantum-only",
            summary="the quantum solver at every step: the paper's quantum baseline",
            choose=_quantum_only,
            survey=("determinant", "row_sparsity"),
            quantum_price="paper",
            color=VERMILLION,
            dash=(4, 2),
        ),
    ),
    of=Policy,
)
"""The table of policies."""
