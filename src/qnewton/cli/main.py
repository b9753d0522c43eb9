"""Parsing the command line, running one command, and turning failures into exit codes.

Exit codes: 0 done; 1 the run failed; 2 the request was wrong. A failure prints one line that
says what and how to mend it.
"""

import sys
from collections.abc import Sequence

from qnewton import __version__
from qnewton.cli.commands import COMMANDS
from qnewton.cli.parsing import RequestError, parse
from qnewton.runs import CorruptRunError, RunStorageError

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
