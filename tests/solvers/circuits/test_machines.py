"""Circuits in other forms: a machine's gates, OpenQASM, pictures, and what shots leave of them."""

import math
from pathlib import Path

import numpy as np
import pytest
from qiskit import QuantumCircuit, qasm3
from qiskit.circuit.library import UnitaryGate
from qiskit.primitives import StatevectorSampler
from qiskit.quantum_info import Operator, Statevector
from qiskit_aer import AerSimulator
from qiskit_aer.primitives import SamplerV2 as AerSampler

from qnewton.solvers.quantum import Clock
from qnewton.solvers.quantum.circuits import (
    SolverCircuit,
    amplified,
    check_drawing,
    check_fits,
    counted,
    drawing,
    drawn,
    exported,
    named_backend,
    sampled,
    sampling,
    solver_circuit,
    transpiled,
    transpiling,
)
from qnewton.solvers.quantum.circuits.oracle import Oracle
from qnewton.solvers.quantum.circuits.transpiling import in_basis, with_oracles_built
from tests.cases import draw, geometric, with_spectrum

ATTEMPTS = {
    "hhl": {"clock": Clock(qubits=3)},
    "hhl by calls": {"clock": Clock(qubits=2), "epsilon": 0.3, "encoding": "dense"},
    "qsvt": {"epsilon": 0.3},
    "dalzell": {"epsilon": 0.5, "norm": 1.0},
    "sparse": {"epsilon": 0.5, "encoding": "sparse"},
    "low_rank": {"epsilon": 0.5, "encoding": "low_rank"},
}

EACH = [
    pytest.param(name, marks=pytest.mark.slow if name == "hhl by calls" else ())
    for name in sorted(ATTEMPTS)
]


def attempt(name: str, n: int = 2) -> SolverCircuit:
    matrix = with_spectrum(geometric(n, 2.0, indefinite=True, seed=2), 2)
    first = name.split()[0]
    algorithm = first if first in ("hhl", "dalzell") else "qsvt"
    return solver_circuit(matrix, draw(n, seed=3), algorithm, **ATTEMPTS[name])  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def machine():
    return named_backend("fake_manila")


def overlap(one: QuantumCircuit, other: QuantumCircuit) -> float:
    return float(abs(np.vdot(Statevector(one).data, Statevector(other).data)))


@pytest.mark.parametrize("name", EACH)
def test_what_is_exported_loads_again_as_the_same_circuit(name):
    circuit = attempt(name, 3).circuit
    assert overlap(qasm3.loads(exported(circuit)), circuit) == pytest.approx(1.0, abs=1e-10)


def test_an_oracle_is_defined_once_however_often_it_is_called():
    text = exported(attempt("qsvt").circuit)
    assert text.count("gate block_encoding ") == 1
    assert text.count("gate block_encoding_dg ") == 1


# Swapped qubits are what a transpiler likes to leave to whoever reads the circuit.
@pytest.mark.parametrize("seed", range(4))
def test_built_oracles_are_the_matrices_they_stand_for(seed):
    order = np.random.default_rng(seed).permutation(8)
    circuit = QuantumCircuit(3)
    circuit.append(Oracle("index", np.eye(8)[order]), [0, 1, 2])
    built = with_oracles_built(circuit)
    np.testing.assert_allclose(np.asarray(Operator(built)), np.eye(8)[order], atol=1e-10)
    assert not any(isinstance(each.operation, Oracle) for each in built.data)


def test_counts_of_a_circuit_and_of_a_machine(machine):
    circuit = attempt("qsvt").circuit
    written, made = counted(circuit), counted(circuit, machine)
    assert written.registers == {"system": 1, "ancilla": 1, "branch": 1}
    assert written.qubits == 3
    assert written.by_name["block_encoding"] >= 1
    assert written.gates == sum(written.by_name.values())
    assert made.larger_gates == 0
    assert made.two_qubit_gates == made.by_name["cx"]
    assert made.gates > written.gates
    assert made.depth > written.depth
    again = transpiled(circuit, machine)
    assert dict(made.by_name) == dict(again.count_ops())
    assert 3 <= made.qubits <= machine.num_qubits


def test_measurements_and_barriers_are_no_gates():
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.barrier()
    circuit.measure([0, 1], [0, 1])
    found = counted(circuit)
    assert (found.qubits, found.depth, found.gates, dict(found.by_name)) == (1, 1, 1, {"h": 1})


def test_a_machine_that_is_too_small_is_refused_before_an_oracle_is_built(machine, monkeypatch):
    monkeypatch.setattr(transpiling, "with_oracles_built", None)
    said = r"needs 6 qubits and fake_manila has 5; take a larger machine"
    with pytest.raises(ValueError, match=said):
        transpiled(attempt("low_rank").circuit, machine)
    with pytest.raises(ValueError, match=said):
        check_fits(6, machine)


def test_too_many_gates_are_refused_before_an_oracle_is_built(machine, monkeypatch):
    circuit = attempt("qsvt").circuit
    monkeypatch.setattr(transpiling, "with_oracles_built", None)
    monkeypatch.setattr(transpiling, "MOST_GATES", 10)
    for refused in (transpiled, lambda c, _: in_basis(c), lambda c, _: exported(c)):
        with pytest.raises(ValueError, match=r"gates of a machine or more, and 10 are"):
            refused(circuit, machine)


def test_the_least_gates_are_fewer_than_those_that_are_built():
    circuit = QuantumCircuit(4)
    circuit.append(UnitaryGate(np.eye(16)[::-1]), range(4))
    least = transpiling._least_gates(circuit.data[0].operation)
    assert least == 4**4
    random = Oracle("U", np.asarray(Operator(attempt("qsvt").circuit)))
    single = QuantumCircuit(3)
    single.append(random, range(3))
    built = with_oracles_built(single).data[0].operation.definition
    assert transpiling._least_gates(random) == 4**3
    assert len(built.data) >= 4**3 / 2


def test_a_machine_that_nobody_knows_is_one_line():
    for name in ("ibm_somewhere", "fake_nothing", "sherbrooke"):
        with pytest.raises(ValueError, match=f"backend '{name}' is not known; give a model"):
            named_backend(name)


@pytest.mark.parametrize("name", EACH)
def test_shots_read_the_state_with_its_signs(name):
    single = attempt(name)
    read = sampled(single, 200_000, seed=1)
    chance = float(single.image @ single.image)
    state = single.image / math.sqrt(chance)
    assert read.vector is not None
    assert np.linalg.norm(read.vector - state) <= 0.03
    # Four standard deviations of a binomial share.
    assert (
        abs(read.success_probability - chance) <= 4 * math.sqrt(chance * (1 - chance) / 1e5) + 1e-9
    )
    assert read.counts.sum() == read.successes
    again = sampled(single, 200_000, seed=1)
    np.testing.assert_array_equal(again.vector, read.vector)


@pytest.mark.slow
def test_a_sampler_a_machine_and_the_exact_distribution_agree(machine):
    single = attempt("qsvt")
    state = single.image / np.linalg.norm(single.image)
    runs = {
        "sampler": StatevectorSampler(seed=1),
        "sampler of machine gates": AerSampler(seed=1),
        "machine": AerSimulator(seed_simulator=1),
    }
    for name, backend in runs.items():
        read = sampled(single, 100_000, backend, seed=1)  # type: ignore[arg-type]
        assert read.vector is not None
        assert np.linalg.norm(read.vector - state) <= 0.03, name


@pytest.mark.slow
def test_noise_leaves_less_and_repeats_itself(machine):
    single = attempt("qsvt")
    chance = float(single.image @ single.image)
    noisy = sampled(single, 4_000, machine, seed=1)
    again = sampled(single, 4_000, machine, seed=1)
    np.testing.assert_array_equal(noisy.counts, again.counts)
    assert abs(noisy.success_probability - chance) > 0.02
    from qiskit_ibm_runtime.executor_sampler import Sampler

    # What a machine is given to: its provider's sampler, which names the machine.
    given = sampled(single, 4_000, Sampler(mode=machine))
    assert given.success_probability == pytest.approx(noisy.success_probability, abs=0.06)


def test_noise_that_takes_too_long_is_refused_before_it_is_simulated(machine, monkeypatch):
    monkeypatch.setattr(sampling, "MOST_NOISE", 1_000)
    with pytest.raises(ValueError, match=r"on 3 qubits is not simulated: 500 shots take about"):
        sampled(attempt("qsvt"), 1_000, machine)
    # A sampler simulates, or does not: nobody knows.
    assert sampled(attempt("qsvt"), 1_000, StatevectorSampler()).successes


def test_shots_that_never_succeed_leave_nothing():
    circuit = QuantumCircuit(2)
    circuit.x(1)
    failed = SolverCircuit(circuit, [circuit.qubits[0]], {circuit.qubits[1]: 0}, 2)
    read = sampled(failed, 10, seed=0)
    assert (read.successes, read.vector, read.magnitudes) == (0, None, None)


def test_shots_have_limits(machine):
    single = attempt("qsvt")
    for shots, backend in ((1, None), (2**62 + 1, None), (10_000_001, machine)):
        with pytest.raises(ValueError, match=f"shots is {shots}; it must be from 2 to"):
            sampled(single, shots, backend)


def test_outcomes_beyond_the_unknowns_have_failed():
    circuit = QuantumCircuit(3)
    circuit.h([0, 1])
    single = SolverCircuit(circuit, circuit.qubits[:2], {circuit.qubits[2]: 0}, 3)
    read = sampled(single, 40_000, seed=0)
    assert read.success_probability == pytest.approx(0.75, abs=0.01)
    assert read.counts.shape == (3,)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".txt"])
def test_drawings(suffix, tmp_path):
    single = amplified(attempt("hhl"), 3)
    path = drawn(single.circuit, tmp_path / f"circuit{suffix}")
    begins = {".png": b"\x89PNG", ".svg": b"<?xml", ".txt": b"global phase"}
    assert path.read_bytes().startswith(begins[suffix])
    if suffix == ".txt":
        text = path.read_text(encoding="utf-8")
        left_out = len(single.circuit.data) - 48
        assert f"{left_out:,} more gates" in text
        assert "Ucry" not in text  # its angles would fill the page
        assert not any(line.endswith(" ") for line in text.splitlines())


def test_a_short_circuit_is_drawn_whole(tmp_path):
    text = drawn(attempt("hhl").circuit, tmp_path / "a.txt").read_text(encoding="utf-8")
    assert "more gates" not in text
    assert "clock_2" in text


def test_what_cannot_be_drawn_is_one_line(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"its name must end in .png, .svg, .txt"):
        check_drawing(tmp_path / "circuit.pdf")
    with pytest.raises(ValueError, match="there is no folder"):
        check_drawing(tmp_path / "none" / "circuit.txt")
    monkeypatch.setattr(drawing, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"matplotlib and pylatexenc, not installed .* \.txt"):
        check_drawing(Path("circuit.png"))
    check_drawing(tmp_path / "circuit.txt")
