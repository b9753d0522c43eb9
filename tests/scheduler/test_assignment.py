import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.records import Decision, Quote
from qnewton.scheduler.assignment import assign, assign_blocks

prices = st.floats(1e-6, 1e3)
anything = st.none() | st.floats()
NO_PRICES = (math.nan, math.inf, -math.inf, -1.0, None)


def _makespan(classical, quantum, machines, n_qpus):
    loads = [0.0] * (n_qpus + 1)
    for c, q, machine in zip(classical, quantum, machines, strict=True):
        loads[machine] += c if machine == 0 else q
    return max(loads)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(prices, prices), min_size=1, max_size=6), st.integers(0, 2))
def test_no_assignment_of_few_blocks_is_done_sooner(pairs, n_qpus):
    classical, quantum = zip(*pairs, strict=True)
    found = assign(classical, quantum, n_qpus)
    every = itertools.product(range(n_qpus + 1), repeat=len(pairs))
    best = min(_makespan(classical, quantum, machines, n_qpus) for machines in every)
    # rel: sums of the same numbers in another order.
    assert found.makespan == pytest.approx(best, rel=1e-12)
    assert found.lower_bound <= found.makespan * (1 + 1e-12)
    assert _makespan(classical, quantum, found.machines, n_qpus) == pytest.approx(found.makespan)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(prices, prices), min_size=15, max_size=60), st.integers(1, 3))
def test_many_blocks_end_no_later_than_on_one_machine_alone(pairs, n_qpus):
    classical, quantum = zip(*pairs, strict=True)
    found = assign(classical, quantum, n_qpus)
    assert found.makespan <= sum(min(pair) for pair in pairs) * (1 + 1e-12)
    assert found.lower_bound <= found.makespan * (1 + 1e-12)


def test_a_block_without_a_quantum_price_stays_classical():
    assert assign([1.0, 9.0], [None, 1.0]).machines == (0, 1)


def test_no_blocks_take_no_time():
    assert assign([], []).makespan == 0.0


@pytest.mark.parametrize(
    ("classical", "quantum", "n_qpus", "said"),
    [
        ([1.0], [1.0, 2.0], 1, "1 classical prices and 2 quantum ones"),
        ([1.0], [1.0], -1, "n_qpus is -1"),
        ([None], [None], 1, "block 0 has no price"),
        ([None], [1.0], 0, "block 0 has no price"),
    ],
)
def test_what_cannot_be_assigned_is_one_line(classical, quantum, n_qpus, said):
    with pytest.raises(ValueError, match=said):
        assign(classical, quantum, n_qpus)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(anything, anything), min_size=1, max_size=20), st.integers(0, 3))
def test_any_numbers_end_and_no_block_goes_where_it_has_no_price(pairs, n_qpus):
    classical, quantum = zip(*pairs, strict=True)
    offered = (pair if n_qpus else pair[:1] for pair in pairs)
    if any(all(p is None or not 0 <= p < math.inf for p in offers) for offers in offered):
        with pytest.raises(ValueError, match="no price on any machine"):
            assign(classical, quantum, n_qpus)
        return
    found = assign(classical, quantum, n_qpus)
    for block, machine in enumerate(found.machines):
        price = classical[block] if machine == 0 else quantum[block]
        assert price is not None
        assert 0 <= price < math.inf
    assert not math.isnan(found.makespan)


@pytest.mark.parametrize("price", NO_PRICES)
@pytest.mark.parametrize("n_blocks", [2, 20])  # exact, and improved by single moves
def test_nan_and_its_like_are_no_price(price, n_blocks):
    assert set(assign([price] * n_blocks, [1.0] * n_blocks, 2).machines) == {1, 2}
    assert set(assign([1.0] * n_blocks, [price] * n_blocks, 2).machines) == {0}
    said = "none" if price is None else f"{price} s"
    with pytest.raises(ValueError, match=f"block 0 has no price on any machine: found {said} and"):
        assign([price] * n_blocks, [price] * n_blocks)


def test_prices_whose_sum_overflows_end_and_stay_where_there_is_a_price():
    found = assign([1.7e308] * 3, [None] * 3)
    assert (found.machines, found.makespan) == ((0, 0, 0), math.inf)
    found = assign([None] * 3, [1.7e308] * 3)
    assert (found.machines, found.makespan) == ((1, 1, 1), math.inf)


@pytest.mark.parametrize("price", NO_PRICES)
def test_blocks_with_a_nan_quote_go_to_the_solver_with_a_price(price):
    def quote(solver, machine, seconds):
        return Quote(solver=solver, machine=machine, seconds=seconds, model="", hardware="")

    quotes = (
        quote("cg", "classical", price),
        quote("lu", "classical", 2.0),
        quote("qsvt", "quantum", price),
    )
    block = Decision(chosen="lu", quotes=quotes, policy="hybrid", reason="")
    decided, found = assign_blocks([block, block])
    assert [decision.chosen for decision in decided] == ["lu", "lu"]
    assert found.makespan == 4.0
