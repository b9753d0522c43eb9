import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.cost import (
    Audit,
    audited_quote,
    break_even_gate_time,
    cg_quote,
    kappa_facts,
    load_hardware,
    nominal_calibration,
    paper_quote,
)
from qnewton.cost.queries import JENNINGS_MIN_KAPPA, jennings_2023
from qnewton.records import (
    Facts,
    Quote,
    Spectrum,
    decode,
    encode,
)
from tests.recorded import bound, machine

QUICK = settings(deadline=None, max_examples=200)
ATTOSECOND = load_hardware("attosecond")


def facts(n=1482, kappa: float | None = 100.0, d: int | None = 64, log_value=None):
    return Facts(
        n=n,
        spectrum=Spectrum(
            bounds=(bound(kappa, log_value),),
            row_sparsity=d,
        ),
    )


systems = st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


@QUICK
@given(systems, st.floats(1, 1e12), st.floats(1e-30, 0.24), st.floats(1e-20, 1.0))
def test_the_price_is_gate_time_times_expected_queries(system, kappa, epsilon, gate_time):
    n, d = system
    quote = paper_quote(facts(n, kappa, d), machine(gate_time), epsilon=epsilon)
    priced_at = max(kappa, JENNINGS_MIN_KAPPA)
    count = jennings_2023(alpha=d, kappa=priced_at, epsilon=epsilon)
    assert quote.seconds == pytest.approx(gate_time * count.expected, rel=1e-12)
    assert quote.query_count == count
    assert sum(term.seconds for term in quote.terms) == quote.seconds
    assert quote.quantum is not None
    assert quote.condition_number == priced_at
    assert (quote.quantum.sparsity, quote.quantum.epsilon) == (d, epsilon)
    assert quote.quantum.logical_qubits == 7 + math.ceil(math.log2(n))


@QUICK
@given(
    systems,
    st.floats(1, 1e10),
    st.floats(1e-20, 0.2),
    st.floats(1e-18, 1e-3),
    st.floats(1.01, 10.0),
)
def test_the_price_rises_with_kappa_d_precision_and_gate_time(system, kappa, eps, time, factor):
    n, d = system
    here = paper_quote(facts(n, kappa, d), machine(time), epsilon=eps).seconds
    worse_kappa = paper_quote(facts(n, kappa * factor, d), machine(time), epsilon=eps).seconds
    denser = paper_quote(facts(n + 1, kappa, d + 1), machine(time), epsilon=eps).seconds
    slower = paper_quote(facts(n, kappa, d), machine(time * factor), epsilon=eps).seconds
    finer = paper_quote(facts(n, kappa, d), machine(time), epsilon=eps / factor)
    assert here is not None
    assert worse_kappa is not None
    assert (worse_kappa > here) if kappa * factor > JENNINGS_MIN_KAPPA else worse_kappa == here
    assert denser is not None
    assert denser > here
    assert slower is not None
    assert slower > here
    # Precision costs queries per attempt; the expected count may gain a little back by succeeding
    # more often near ε = 0.24, where the success probability depends on ε.
    coarse = paper_quote(facts(n, kappa, d), machine(time), epsilon=eps).query_count
    assert finer.query_count is not None
    assert coarse is not None
    assert finer.query_count.queries > coarse.queries


@QUICK
@given(systems, st.floats(1, 1e10), st.floats(1e-20, 1e-3), st.floats(1.5, 10.0))
def test_the_price_rises_with_precision_where_training_uses_it(system, kappa, eps, factor):
    n, d = system
    coarse = paper_quote(facts(n, kappa, d), machine(1e-9), epsilon=eps).seconds
    fine = paper_quote(facts(n, kappa, d), machine(1e-9), epsilon=eps / factor).seconds
    assert coarse is not None
    assert fine is not None
    assert fine > coarse


def test_defaults_are_the_papers():
    quote = paper_quote(facts(12_544, 1e4, 1540), ATTOSECOND)
    count = jennings_2023(alpha=1540.0, kappa=1e4, epsilon=1e-12)
    assert quote.quantum is not None
    assert quote.quantum.epsilon == 1e-12
    assert quote.seconds == 1e-18 * count.expected
    assert quote.solver == "qsvt"
    assert quote.machine == "quantum"
    assert quote.hypothetical


def test_a_price_says_which_condition_number_and_error_it_takes():
    said = paper_quote(facts(kappa=3.5e187), ATTOSECOND, epsilon=1e-10).assumptions
    assert said[:2] == ("κ = 3.5e+187 from the determinant, as the paper estimates it", "ε = 1e-10")
    given = paper_quote(kappa_facts(1482, 100.0, 64), ATTOSECOND, bound="given").assumptions
    assert given[:2] == ("κ = 100 as given", "ε = 1e-12")


def test_every_assumption_is_on_the_table():
    words = " | ".join(paper_quote(facts(), ATTOSECOND).assumptions)
    for part in (
        "Jennings et al. 2023",
        "run as QSVT",
        "one gate a query",
        "state preparation",
        "block-encoding",
        "read-out",
        "error correction",
        "alpha = d taken literally",
        "ancilla",
        "attosecond is hypothetical",
    ):
        assert part in words
    real = " | ".join(paper_quote(facts(), load_hardware("ibm_sherbrooke")).assumptions)
    assert "hypothetical" not in real


def test_a_bound_below_the_theorem_is_priced_at_its_limit_with_a_note():
    low, limit = (paper_quote(facts(kappa=k), ATTOSECOND) for k in (1.5, JENNINGS_MIN_KAPPA))
    assert low.seconds == limit.seconds
    assert low.condition_number == JENNINGS_MIN_KAPPA
    assert any("1.5" in line and "√12" in line for line in low.assumptions)
    assert not any("√12" in line for line in limit.assumptions)


def test_sparsity_can_be_given():
    assert paper_quote(facts(d=None), ATTOSECOND, sparsity=64) == paper_quote(facts(), ATTOSECOND)
    given = paper_quote(facts(d=8), ATTOSECOND, sparsity=64).quantum
    assert given is not None
    assert given.sparsity == 64


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (Facts(n=4, spectrum=Spectrum(row_sparsity=2)), "determinant bound on κ was not measured"),
        (
            Facts(n=4, spectrum=Spectrum(row_sparsity=2, bounds=(bound(3.0, method="trace"),))),
            "determinant bound on κ was not measured",
        ),
        (facts(d=None), "row sparsity of A was not measured"),
        (facts(kappa=None, log_value=993.25), "ln κ = 993.25"),
        (facts(kappa=math.inf, log_value=800.0), "ln κ = 800"),
        (facts(kappa=math.inf), "singular to rounding"),
        (facts(kappa=math.nan), "singular to rounding"),
        (facts(kappa=None, log_value=math.inf), "singular to rounding"),
        (facts(kappa=1e307), "exceeds the largest float64"),
    ],
)
def test_what_cannot_be_priced_is_refused_with_its_reason(what, words):
    quote = paper_quote(what, ATTOSECOND)
    assert quote.seconds is None
    assert quote.terms == ()
    assert quote.query_count is None
    assert words in str(quote.refused)
    assert "\n" not in str(quote.refused)


def test_a_price_beyond_float64_is_refused():
    quote = paper_quote(facts(kappa=1e290), machine(1e20))
    assert quote.seconds is None
    assert "gate time" in str(quote.refused)


@pytest.mark.parametrize("d", [0, -1, 1483])
def test_a_sparsity_outside_the_matrix(d):
    with pytest.raises(ValueError, match=rf"sparsity is {d}; it must lie between 1 and n = 1482"):
        paper_quote(facts(d=d), ATTOSECOND)
    with pytest.raises(ValueError, match="sparsity is"):
        paper_quote(facts(), ATTOSECOND, sparsity=d)


def test_an_error_outside_the_theorem():
    for epsilon in (0.0, 0.3, math.nan):
        with pytest.raises(ValueError, match=r"^epsilon is "):
            paper_quote(facts(), ATTOSECOND, epsilon=epsilon)


def test_a_bound_below_one():
    with pytest.raises(ValueError, match="must be at least 1"):
        paper_quote(facts(kappa=0.5), ATTOSECOND)


@QUICK
@given(st.floats(1e-9, 1e9), st.floats(1, 1e10))
def test_break_even_is_where_the_prices_meet(classical_seconds, kappa):
    quote = paper_quote(facts(kappa=kappa), ATTOSECOND)
    assert quote.query_count is not None
    gate_time = break_even_gate_time(classical_seconds, quote.query_count)
    at_break_even = paper_quote(facts(kappa=kappa), machine(gate_time))
    # rel: one division and one multiplication.
    assert at_break_even.seconds == pytest.approx(classical_seconds, rel=1e-15)


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, math.inf])
def test_break_even_of_an_impossible_price(seconds):
    count = jennings_2023(alpha=1, kappa=10, epsilon=0.01)
    with pytest.raises(ValueError, match=r"^classical_seconds is "):
        break_even_gate_time(seconds, count)


def test_only_the_determinant_bound_is_read_unless_another_is_named():
    bounds = (bound(5.0, method="trace"), bound(100.0))
    both = replace(facts(), spectrum=replace(facts().spectrum, bounds=bounds))
    assert paper_quote(both, ATTOSECOND) == paper_quote(facts(), ATTOSECOND)
    trace = paper_quote(both, ATTOSECOND, bound="trace")
    assert trace.condition_number == 5.0
    unknown = paper_quote(both, ATTOSECOND, bound="given")
    assert unknown.refused == "the given bound on κ was not measured"


@pytest.mark.parametrize(
    ("query_set", "algorithm", "author"),
    [
        ("paper", "jennings", "Jennings"),
        ("rigorous", "dalzell", "Dalzell"),
        ("warm-start", "qsvt", "QSVT"),
        ("optimistic", "costa", "the discrete adiabatic walk"),
        ("rigorous", "hhl", "HHL"),
    ],
)
def test_a_quote_is_named_by_the_algorithm_that_it_prices(query_set, algorithm, author):
    """It was named after QSVT, whatever was counted."""
    machine, nominal = load_hardware("qubit_gate_ns_e3"), nominal_calibration()
    audit = Audit(query_set=query_set, error_correction="closed-form")
    asked = (machine, audit, "float32", algorithm)
    quote = audited_quote(nominal, kappa_facts(100, 30.0, 4), *asked)
    assert quote.name == algorithm
    assert quote.query_count is not None
    assert quote.query_count.theorem.startswith(author)
    refused = audited_quote(nominal, Facts(n=100), *asked)
    assert (refused.seconds, refused.name) == (None, algorithm)
    paper = paper_quote(kappa_facts(100, 30.0, 4), machine, bound="given")
    assert paper.name == paper_quote(Facts(n=100), machine).name == "jennings"
    classical = cg_quote(nominal, kappa_facts(100, 30.0, 4))
    assert classical.name == classical.solver == "cg"


def test_quotes_of_older_runs_are_read_without_an_algorithm():
    quote = paper_quote(kappa_facts(100, 30.0, 4), load_hardware("photonic-ghz"), bound="given")
    older = encode(quote)
    del older["quantum"]["algorithm"]
    read = decode(Quote, older)
    assert quote.quantum is not None
    assert read == replace(quote, quantum=replace(quote.quantum, algorithm=None))
    assert read.name == "qsvt"
