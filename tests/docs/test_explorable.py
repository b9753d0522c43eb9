"""The explorable: what it shows at every stop is what the package and its circuits compute."""

import json
import math
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from qnewton.cli import main
from qnewton.report.quantities import number_text, seconds_text
from qnewton.solvers.quantum import Clock, Readout, emulate

pytest.importorskip("qiskit", reason="the page needs the extra quantum: its phases and its test")

from docs.explorable.build import LARGE
from docs.explorable.prices import CLASSICAL, QUANTUM
from docs.explorable.register import Complex, packed, unpacked
from docs.explorable.systems import SmallSystem
from qnewton.solvers.quantum.circuits import SolverCircuit, solver_circuit
from qnewton.solvers.quantum.circuits.solver_circuit import simulated

Systems = Mapping[int, SmallSystem]

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"

_SENT = 3e-5
"""Amplitudes are sent as 16-bit numbers."""


def tensors(system: SmallSystem) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.as_tensor(system.matrix), torch.as_tensor(system.rhs)


def agrees(stop: Any, found: Any, system: SmallSystem) -> None:
    """Compare a stop's outcome and its last stage with what ``emulate`` returns."""
    assert stop["queries"] == found.queries
    assert stop["success"] == pytest.approx(found.success_probability, rel=1e-9)
    assert stop["expected"] == pytest.approx(found.expected_queries, rel=1e-9)
    state = found.state.numpy()
    assert math.cos(math.radians(stop["off"])) == pytest.approx(float(state @ system.exact))
    last = stop["stages"][-1]
    assert last["own"]
    np.testing.assert_allclose(last["components"], state, atol=2e-6)
    np.testing.assert_allclose(
        unpacked(last["up"], system.n)[0] @ system.vectors.T, state, atol=1e-4
    )


def test_every_clock_ends_as_the_emulator_does(stops: Any, small: Systems) -> None:
    for n, system in small.items():
        matrix, rhs = tensors(system)
        for stop in stops[n]["hhl"]:
            clock = Clock(qubits=stop["qubits"])
            agrees(stop, emulate(matrix, rhs, "hhl", clock=clock), system)


def test_every_degree_ends_as_the_emulator_does(stops: Any, small: Systems) -> None:
    for n, system in small.items():
        matrix, rhs = tensors(system)
        degrees = [stop["degree"] for stop in stops[n]["qsvt"]]
        assert degrees == list(range(degrees[0], degrees[-1] + 1, 2))
        for stop in stops[n]["qsvt"]:
            found = emulate(matrix, rhs, epsilon=stop["bound"] * (1 + 1e-6))
            agrees(stop, found, system)
            factors = np.array(stop["factors"])
            np.testing.assert_allclose(
                factors * stop["height"] * np.array(stops[n]["values"]) / stop["alpha"],
                1.0,
                atol=stop["bound"] * (1 + 1e-6),
            )


def test_errors_fall_as_the_captions_say(stops: Any) -> None:
    for story in stops.values():
        kappa = story["qsvt"][0]["kappa"]
        for before, after in pairwise(stop["bound"] for stop in story["qsvt"]):
            assert after / before == pytest.approx((kappa - 1) / (kappa + 1))
        # Over many stops they fall; one more may do harm.
        for algorithm, many in (("hhl", 2), ("qsvt", 5)):
            errors = [stop["off"] for stop in story[algorithm]]
            assert all(b < a for a, b in zip(errors, errors[many:], strict=False))
    for algorithm in ("hhl", "qsvt"):
        assert any(b["off"] > a["off"] for a, b in pairwise(stops[4][algorithm]))


def test_every_reading_is_the_read_out_s(stops: Any, small: Systems) -> None:
    for n, system in small.items():
        matrix, rhs = tensors(system)
        for row in stops[n]["readout"]["rows"]:
            asked = Readout(method="amplitude", shots=row["shots"], seed=0)
            found = emulate(matrix, rhs, epsilon=1e-3, readout=asked, mode="eigen")
            assert found.measurement is not None
            np.testing.assert_allclose(row["vector"], found.measurement.vector, atol=2e-6)


def after(circuit: SolverCircuit, gates: int) -> Complex:
    """Return all amplitudes after the first so many gates; the system's qubits come last."""
    begun = circuit.circuit.copy_empty_like()
    for instruction in circuit.circuit.data[:gates]:
        begun.append(instruction)
    return simulated(begun).data.reshape(-1, circuit.n)


@pytest.mark.parametrize(("n", "qubits"), [(4, 2), (4, 5), (16, 4)])
def test_each_stage_of_hhl_is_the_circuit_s(
    stops: Any, small: Systems, n: int, qubits: int
) -> None:
    system, size = small[n], 2**qubits
    circuit = solver_circuit(*tensors(system), "hhl", clock=Clock(qubits=qubits))
    [stop] = [stop for stop in stops[n]["hhl"] if stop["qubits"] == qubits]
    # U_b; Hadamard gates; evolutions; Fourier transform; rotation; everything undone.
    ends = [1, 1 + qubits, 1 + 2 * qubits, 2 + 2 * qubits, 3 + 2 * qubits, None]
    for stage, end in zip(stop["stages"][:-1], ends, strict=True):
        amplitudes = after(circuit, len(circuit.circuit.data) if end is None else end)
        low, high = amplitudes[:size], amplitudes[size:]
        shown = {
            key: stage[key] and unpacked(stage[key], n) @ system.vectors.T for key in ("up", "down")
        }
        # A flag that was not touched is 0, and success is 1.
        expected = {"up": low, "down": None} if shown["down"] is None else {"up": high, "down": low}
        for key, wanted in expected.items():
            if wanted is not None:
                np.testing.assert_allclose(shown[key], wanted, atol=_SENT * n)
        if not stage["own"]:
            sizes = np.linalg.norm(amplitudes, axis=0)
            np.testing.assert_allclose(stage["components"], sizes, atol=2e-6)


@pytest.mark.parametrize("n", [4, 16])
def test_each_call_of_qsvt_is_the_circuit_s(stops: Any, small: Systems, n: int) -> None:
    system, stop = small[n], stops[n]["qsvt"][2]
    circuit = solver_circuit(*tensors(system), epsilon=stop["bound"] * (1 + 1e-6))
    assert circuit.queries == stop["degree"]
    calls = unpacked(stop["calls"], n) @ system.vectors.T
    for call in range(stop["degree"] + 1):
        # U_b, a Hadamard gate, a rotation; then a call and a rotation each. Rows: branch, ancilla.
        amplitudes = after(circuit, 3 + 2 * call)
        shown = calls[2 * call : 2 * call + 2]
        np.testing.assert_allclose(math.sqrt(2) * amplitudes[:2], shown, atol=_SENT * n)
        np.testing.assert_allclose(math.sqrt(2) * amplitudes[2:], shown.conj(), atol=_SENT * n)
    interfered = stop["stages"][4]
    np.testing.assert_allclose(
        unpacked(interfered["up"], n)[0] @ system.vectors.T, circuit.image, atol=_SENT * n
    )


def test_links_lead_to_pages_that_are_built(explorable: Path) -> None:
    text = explorable.read_text(encoding="utf-8")
    links = re.findall(r'href="(?!#|data:)([^"]*)"', text)
    assert len(links) >= 5
    for link in (link.partition("#")[0] for link in links):
        example = link.replace("auto_gallery/", "gallery/").replace(".html", ".py")
        sources = (DOCS / link.replace(".html", ".md"), DOCS / example)
        assert any(source.is_file() for source in sources), link


def test_packing_keeps_amplitudes() -> None:
    generator = np.random.default_rng(0)
    amplitudes = generator.uniform(-1, 1, (5, 3)) + 1j * generator.uniform(-1, 1, (5, 3))
    np.testing.assert_allclose(unpacked(packed(amplitudes), 3), amplitudes, atol=_SENT)


def test_prices_are_those_of_the_commands(
    explorable: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = explorable.read_text(encoding="utf-8")
    n, kappa, sparsity = LARGE
    command = ["price", "--n", str(n), "--kappa", f"{kappa:g}", "--sparsity", str(sparsity)]
    command += ["--hardware", QUANTUM, "--calibration", CLASSICAL, "--rivals", CLASSICAL]
    assert f"<code>qnewton {' '.join(command)}</code>" in text
    assert main(command) == 0
    verdict = " ".join(capsys.readouterr().out.split()[:60])
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    [audited] = [quote for quote in found["audited"] if quote["hardware"] == QUANTUM]
    rivals = [q["seconds"] for q in found["quotes"] if q["hardware"] == CLASSICAL and q["seconds"]]
    cells = re.findall(r"<td>([^<]*)</td>", text)
    assert seconds_text(audited["seconds"]) in cells
    assert seconds_text(min(rivals)) in cells
    times = number_text(audited["seconds"] / min(rivals))
    assert times in text
    assert f"on {CLASSICAL} takes" in verdict
    assert f"on {QUANTUM} (hypothetical) takes" in verdict
    assert f"{times} times as long" in verdict
    # The formula for reading, with the whole error and with the share that the note names.
    for unknowns in (n, 16):
        assert f"{Readout(tolerance=0.1).shots_for(unknowns):,}" in text
    [share] = re.findall(r"share of the error, ([\d.]+) for", text)
    states = (3 + 8 / math.sqrt(n)) * n / (2 * float(share) ** 2)
    assert f"{states:,.0f}" in cells
    assert main(["replay", "recorded", "--json"]) == 0
    replayed = json.loads(capsys.readouterr().out)
    [verdict] = re.findall(r'id="verdict">(.*?)</p>', text)
    runs = replayed["runs"]
    wins, priced = (sum(run[key] for run in runs) for key in ("quantum_wins", "priced"))
    assert f"cheaper in {wins} of {priced} solves" in verdict
    nearest = max(runs, key=lambda run: run["times"])
    assert f"nearest on {nearest['run']}:" in verdict
    assert f"{number_text(1 / nearest['times'])} times faster" in verdict
    assert f"gates of {number_text(nearest['gate_time_s'])} s." in verdict
    for run in runs:
        assert f"<td>{run['quantum_wins']} of {run['priced']}</td>" in text
