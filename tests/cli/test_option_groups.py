"""Options come in the groups of QNewton's arguments, under the names that run folders record."""

import dataclasses

import pytest

from qnewton.cli.main import COMMANDS, main, parse
from qnewton.cli.parsing import RequestError
from qnewton.cli.train import Train
from qnewton.cost import DEFAULT_AUDIT
from qnewton.training.request import TrainingRequest, request_of


def help_of(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help-all"])
    assert stop.value.code == 0
    return capsys.readouterr().out


def test_train_is_read_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    said = help_of("train", capsys)
    groups = ("training", "method", "newton", "damping", "warmup", "limits", "quantum", "price")
    places = [said.index(f"{group} options") for group in groups]
    assert places == sorted(places)
    for field in dataclasses.fields(TrainingRequest):
        if field.name not in ("workload", "audit"):
            assert f"--{field.name.replace('_', '-')} " in said


@pytest.mark.parametrize(
    ("command", "groups"),
    [
        ("compare", ("training", "newton", "damping", "warmup", "limits", "quantum", "classical")),
        ("price", ("system", "classical", "quantum", "price")),
        ("replay", ("classical", "quantum", "price")),
        ("readout", ("training", "damping", "folders")),
    ],
)
def test_other_commands_share_them(
    command: str, groups: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    said = help_of(command, capsys)
    assert all(f"{group} options" in said for group in groups)


def test_the_groups_of_a_command_are_one_flat_request() -> None:
    words = ["train", "mnist", "--steps", "3", "--damping", "0.5", "--warmup", "2", "--qpus", "2"]
    command = parse(COMMANDS, [*words, "--max-newton", "9", "--tables", "qram"])
    assert isinstance(command, Train)
    audit = command.price.over(DEFAULT_AUDIT)
    assert request_of(command, audit=audit) == TrainingRequest(
        workload="mnist",
        steps=3,
        damping=0.5,
        warmup="2",
        qpus=2,
        max_newton=9,
        audit=dataclasses.replace(DEFAULT_AUDIT, tables="qram"),
    )


@pytest.mark.parametrize("words", [("--steps", "1e3"), ("--steps=1e3",), ("--steps", "1000")])
def test_a_whole_number_may_be_written_with_a_power_of_ten(words: tuple[str, ...]) -> None:
    command = parse(COMMANDS, ["train", "digits", *words, "--batch-size", "1.5e2", "--lr", "1e-3"])
    assert isinstance(command, Train)
    request = request_of(command)
    assert (request.steps, request.batch_size, request.lr) == (1000, 150, 1e-3)


@pytest.mark.parametrize("word", ["1.5", "1e-2", "inf", "nan", "1e999999", "six"])
def test_what_is_no_whole_number_is_refused(word: str) -> None:
    with pytest.raises(RequestError, match=f"--steps is '{word}'; it must be a whole number"):
        parse(COMMANDS, ["train", "digits", "--steps", word])
