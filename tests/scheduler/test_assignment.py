import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.scheduler.assignment import assign

prices = st.floats(1e-6, 1e3)


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
