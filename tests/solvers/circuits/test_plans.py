"""What is known of a circuit before it is built: its width, and that it is within the limits."""

import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.solvers.quantum import Clock, SystemRefused
from qnewton.solvers.quantum.circuits import ENCODERS, planned
from tests.cases import draw, geometric, with_spectrum


@settings(deadline=None, max_examples=20)
@given(
    n=st.integers(1, 6),
    algorithm=st.sampled_from(["hhl", "qsvt", "dalzell"]),
    encoding=st.sampled_from([None, *sorted(ENCODERS)]),
    norm=st.sampled_from([None, 1.0]),
    diagonal=st.booleans(),
)
def test_the_circuit_has_the_planned_qubits(n, algorithm, encoding, norm, diagonal):
    spectrum = geometric(n, 1.5 if n > 1 else 1.0, indefinite=n > 1, seed=n)
    matrix = torch.diag(spectrum) if diagonal else with_spectrum(spectrum, n)
    clock = Clock(qubits=2)
    norm = norm if algorithm == "dalzell" else None
    if algorithm == "hhl" and encoding is not None:
        encoding = "dense"
    plan = planned(
        matrix, draw(n, seed=n), algorithm, 0.5, norm=norm, encoding=encoding, clock=clock
    )
    for attempt in plan.attempts():
        assert attempt.circuit.num_qubits == plan.qubits


@pytest.mark.parametrize(
    ("n", "options", "says"),
    [
        (257, {}, "257 unknowns; circuits encode at most 256"),
        (
            4,
            {"kappa": 1e4, "epsilon": 1e-3},
            "calls of the block-encoding, above a circuit's limit",
        ),
        (4, {"algorithm": "hhl", "clock": Clock(qubits=13)}, "13 qubits, above a circuit's limit"),
        (2, {"encoding": "given"}, "encoding 'given' is not known; known: dense, sparse"),
    ],
)
def test_what_is_out_of_reach_is_one_line_before_anything_is_built(n, options, says, monkeypatch):
    def build(*_):
        raise AssertionError("an encoding was built")

    for encoder in ENCODERS.values():
        monkeypatch.setattr(encoder, "encode", build)
    with pytest.raises(ValueError, match=re.escape(says)) as raised:
        planned(torch.eye(n, dtype=torch.float64), draw(n), **options)
    assert "\n" not in str(raised.value)


def test_a_broken_promise_of_the_entries_keeps_its_outcome():
    with pytest.raises(SystemRefused, match="singular"):
        planned(torch.diag(torch.tensor([1.0, 0.0])).double(), draw(2))
