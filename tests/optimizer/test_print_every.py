"""``print_every``: one line of every k-th step's record, and nothing else."""

import copy

import pytest
import torch
from torch import nn

from qnewton import QNewton


def quadratic(**settings):
    w = nn.Parameter(torch.tensor([3.0, -2.0], dtype=torch.float64))
    return w, QNewton([w], **settings), lambda: ((w - 1) ** 4).sum()


@pytest.mark.parametrize("damping", ["auto", 0.1])
def test_every_third_step_prints_its_record(capsys, damping):
    _, optimizer, closure = quadratic(print_every=3, damping=damping)
    for _ in range(7):
        optimizer.step(closure)
    printed = capsys.readouterr().out.splitlines()
    assert printed == [str(optimizer.records[k]) for k in (0, 3, 6)]
    assert [line.split(" loss ")[0] for line in printed] == ["step 0:", "step 3:", "step 6:"]


def test_nothing_is_printed_by_default_nor_about_steps_that_leave_no_record(capsys):
    _, silent, closure = quadratic()
    silent.step(closure)
    w, optimizer, closure = quadratic(print_every=1)
    optimizer.step(closure)
    capsys.readouterr()
    w.grad = torch.ones_like(w)
    with pytest.warns(UserWarning, match="without a closure"):
        optimizer.step()
    assert capsys.readouterr().out == ""


def test_a_skipped_and_a_first_order_step_are_printed(capsys):
    w, optimizer, closure = quadratic(print_every=1, warmup=1)
    optimizer.step(closure)
    optimizer.step(lambda: (w * float("nan")).sum())
    first, second = capsys.readouterr().out.splitlines()
    assert "first-order (" in first
    assert second.endswith("skipped: the loss is nan")


def test_a_copy_prints_as_its_original_does(capsys):
    _, optimizer, _ = quadratic(print_every=2)
    assert copy.deepcopy(optimizer).print_every == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("rank", "lines"), [(0, 1), (1, 0)])
def test_of_several_processes_the_first_prints(monkeypatch, capsys, rank, lines):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda group=None: 1)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda group=None: rank)
    _, optimizer, closure = quadratic(print_every=1)
    optimizer.step(closure)
    assert len(capsys.readouterr().out.splitlines()) == lines


def test_a_negative_count_is_refused():
    with pytest.raises(ValueError, match="print_every is -1; it must be 0"):
        quadratic(print_every=-1)
