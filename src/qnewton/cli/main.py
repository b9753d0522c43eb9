"""The command line: its commands, how they are parsed, and the exit status of what they say.

Exit codes: 0 done; 1 the run failed; 2 the request was wrong. A failure prints one line that
says what and how to mend it.
"""

import contextlib
import io
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol, Union

import tyro

from qnewton import __version__
from qnewton.cli.calibrate import Calibrate
from qnewton.cli.circuit import Circuit
from qnewton.cli.compare import Compare
from qnewton.cli.map import Map
from qnewton.cli.paper import Paper
from qnewton.cli.price import Price
from qnewton.cli.readout import ReadoutSweep
from qnewton.cli.replay import Replay
from qnewton.cli.report import Report
from qnewton.cli.train import Train
from qnewton.runs import CorruptRunError, RunStorageError

DESCRIPTION = (
    "Train neural networks with Newton's method and see, at every step, which classical or "
    "quantum linear solver computes it and what the others would have cost. qnewton --version "
    "prints the version."
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
    """Return what tyro's box says first, and where to read more."""
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
    text = re.sub(r"^Error parsing \S+: ", "", message[0])
    known = f"qnewton {arguments[0]}" if arguments and arguments[0] in commands else "qnewton"
    return f"{text}; see {known} --help"


COMMANDS: dict[str, type[Command]] = {
    "train": Train,
    "compare": Compare,
    "price": Price,
    "map": Map,
    "replay": Replay,
    "calibrate": Calibrate,
    "report": Report,
    "readout": ReadoutSweep,
    "circuit": Circuit,
    "paper": Paper,
}


DONE, FAILED, WRONG_REQUEST, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``qnewton`` with ``arguments``, by default the process's own; return the exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words == ["--version"]:
        sys.stdout.write(f"qnewton {__version__}\n")
        return DONE
    try:
        command = parse(COMMANDS, words)
        command.run()
    except RequestError as error:
        return _fail(str(error), WRONG_REQUEST)
    except RunStorageError as error:
        return _fail(str(error), WRONG_REQUEST if error.wrong_place else FAILED)
    except CorruptRunError as error:
        return _fail(str(error), FAILED)
    except (ValueError, FileNotFoundError) as error:
        return _fail(str(error), WRONG_REQUEST)
    except RuntimeError as error:
        return _fail(str(error), FAILED)
    except KeyboardInterrupt:
        return _fail("interrupted; a training run goes on with --resume FOLDER", INTERRUPTED)
    except BrokenPipeError:
        return DONE
    return DONE


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"qnewton: {' '.join(message.split())}\n")
    return code
