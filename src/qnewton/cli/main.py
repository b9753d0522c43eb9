"""The command line: its commands, how they are parsed, and the exit status of what they say.

Exit codes: 0 done; 1 the run failed; 2 the request was wrong. A failure prints one line that
says what and how to mend it.
"""

import sys
from collections.abc import Sequence

from qnewton import __version__
from qnewton.cli import help as help_texts
from qnewton.cli.calibrate import Calibrate
from qnewton.cli.circuit import Circuit
from qnewton.cli.compare import Compare
from qnewton.cli.listing import List
from qnewton.cli.map import Map
from qnewton.cli.paper import Paper
from qnewton.cli.parsing import HELP, HELP_ALL, Command, RequestError, command_of, parse
from qnewton.cli.price import Price
from qnewton.cli.readout import ReadoutSweep
from qnewton.cli.replay import Replay
from qnewton.cli.report import Report
from qnewton.cli.train import Train
from qnewton.runs import CorruptRunError, RunStorageError

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
    "list": List,
}


DONE, FAILED, WRONG_REQUEST, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``qnewton`` with ``arguments``, by default the process's own; return the exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        shown = _shown(words)
        if shown is None:
            parse(COMMANDS, words).run()
        else:
            sys.stdout.write(shown)
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


def _shown(words: Sequence[str]) -> str | None:
    """Return the text that ``words`` ask for; ``None`` where they ask for something to be done."""
    match list(words):
        case []:
            return help_texts.front_page()
        case ["--version"]:
            return f"qnewton {__version__}\n"
        case [first, *_] if first in HELP:
            return help_texts.all_commands(COMMANDS)
        case [first, *_] if first == HELP_ALL:
            return help_texts.everything(COMMANDS)
        case [name, *rest] if any(word in HELP for word in rest) and HELP_ALL not in rest:
            return help_texts.short_help(name, command_of(COMMANDS, name))
    return None


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"qnewton: {' '.join(message.split())}\n")
    return code
