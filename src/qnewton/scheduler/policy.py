"""Policies: which quote wins. A decision depends on the quotes and the policy, nothing else.

Torch-free, so that recorded steps can be decided again without loading any solver.
"""

from collections.abc import Iterable, Sequence

from qnewton.cost import SurveyFact
from qnewton.records import Decision, MachineKind, QuantumHardware, Quote

POLICIES: dict[str, str] = {
    "classical": "the cheapest classical solver",
    "hybrid": "the cheapest solver of all, the quantum one at its audited price",
    "paper": "LU inversion against the quantum solver at the paper's price (its Algorithm 2)",
    "classical-only": "LU inversion at every step: the paper's classical baseline",
    "quantum-only": "the quantum solver at every step: the paper's quantum baseline",
}
"""Every policy with a line for ``--help``."""

_CLASSICAL, _QUANTUM = "lu_inverse", "qsvt"
_PRICED_BY_CONDITION = ("cg", "sparse_cg", "minres")


def decide(policy: str, quotes: Sequence[Quote]) -> Decision:
    """Choose a solver for one block.

    ``classical`` takes the lowest classical price, the first name in alphabetical order at equal
    prices; ``hybrid`` the lowest of all, a tie going to the classical solver. ``paper`` takes
    ``lu_inverse`` if R_c < R_q and ``qsvt`` otherwise, so a tie goes to the quantum solver; a
    quantum solver without a price loses. The two baselines choose their solver whatever it costs,
    also when its price is unknown.

    Args:
        policy: A key of :data:`POLICIES`.
        quotes: One quote a solver, in any order; modelled seconds.

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
    _check_policy(policy)
    ordered = tuple(sorted(quotes, key=lambda quote: (quote.machine, quote.solver)))
    by_solver = {quote.solver: quote for quote in ordered}
    if len(by_solver) < len(ordered):
        names = [quote.solver for quote in ordered]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two quotes are of solver {twice!r}; pass one a solver")
    if policy == "classical":
        chosen, reason = _cheapest(ordered, "classical", "classical")
    elif policy == "hybrid":
        _needed(policy, _QUANTUM, by_solver)
        chosen, reason = _cheapest(ordered, "hybrid")
    elif policy == "paper":
        chosen, reason = _algorithm_2(_needed(policy, _CLASSICAL, by_solver), by_solver)
    else:
        baseline = _CLASSICAL if policy == "classical-only" else _QUANTUM
        chosen, reason = baseline, _baseline_reason(_needed(policy, baseline, by_solver), policy)
    return Decision(chosen=chosen, quotes=ordered, policy=policy, reason=reason)


def needs_survey(policy: str, hardware: QuantumHardware | None) -> tuple[SurveyFact, ...]:
    """Return the facts a policy has to have surveyed before it asks for quotes.

    Empty for the classical policies, which decide from N; a CG quote is refused until somebody
    surveys the condition number.

    Raises:
        ValueError: If the policy is unknown, or weighs a quantum machine and none is given.

    Example:
        >>> needs_survey("classical", None)
        ()
    """
    _check_policy(policy)
    if policy in ("classical", "classical-only"):
        return ()
    if hardware is None:
        raise ValueError(
            f"policy {policy!r} needs a quantum machine and hardware is None; name one, or use "
            "policy 'classical'"
        )
    if policy == "hybrid":
        return ("condition", "row_sparsity")
    return ("determinant", "row_sparsity")


def facts_paid_for(
    policy: str, hardware: QuantumHardware | None, chosen: Iterable[Quote | None]
) -> tuple[SurveyFact, ...]:
    """Return the surveyed facts that a step's decisions used, so that its price includes them.

    κ where a chosen Krylov solver was priced by it, whatever the policy; otherwise those of
    :func:`needs_survey`. A κ that was measured for other reasons costs a decision nothing.

    Args:
        policy: A key of :data:`POLICIES`.
        hardware: The quantum machine, if there is one.
        chosen: The chosen solver's quote of every block.

    Example:
        >>> facts_paid_for("classical", None, [])
        ()
    """
    if any(
        quote is not None and quote.solver in _PRICED_BY_CONDITION and quote.condition_number
        for quote in chosen
    ):
        return ("condition",)
    return needs_survey(policy, hardware)


def _check_policy(policy: str) -> None:
    if policy not in POLICIES:
        raise ValueError(f"no policy is called {policy!r}; choose {', '.join(POLICIES)}")


def _needed(policy: str, solver: str, by_solver: dict[str, Quote]) -> Quote:
    if solver not in by_solver:
        way_out = "give it a quantum machine (hardware)" if solver == _QUANTUM else "add it"
        raise ValueError(f"policy {policy!r} needs a quote of {solver!r} and has none; {way_out}")
    return by_solver[solver]


def _cheapest(
    quotes: tuple[Quote, ...], policy: str, machine: MachineKind | None = None
) -> tuple[str, str]:
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
    runner_up_seconds, _, runner_up = priced[1]
    return solver, (
        f"{solver} at {seconds:.3g} s is the cheapest of {len(priced)} {kind}solvers, "
        f"{runner_up} next at {runner_up_seconds:.3g} s"
    )


def _algorithm_2(classical: Quote, by_solver: dict[str, Quote]) -> tuple[str, str]:
    quantum = _needed("paper", _QUANTUM, by_solver)
    if classical.seconds is None:
        raise ValueError(f"policy 'paper' needs a price of {_CLASSICAL!r}: {classical.refused}")
    if quantum.seconds is None:
        return _CLASSICAL, f"the quantum solver has no price, so LU inversion: {quantum.refused}"
    if classical.seconds < quantum.seconds:
        return _CLASSICAL, (
            f"R_c = {classical.seconds:.3g} s is below R_q = {quantum.seconds:.3g} s, so LU "
            "inversion"
        )
    return _QUANTUM, (
        f"R_q = {quantum.seconds:.3g} s is not above R_c = {classical.seconds:.3g} s, so the "
        "quantum solver"
    )


def _baseline_reason(quote: Quote, policy: str) -> str:
    if quote.seconds is None:
        return f"{policy} always takes {quote.solver}; its price is unknown: {quote.refused}"
    return f"{policy} always takes {quote.solver}, here at {quote.seconds:.3g} s"
