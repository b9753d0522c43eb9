"""Help begins with examples, and everything it names works."""

import shlex

import pytest

from qnewton.cli.help import DOORS, examples_of
from qnewton.cli.main import COMMANDS, main
from qnewton.cli.options import options_of
from qnewton.cli.parsing import parse


def printed(words: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words.split()) == 0
    output, error = capsys.readouterr()
    assert error == ""
    return output


def test_qnewton_alone_opens_three_doors(capsys) -> None:
    said = printed("", capsys)
    assert len(said.splitlines()) < 20
    for door in ("I train models", "I study quantum advantage", "I want to see HHL"):
        assert door in said
    for line in DOORS.splitlines():
        if line.startswith("  qnewton"):
            parse(COMMANDS, line.split("   ")[0].split()[1:])


def test_help_lists_every_command_in_a_line_or_two(capsys) -> None:
    said = printed("--help", capsys)
    assert said == printed("-h", capsys)
    assert said.startswith(printed("", capsys).partition("\nqnewton --help")[0])
    assert len(said.splitlines()) < 50
    for name in COMMANDS:
        assert f"\n  {name} " in said


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_is_examples_then_what_people_use(name, capsys) -> None:
    said = printed(f"{name} --help", capsys)
    assert max(map(len, said.splitlines())) <= 80
    assert said.index("\nExamples") < said.index("\nOptions")
    assert len(said.splitlines()) <= 50
    command = COMMANDS[name]
    assert 2 <= len(command.usual) <= 9
    known = {option.name: option for option in options_of(command)}
    for field in command.usual:
        option = known.get(f"--{field.replace('_', '-')}") or known[field.upper()]
        assert option.help
        assert f"\n  {option.name}" in said


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained_and_in_all_help(name, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main([name, "--help-all"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert f"usage: qnewton {name}" in said
    for option in options_of(COMMANDS[name]):
        assert option.help, option.name
        assert option.positional or option.name in said


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_commands(name) -> None:
    examples = examples_of(COMMANDS[name])
    assert examples
    for example in examples:
        first, second, *words = shlex.split(example)
        assert (first, second) == ("qnewton", name)
        assert isinstance(parse(COMMANDS, [name, *words]), COMMANDS[name])


def test_all_help_says_how_words_are_completed_and_how_commands_end(capsys) -> None:
    said = " ".join(printed("--help-all", capsys).split())
    for part in ("--tyro-write-completion bash", "zsh", "Exit codes", "QNEWTON_DATA"):
        assert part in said


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_completion_script_is_written_as_the_help_says(shell, tmp_path) -> None:
    script = tmp_path / "qnewton"
    with pytest.raises(SystemExit) as stop:
        main(["--tyro-write-completion", shell, str(script)])
    assert stop.value.code in (0, None)
    text = script.read_text(encoding="utf-8")
    for word in ("qnewton", "compare", "--hardware", "--policy"):
        assert word in text
