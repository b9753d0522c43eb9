"""Training by circuits beside the emulator: what the benchmark compares, and what it found."""

import json
import math
from dataclasses import replace

import pytest
import torch

from benchmarks.circuit_training import SHOTS, STEPS, digits, largest_difference, lines, toy
from benchmarks.harness.results import FOLDER, read_rows
from qnewton.solvers.quantum import Readout


def test_the_blocks_have_two_to_sixteen_unknowns() -> None:
    for problem, sizes in ((toy(), [16, 4, 8, 2]), (digits(), [15, 3, 9, 3])):
        found = replace(problem, steps=1).trained("emulator")
        assert [len(direction) for direction in found.directions] == sizes
    for unknowns in (2, 4):
        found = replace(lines(unknowns, 1.0), steps=2).trained("circuit", Readout(shots=1_000))
        assert [len(direction) for direction in found.directions] == [unknowns] * 2
        assert len(found.losses) == len(found.queries) == 2
        assert all(0.0 < angle < 0.3 for angle in found.angles)


def test_a_difference_is_relative_to_the_first_of_both() -> None:
    ones, others = [torch.tensor([3.0, 4.0]), torch.ones(1)], [torch.tensor([3.0, 3.0])]
    assert largest_difference(ones[:1], others) == pytest.approx(0.2)
    assert largest_difference(ones, [*others, 2 * torch.ones(1)]) == 1.0


def test_what_was_recorded_holds_what_the_gallery_draws() -> None:
    assert {row.verdict for row in read_rows("circuit_training")} == {"met", ""}
    facts = json.loads((FOLDER / "circuit_training.json").read_text(encoding="utf-8"))["facts"]
    assert [*facts["shots"]] == ["exact", *map(str, SHOTS)]
    assert all(len(run["losses"]) == STEPS for run in facts["shots"].values())
    for case in facts["noise"]:
        for run in (case[name] for name in ("exact", "shots", "noise")):
            assert len(run["losses"]) == len(run["angles"]) + len(run["refused"])
            assert all(math.isfinite(loss) for loss in run["losses"])
