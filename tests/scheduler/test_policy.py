import itertools
import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.cost import (
    break_even_gate_time,
    cg_quote,
    cholesky_quote,
    load_hardware,
    lu_inverse_quote,
    lu_quote,
    nominal_calibration,
    paper_quote,
)
from qnewton.records import (
    Decision,
    Facts,
    Figure,
    MachineKind,
    Quote,
    Spectrum,
    decode,
    encode,
)
from qnewton.scheduler.policy import POLICIES, decide, needs_survey
from tests.recorded import bound

QUICK = settings(deadline=None, max_examples=100)
MACHINE = nominal_calibration()
HARDWARE = load_hardware("attosecond")


def quote(solver, seconds, machine: MachineKind = "classical", refused=None):
    return Quote(
        solver=solver, machine=machine, seconds=seconds, model="m", hardware="h", refused=refused
    )


def pair(classical, quantum, refused=None):
    return (quote("lu_inverse", classical), quote("qsvt", quantum, "quantum", refused))


def facts(n, kappa, d):
    found = bound(kappa)
    return Facts(n=n, spectrum=Spectrum(condition=found, bounds=(found,), row_sparsity=d))


def portfolio(system, gate_time_s):
    hardware = replace(HARDWARE, gate_time_s=Figure(value=gate_time_s, source="s", date="d"))
    return (
        *(q(MACHINE, system) for q in (lu_inverse_quote, lu_quote, cholesky_quote, cg_quote)),
        paper_quote(system, hardware),
    )


systems = st.integers(2, 20_000).flatmap(
    lambda n: st.builds(facts, st.just(n), st.floats(1.0, 1e9), st.integers(1, n))
)


@QUICK
@given(systems)
def test_sweeping_the_gate_time_flips_the_paper_exactly_once_at_the_break_even(system):
    classical = lu_inverse_quote(MACHINE, system).seconds
    count = paper_quote(system, HARDWARE).query_count
    assert classical is not None
    assert count is not None
    c = MACHINE.fit("lu_inverse")
    assert c is not None
    flip = c.seconds_per_unit * float(system.n) ** 3 / count.expected
    assert break_even_gate_time(classical, count) == flip
    # 1e-12 to either side: a product and a quotient round differently in the last digit.
    sweep = [flip * 10.0**e for e in range(-15, 0)]
    sweep += [flip * (1 - 1e-12), flip * (1 + 1e-12)]
    sweep += [flip * 10.0**e for e in range(1, 15)]
    chosen = [decide("paper", portfolio(system, time)).chosen for time in sweep]
    below = sum(time < flip for time in sweep)
    assert chosen == ["qsvt"] * below + ["lu_inverse"] * (len(sweep) - below)


@QUICK
@given(systems, st.floats(1e-20, 1e-3), st.sampled_from(sorted(POLICIES.names)), st.randoms())
def test_a_decision_does_not_depend_on_the_order_of_quotes(system, time, policy, random):
    quotes = list(portfolio(system, time))
    first = decide(policy, quotes)
    random.shuffle(quotes)
    assert decide(policy, quotes) == first


@QUICK
@given(systems, st.floats(1e-20, 1e-3), st.sampled_from(sorted(POLICIES.names)))
def test_a_recorded_decision_is_reached_again_from_its_own_quotes(system, time, policy):
    made = decide(policy, portfolio(system, time))
    read = decode(Decision, encode(made))
    assert decide(read.policy, read.quotes) == made
    assert made.policy == policy
    assert made.quote(made.chosen) is not None
    assert made.order()[0] == made.chosen


def test_equal_prices_go_to_the_quantum_solver():
    # Algorithm 2 tests R_c < R_q strictly.
    assert decide("paper", pair(1.0, 1.0)).chosen == "qsvt"
    assert decide("paper", pair(1.0, math.nextafter(1.0, 2))).chosen == "lu_inverse"
    assert decide("paper", pair(1.0, math.nextafter(1.0, 0))).chosen == "qsvt"


def test_the_paper_knows_no_other_classical_solver():
    cheap = quote("cholesky", 1e-9)
    assert decide("paper", (*pair(1.0, 0.5), cheap)).chosen == "qsvt"
    assert decide("paper", (*pair(1.0, 2.0), cheap)).chosen == "lu_inverse"


def test_the_paper_goes_classical_when_the_quantum_price_is_refused():
    made = decide("paper", pair(1.0, None, "the determinant bound on κ overflows: ln κ = 993"))
    assert made.chosen == "lu_inverse"
    assert "ln κ = 993" in made.reason


def test_the_baselines_choose_whatever_it_costs():
    assert decide("classical-only", pair(9.0, 1.0)).chosen == "lu_inverse"
    assert decide("quantum-only", pair(1.0, 9.0)).chosen == "qsvt"
    assert "9 s" in decide("quantum-only", pair(1.0, 9.0)).reason


def test_quantum_only_runs_without_a_price():
    made = decide("quantum-only", pair(1.0, None, "ln κ = 993"))
    assert made.chosen == "qsvt"
    assert "its price is unknown: ln κ = 993" in made.reason


def test_classical_takes_the_cheapest_classical_price():
    quotes = (
        quote("lu", 2.0),
        quote("cholesky", 1.0),
        quote("cg", None, refused="A is indefinite"),
        quote("qsvt", 1e-9, "quantum"),
    )
    made = decide("classical", quotes)
    assert made.chosen == "cholesky"
    assert made.reason == ("cholesky at 1 s is the cheapest of 2 classical solvers, lu next at 2 s")
    assert decide("classical", quotes[:1]).reason == (
        "lu at 2 s is the only classical solver with a price"
    )


def test_classical_breaks_ties_by_name():
    quotes = (quote("lu", 1.0), quote("cholesky", 1.0))
    for order in itertools.permutations(quotes):
        assert decide("classical", order).chosen == "cholesky"


@pytest.mark.parametrize(
    ("policy", "quotes", "words"),
    [
        ("greedy", pair(1.0, 1.0), "no policy is called 'greedy'; choose classical, hybrid, "),
        (
            "paper",
            pair(1.0, 1.0)[:1],
            "needs a quote of a quantum solver and has none; give it",
        ),
        ("paper", pair(1.0, 1.0)[1:], "'paper' needs a quote of 'lu_inverse' and has none"),
        ("quantum-only", pair(1.0, 1.0)[:1], "'quantum-only' needs a quote of a quantum solver"),
        ("classical-only", pair(1.0, 1.0)[1:], "'classical-only' needs a quote of 'lu_inverse'"),
        ("classical", pair(1.0, 1.0)[1:], "no classical price to choose (there is none)"),
        ("classical", (quote("cg", None, refused="why"),), "no classical price to choose (cg: why"),
        (
            "paper",
            (quote("lu_inverse", None, refused="no rate"), quote("qsvt", 1.0, "quantum")),
            "'paper' needs a price of 'lu_inverse': no rate",
        ),
        ("paper", pair(1.0, 1.0) * 2, "two quotes are of solver 'lu_inverse'"),
    ],
)
def test_requests_that_cannot_be_decided_are_one_line(policy, quotes, words):
    with pytest.raises(ValueError, match=r"quote|policy|price") as raised:
        decide(policy, quotes)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_each_policy_has_to_survey():
    for policy in ("classical", "classical-only"):
        assert needs_survey(policy, None) == needs_survey(policy, HARDWARE) == ()
    for policy in ("paper", "quantum-only"):
        assert needs_survey(policy, HARDWARE) == ("determinant", "row_sparsity")
        with pytest.raises(ValueError, match="needs a quantum machine and hardware is None"):
            needs_survey(policy, None)
    with pytest.raises(ValueError, match="no policy is called 'greedy'"):
        needs_survey("greedy", HARDWARE)


def test_every_policy_has_one_line_of_help():
    assert set(POLICIES.names) == {"classical", "hybrid", "paper", "classical-only", "quantum-only"}
    assert all(line and "\n" not in line for line in (policy.summary for policy in POLICIES))


@settings(deadline=None, max_examples=100)
@given(
    prices=st.tuples(*[st.none() | st.floats()] * 3),
    policy=st.sampled_from(sorted(POLICIES.names)),
)
def test_any_prices_are_decided_or_refused_and_what_is_no_duration_never_wins(prices, policy):
    quotes = [
        quote("cg", prices[0]),
        quote("lu_inverse", prices[1]),
        quote("qsvt", prices[2], "quantum"),
    ]
    durations = [s if s is not None and 0 <= s < math.inf else None for s in prices]
    assert [offer.seconds for offer in quotes] == durations
    cg, lu, qsvt = durations
    known = {"classical": (cg, lu), "hybrid": durations, "paper": (lu,)}.get(policy, (0.0,))
    if all(price is None for price in known):
        with pytest.raises(ValueError, match="price"):
            decide(policy, quotes)
        return
    chosen = decide(policy, quotes).chosen
    if policy in ("classical", "hybrid"):
        cheapest = min(price for price in known if price is not None)
        assert next(offer for offer in quotes if offer.solver == chosen).seconds == cheapest
    elif policy == "paper":
        assert (chosen == "qsvt") == (qsvt is not None and lu is not None and qsvt <= lu)
    else:
        assert chosen == {"classical-only": "lu_inverse", "quantum-only": "qsvt"}[policy]
