"""From words to a command object, with every parse error as one line."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol, Union

import tyro

DESCRIPTION = (
    "Train neural networks with Newton's method and see, at every step, which classical or "
    "quantum linear solver computes it and what the others would have cost."
)


class Command(Protocol):
    """What every command of ``qnewton`` can do."""

    def run(self) -> None:
        """Do it."""
        ...


class RequestError(ValueError):
    """The command line could not be understood."""


def parse(commands: Mapping[str, type[Command]], arguments: Sequence[str]) -> Command:
    """Return the command object that ``arguments`` describe.

    Raises:
        RequestError: If they describe none; one line.
        SystemExit: After printing ``--help``, with code 0.
    """
    if not arguments:
        arguments = ["--help"]
    options: Any = Union[  # noqa: UP007  # built at run time
        tuple(Annotated[command, tyro.conf.subcommand(name)] for name, command in commands.items())
    ]
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(
                options,
                prog="qnewton",
                description=DESCRIPTION,
                args=list(arguments),
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
            )
    except SystemExit as stop:
        if stop.code in (0, None):
            raise
        raise RequestError(_one_line(said.getvalue(), arguments, commands)) from None


def _one_line(box: str, arguments: Sequence[str], commands: Mapping[str, Any]) -> str:
    """Return the first paragraph of tyro's box, and where to read more."""
    words = []
    for line in box.splitlines():
        text = line.strip("│╭╮╰╯─ ")
        if line.startswith("│") and set(line.strip("│ ")) == {"─"}:
            break
        if line.startswith("│") and text:
            words.append(text)
    known = f"qnewton {arguments[0]}" if arguments and arguments[0] in commands else "qnewton"
    return f"{' '.join(words) or 'the command line was not understood'}; see {known} --help"
