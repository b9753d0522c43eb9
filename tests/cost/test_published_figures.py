"""Figures that others published: reproduced within a stated tolerance, or listed with the reason.

Those of installed estimators are counted again where the estimator is there: Microsoft's is, and
Qualtran with PennyLane is an extra of its own (``estimators``).
"""

import math
import os
from pathlib import Path

import numpy as np
import pytest

from qnewton.queries.costa import costa_2022
from tests.cost.published import ERASURES, LOADS, SELECTS, SOURCES, Figure, figures
from tests.cost.unlike_published import Disagreement, disagreements, tables

PAGE = Path(__file__).parents[2] / "docs" / "prices-against-published.md"


@pytest.mark.parametrize("figure", figures(), ids=lambda f: f"{f.source}: {f.question}")
def test_a_published_figure_is_reproduced(figure: Figure) -> None:
    assert figure.agrees, figure


def test_there_are_enough_figures_of_enough_sources() -> None:
    found = figures()
    assert len(found) >= 20
    assert len({figure.source for figure in found}) >= 6
    assert {f.source for f in (*found, *disagreements())} == set(SOURCES)


@pytest.mark.parametrize("found", disagreements(), ids=lambda f: f"{f.source}: {f.question}")
def test_what_is_listed_as_a_disagreement_is_one(found: Disagreement) -> None:
    assert abs(found.ours - found.published) > 0.1 * found.published


def test_the_page_shows_these_tables() -> None:
    shown = PAGE.read_text(encoding="utf-8").splitlines()
    missing = [line for line in tables() if line and line not in shown]
    assert not missing, "run `python -m tests.cost.unlike_published` and paste what it prints"
    rows = [line for line in shown if line.startswith("| ")]
    assert not set(rows) - set(tables())


@pytest.mark.parametrize("kappa", [10.0, 1e3])
@pytest.mark.parametrize("constant", [1.56, 2305.0])
def test_costas_cost_is_the_least_of_the_published_formula(kappa: float, constant: float) -> None:
    """Costa et al., arXiv:2312.07690, as public notes have it, over a grid of Δ."""
    epsilon = 1e-2
    delta = np.linspace(1e-3, 1.2, 200_000)
    lost = delta**2 - delta**4 / 4
    # f ≥ (1-δ)/(1-δ+δε_f²) is the fidelity (1-ε²/2)² of a distance ε.
    fidelity = (1 - epsilon**2 / 2) ** 2
    filtered = np.sqrt((1 - lost) * (1 - fidelity) / (fidelity * lost))
    repeated = 1 / (1 - lost * (1 - filtered**2)) ** 2
    cost = kappa / 2 * np.log(2 / filtered) * (repeated + 1) + constant * kappa / delta * repeated
    ours = costa_2022(kappa=kappa, epsilon=epsilon, constant=constant, power=2)
    # rel: the grid's step, and queries that are whole numbers.
    assert ours.expected == pytest.approx(float(cost[lost < 1].min()), rel=2e-3, abs=4)


def test_q_sharps_library_counts_as_recorded() -> None:
    os.environ.setdefault("QDK_PYTHON_TELEMETRY", "none")
    qsharp = pytest.importorskip("qdk.qsharp")
    qsharp.eval(_Q_SHARP)
    for length, loaded, erased in SELECTS:
        bits = math.ceil(math.log2(length))
        alone, both = (
            qsharp.logical_counts(f"Lookup({bits}, {length}, {erase})")["cczCount"]
            for erase in ("false", "true")
        )
        assert (alone, both - alone) == (loaded, erased)
    assert qsharp.logical_counts("Add(14)")["cczCount"] == 13
    assert qsharp.logical_counts("Compare(20)")["cczCount"] == 20
    assert qsharp.logical_counts("Prepare(6)")["rotationCount"] == 63


_Q_SHARP = """
operation Lookup(bits : Int, length : Int, erase : Bool) : Unit {
    use address = Qubit[bits];
    use target = Qubit[4];
    mutable words : Bool[][] = [];
    for i in 0..length - 1 {
        set words += [Std.Convert.IntAsBoolArray((7 * i + 3) % 16, 4)];
    }
    Std.TableLookup.Select(words, address, target);
    if erase {
        Adjoint Std.TableLookup.Select(words, address, target);
    }
}

operation Add(bits : Int) : Unit {
    use (value, total) = (Qubit[bits], Qubit[bits]);
    Std.Arithmetic.RippleCarryCGIncByLE(value, total);
}

operation Compare(bits : Int) : Unit {
    use (a, b, flag) = (Qubit[bits], Qubit[bits], Qubit());
    Std.Arithmetic.ApplyIfLessLE(X, a, b, flag);
}

operation Prepare(bits : Int) : Unit {
    use state = Qubit[bits];
    mutable amplitudes : Double[] = [];
    for i in 0..2^bits - 1 {
        set amplitudes += [Std.Convert.IntAsDouble(i % 7 + 1)];
    }
    Std.StatePreparation.PreparePureStateD(amplitudes, state);
}
"""


@pytest.mark.slow
def test_qualtran_counts_as_recorded() -> None:
    pytest.importorskip("qualtran")
    from qualtran.bloqs.arithmetic.comparison import LinearDepthGreaterThan  # pyright: ignore[reportMissingImports]  # an optional extra
    from qualtran.bloqs.data_loading.qroam_clean import QROAMClean  # pyright: ignore[reportMissingImports]
    from qualtran.bloqs.rotations.phase_gradient import AddIntoPhaseGrad  # pyright: ignore[reportMissingImports]
    from qualtran.resource_counting import QECGatesCost, get_cost_value  # pyright: ignore[reportMissingImports]

    def toffoli(bloq: object) -> float:
        counts = get_cost_value(bloq, QECGatesCost()).total_t_and_ccz_count(ts_per_rotation=0)
        return counts["n_ccz"] + counts["n_t"] / 4

    for length, bits, loaded in LOADS:
        assert toffoli(QROAMClean.build_from_bitsize((length,), (bits,))) == loaded
    for length, erased in ERASURES:
        load = QROAMClean.build_from_bitsize((length,), (16,))
        assert toffoli(load.adjoint()) == erased
    assert toffoli(AddIntoPhaseGrad(14, 14)) == 12
    assert toffoli(LinearDepthGreaterThan(20, False)) == 20


@pytest.mark.slow
def test_pennylane_counts_as_recorded() -> None:
    pytest.importorskip("pennylane")
    import pennylane.estimator as estimator  # pyright: ignore[reportMissingImports]  # an optional extra

    for length, bits, loaded in LOADS:
        table = estimator.QROM(num_bitstrings=length, size_bitstring=bits, restored=False)
        counts = estimator.estimate(table).gate_counts
        assert counts["Toffoli"] == (172 if length == 1000 else loaded)
