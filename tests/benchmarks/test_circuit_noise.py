"""The benchmark of noisy circuits: its machines, its density matrices, and what the page says."""

import json
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("qiskit_aer")
pytest.importorskip("qiskit_ibm_runtime")

from qiskit_aer.noise import NoiseModel

from benchmarks.circuit_machines import DEVICE, machine, noisy, perfect
from benchmarks.circuit_noise import CHOICES, FACTORS, READINGS
from benchmarks.circuit_systems import newton_systems
from benchmarks.harness.results import FOLDER
from qnewton.solvers.quantum import Clock
from qnewton.solvers.quantum.circuits import named_backend, solver_circuit, transpiled


@pytest.fixture(scope="module")
def facts():
    return json.loads((FOLDER / "circuit_noise.json").read_text(encoding="utf-8"))["facts"]


def test_a_hypothetical_machine_errs_less_and_what_is_broken_stays_so():
    today: Any = named_backend(DEVICE).target
    better: Any = machine(100).target
    for qubits, properties in today["ecr"].items():
        expected = properties.error if properties.error >= 1.0 else properties.error / 100
        assert better["ecr"][qubits].error == pytest.approx(expected)
        assert better["ecr"][qubits].duration == properties.duration
    pairs = zip(today.qubit_properties, better.qubit_properties, strict=True)
    for one, other in pairs:
        assert (other.t1, other.t2) == pytest.approx((100 * one.t1, 100 * one.t2))


@pytest.mark.parametrize("algorithm", ["qsvt", "hhl"])
def test_without_errors_a_machine_leaves_what_perfect_gates_leave(algorithm):
    matrix = torch.tensor([[2.0, 1.0], [1.0, -3.0]]).double()
    rhs, exact = torch.tensor([3.0, -2.0]).double(), np.array([0.5, 0.5]) ** 0.5
    attempt = solver_circuit(matrix, rhs, algorithm, epsilon=0.3, clock=Clock(qubits=3))
    device = named_backend("fake_manila")
    on_machine = transpiled(attempt.circuit, device)
    whole = perfect(attempt, exact)
    left = noisy(attempt, on_machine, NoiseModel(), exact)
    assert left.fidelity == pytest.approx(whole.fidelity, abs=1e-10)
    assert left.success_probability == pytest.approx(whole.success_probability, abs=1e-10)
    with_errors = noisy(attempt, on_machine, NoiseModel.from_backend(device), exact)
    assert 0.5 < with_errors.fidelity < whole.fidelity


def test_the_record_is_that_of_the_circuits_named_now(facts):
    for n, choices in CHOICES.items():
        circuits = facts[str(n)]["circuits"]
        assert [found["title"] for found in circuits] == [choice.title for choice in choices]
        for found in circuits:
            if found["title"].startswith("QSVT"):
                assert found["title"] == f"QSVT, degree {found['queries']}"
            assert [int(factor) for factor in found["noisy"]] == list(FACTORS)
            assert len(found.get("read", range(READINGS))) == READINGS


def test_the_record_is_that_of_the_systems_solved_now(facts):
    for n, system in newton_systems().items():
        assert facts[str(n)]["kappa"] == pytest.approx(system.kappa, rel=1e-3)
        found = facts[str(n)]["gradient_fidelity"]
        assert found == pytest.approx(system.gradient_fidelity, rel=1e-3)


def fidelities(facts, n, factor):
    return {c["title"]: c["noisy"][str(factor)]["fidelity"] for c in facts[str(n)]["circuits"]}


def test_the_page_s_sentences_hold(facts):
    four, sixteen = fidelities(facts, 4, 1), fidelities(facts, 16, 1)
    gradient = {n: facts[str(n)]["gradient_fidelity"] for n in (4, 16)}
    # "The shortest is the best, and none reaches what the negative gradient has for nothing."
    shortest = min(facts["4"]["circuits"], key=lambda c: c["two_qubit_gates"])["title"]
    assert max(four, key=lambda title: four[title]) == shortest == "QSVT, degree 3"
    assert max(four.values()) < gradient[4]
    # "QSVT's readings lie on both sides of the negative gradient, HHL's all below it."
    read = {c["title"]: c["read"] for c in facts["4"]["circuits"] if "read" in c}
    cosines = [[each["cosine"] for each in readings] for readings in read.values()]
    (qsvt, hhl), gradient_cosine = cosines, gradient[4] ** 0.5
    assert list(read) == ["QSVT, degree 3", "HHL, clock of 4 qubits"]
    assert min(qsvt) < gradient_cosine < max(qsvt)
    assert max(hhl) < gradient_cosine
    # "At 16 unknowns they leave a blind guess, a fidelity of 0.06."
    assert all(round(found, 2) == 0.06 for found in sixteen.values())
    # "For these two circuits of 4 unknowns, a factor of ten is enough."
    assert all(fidelities(facts, 4, 10)[title] > gradient[4] for title in read)
    # "For 16 unknowns it takes a hundred for HHL and more for QSVT."
    by_hhl, by_qsvt = "HHL, clock of 4 qubits", "QSVT, degree 15"
    assert fidelities(facts, 16, 10)[by_hhl] < gradient[16] < fidelities(facts, 16, 100)[by_hhl]
    assert fidelities(facts, 16, 100)[by_qsvt] < gradient[16] < fidelities(facts, 16, 1000)[by_qsvt]


def test_signs_take_several_times_as_many_gates(facts):
    read = [found for found in facts["4"]["circuits"] if "read" in found]
    assert len(read) == 2
    for found in read:
        assert found["two_qubit_gates_for_signs"] > 3 * found["two_qubit_gates"]
