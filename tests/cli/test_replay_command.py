"""``qnewton replay`` of recorded runs: who wins first, then the table, details where asked."""

import json
from typing import Any

import pytest

from qnewton.cli import main
from qnewton.cli.replay import _show
from qnewton.experiments.replay import Replayed, own_settings
from qnewton.runs import recorded


def replayed(words: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["replay", *words.split()]) == 0
    return capsys.readouterr().out


def test_the_winner_comes_first_and_details_where_asked(capsys) -> None:
    said = replayed("recorded/digits --policy paper", capsys)
    assert said.startswith("At the paper's price qubit_gate_ns_e3 (hypothetical) wins 0 of 15 ")
    assert max(map(len, said.splitlines())) <= 80
    assert "Rows with different ones do not compare" in " ".join(said.split())
    assert "changed" not in said
    full = replayed("recorded/digits --policy paper -v", capsys)
    assert "changed" in full
    assert full == replayed("recorded/digits --policy paper --verbose", capsys)


def test_what_measuring_the_matrices_costs_is_part_of_the_price(capsys) -> None:
    rows: dict[str, dict[str, Any]] = {}
    for policy in ("paper", "classical-only"):
        (row,) = json.loads(replayed(f"recorded/digits --policy {policy} --json", capsys))["rows"]
        rows[policy] = row
    paid = rows["paper"]["modelled_survey_seconds"]
    assert 0 < paid < rows["paper"]["modelled_seconds"]
    assert rows["classical-only"]["modelled_survey_seconds"] == 0
    # Every solve goes to LU inversion, so that measuring is all that the two differ in.
    assert rows["paper"]["decisions"] == rows["classical-only"]["decisions"]
    difference = rows["paper"]["modelled_seconds"] - rows["classical-only"]["modelled_seconds"]
    assert difference == pytest.approx(paid)


@pytest.mark.parametrize("verbose", [False, True])
def test_a_refusal_and_a_missing_price_fit_the_terminal(verbose, capsys) -> None:
    (run,) = recorded("digits")
    refused = "policy 'ours' has no quantum price to choose (qsvt: the machine is too small)"
    rows = [
        Replayed(policy="ours", refusal=refused),
        Replayed(policy="paper", quantum_price="paper's", unpriced_steps=3, solves=15),
    ]
    _show(run, "recorded/digits", own_settings(run), rows, verbose=verbose)
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    flat = " ".join(said.split())
    assert "refused" in flat
    assert "too small" in flat
    assert "unknown" in flat


def test_several_runs_begin_with_the_verdict(capsys) -> None:
    said = replayed("recorded/digits --cost-model paper --hardware photonic-thz", capsys)
    first, _, rest = said.partition("1 runs priced again")
    assert first.startswith("On photonic-thz the quantum solver is cheaper in ")
    assert "who would solve what" not in rest
    words = "recorded/digits --cost-model paper --hardware photonic-thz -v"
    assert "who would solve what" in replayed(words, capsys)


def test_a_machine_whose_errors_are_replaced_is_hypothetical(capsys) -> None:
    words = "recorded/digits --policy hybrid --hardware ibm_sherbrooke"
    assert "ibm_sherbrooke wins" in replayed(words, capsys)
    words += " --physical-error 1e-4"
    assert "ibm_sherbrooke (hypothetical) wins" in replayed(words, capsys)
    assert json.loads(replayed(f"{words} --json", capsys))["hypothetical"]
