"""From words to a command: each word is checked first, so that a typo is told what it meant."""

import contextlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Protocol, Union

import tyro

from qnewton.cli.options import Option, options_of, whole_number
from qnewton.records.messages import choice_of, nearest

HELP, HELP_ALL = ("-h", "--help"), "--help-all"
COMPLETION = "--tyro-write-completion"
_SHORT = ("-h", "-v")


class Command(Protocol):
    """What every command of ``qnewton`` can do.

    Attributes:
        usual: The options that its short help shows, by field name.
    """

    usual: ClassVar[tuple[str, ...]]

    def run(self) -> None:
        """Do it."""
        ...


Commands = Mapping[str, type[Command]]


class RequestError(ValueError):
    """The command line could not be understood."""


def parse(commands: Commands, words: Sequence[str]) -> Command:
    """Return the command object that ``words`` describe.

    Raises:
        RequestError: If they describe none; one line.
        SystemExit: After printing all help, or writing a completion script, with code 0.
    """
    spelled = list(words)
    if words and words[0] != COMPLETION:
        _check(commands, words)
        spelled = [words[0], *_spelled(commands[words[0]], words[1:])]
    options: Any = Union[  # noqa: UP007  # built at run time
        tuple(Annotated[command, tyro.conf.subcommand(name)] for name, command in commands.items())
    ]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                options,
                prog="qnewton",
                args=["--help" if word == HELP_ALL else word for word in spelled],
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise RequestError(f"{_message(said.getvalue())}; see qnewton {words[0]} --help") from None


def command_of(commands: Commands, word: str) -> type[Command]:
    """Return the command of a name.

    Raises:
        RequestError: If there is none; it says which one may be meant.
    """
    if word not in commands:
        raise RequestError(f"unknown command {word!r}; {choice_of(word, commands)}")
    return commands[word]


def _check(commands: Commands, words: Sequence[str]) -> None:
    """Raise ``RequestError`` for a word that no option takes."""
    name, command = words[0], command_of(commands, words[0])
    known = {option.name: option for option in options_of(command)}
    free = [option for option in known.values() if option.positional]
    for given, values in _grouped(known, words[1:]):
        if given is not None and given not in known:
            raise RequestError(_unknown(commands, name, given, known))
        option = None if given is None else known[given]
        if option is None:
            if not free:
                raise RequestError(f"unexpected word {values[0]!r}; see qnewton {name} --help")
            # One that takes any number of words is there for the next, too.
            option = free[0] if free[0].values is None else free.pop(0)
        _check_values(name, option, values)


def _grouped(
    known: Mapping[str, Option], words: Sequence[str]
) -> Iterator[tuple[str | None, list[str]]]:
    """Yield each option with its values, and each word that belongs to none."""
    left = list(words)
    while left:
        word = left.pop(0)
        if word in (*_SHORT, HELP_ALL, "--help"):
            continue
        if not word.startswith("--"):
            yield None, [word]
            continue
        given, equals, value = word.partition("=")
        given = given.replace("_", "-")
        option = known.get(given)
        count = option.values if option is not None else 0
        values = [value] if equals else []
        while left and not left[0].startswith("--") and (count is None or len(values) < count):
            values.append(left.pop(0))
        yield given, values


def _spelled(command: type[Command], words: Sequence[str]) -> Iterator[str]:
    """Yield checked words as tyro reads them: whole numbers with all their digits, 1e6 included."""
    known = {option.name: option for option in options_of(command)}
    option, left = None, 0
    for word in words:
        given, equals, value = word.partition("=")
        if word.startswith("--"):
            option = known.get(given.replace("_", "-"))
            left = (option.values or 0) if option is not None and not equals else 0
            yield f"{given}={_whole(option, value)}" if equals else word
        elif left:
            left -= 1
            yield _whole(option, word)
        else:
            yield word


def _whole(option: Option | None, word: str) -> str:
    if option is None or option.number is not int or word in (*option.choices, "None"):
        return word
    return str(whole_number(word))


def _check_values(name: str, option: Option, values: Sequence[str]) -> None:
    if option.values is not None and len(values) < option.values:
        needed = "a value" if option.values == 1 else f"{option.values} values"
        raise RequestError(f"{option.name} needs {needed}; see qnewton {name} --help")
    wrong = next((value for value in values if not option.accepts(value)), None)
    if wrong is None:
        return
    if option.choices and option.number is None:
        raise RequestError(f"{option.name} is {wrong!r}; {choice_of(wrong, option.choices)}")
    raise RequestError(f"{option.name} is {wrong!r}; it must be {option.limits}")


def _unknown(commands: Commands, name: str, given: str, known: Iterable[str]) -> str:
    """Return what an option may have meant, here or of another command."""
    near = nearest(given, known)
    others = [other for other, command in commands.items() if _has(command, given)]
    if others:
        said = f"qnewton {name} has no option {given}, which belongs to {', '.join(others)}"
    else:
        said = f"unknown option {given}"
    meant = f"did you mean {near}? " if near else ""
    return f"{said}; {meant}See qnewton {name} {HELP_ALL}"


def _has(command: type[Command], given: str) -> bool:
    return any(option.name == given for option in options_of(command))


def _message(box: str) -> str:
    """Return what tyro's box says first."""
    paragraphs: list[list[str]] = [[]]
    for line in box.splitlines():
        text = line.strip("│ ")
        if not text or set(text) <= {"─", "-"}:
            paragraphs.append([])
        elif not text.startswith(("╭", "╰")):
            paragraphs[-1].append(text)
    said = [" ".join(paragraph) for paragraph in paragraphs if paragraph]
    # Without box-drawing signs tyro underlines the title, so that the message comes second.
    message = said[0 if "│" in box else 1 :][:1] or ["the command line was not understood"]
    # tyro names the class that raised; people know options alone.
    return re.sub(r"^Error parsing \S+: ", "", message[0])
