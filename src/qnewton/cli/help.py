"""Help that is read in one look: what to try first, and the options that people use."""

import inspect
import re
import textwrap
from collections.abc import Iterator

from qnewton.cli.options import Option, options_of
from qnewton.cli.parsing import COMPLETION, Command, Commands

_WIDTH = 80
_NAMES = 22

DOORS = """\
Newton's method on PyTorch, each step priced on classical and quantum solvers.

I train models
  qnewton compare digits          SGD beside Newton, and a page (a minute)
  qnewton train digits            one run, with its folder and its page

I study quantum advantage
  qnewton price --n 12544 --kappa 1e4 --sparsity 1000   one system, all machines
  qnewton map --n 12544 --kappa 100 --sparsity 64       who wins where
  qnewton replay recorded                               prices of recorded runs

I want to see HHL solve something
  qnewton circuit hhl --n 4 --clock-qubits 6            its circuit and its state
"""

_MORE = f"""\
Every command has --help, its examples and usual options, and --help-all, all its
options in groups. Results go to standard output, or with --json one JSON object;
-v adds details. Exit codes: 0 done, 1 the run failed, 2 the request was wrong.

Shell completion, which tyro writes (bash, zsh or tcsh), once for each shell:
  qnewton {COMPLETION} bash \\
    ~/.local/share/bash-completion/completions/qnewton
  qnewton {COMPLETION} zsh ~/.zfunc/_qnewton
For zsh, ~/.zshrc needs: fpath+=~/.zfunc; autoload -Uz compinit; compinit

Environment: QNEWTON_DATA, a folder with data, as --data-dir; QNEWTON_CACHE, where
the calibration of this machine is stored.
"""


def front_page() -> str:
    """Return what ``qnewton`` says when nothing is asked: three ways in."""
    return f"{DOORS}\nqnewton --help lists all commands; qnewton COMMAND --help shows one.\n"


def all_commands(commands: Commands) -> str:
    """Return what ``qnewton --help`` says: the ways in, and every command in a line."""
    lines = (_entry(name, _summary(command)) for name, command in commands.items())
    return f"{DOORS}\nCommands\n{''.join(lines)}\nqnewton COMMAND --help shows one.\n"


def everything(commands: Commands) -> str:
    """Return what ``qnewton --help-all`` says: exit codes, completion and environment, too."""
    return f"{all_commands(commands)}\n{_MORE}"


def short_help(name: str, command: type[Command]) -> str:
    """Return what ``qnewton NAME --help`` says: examples, then the options that people use."""
    known = options_of(command)
    words = " ".join(option.name for option in known if option.positional)
    by_field = {option.name.lstrip("-").replace("-", "_").lower(): option for option in known}
    usual = [by_field[field] for field in command.usual]
    title = f"{f'qnewton {name} {words}'.strip()}: {_summary(command)}"
    parts = [textwrap.fill(title, _WIDTH), "\nExamples"]
    parts += [_broken(example) for example in examples_of(command)]
    parts.append("\nOptions")
    entries = "".join(_entry(option.name, _meaning(option)) for option in usual)
    count = len(known) - len(usual)
    rest = f"{count} more options in groups, and the details" if count else "the details"
    return "\n".join(parts) + f"\n{entries}\nqnewton {name} --help-all shows {rest}.\n"


def examples_of(command: type) -> tuple[str, ...]:
    """Return the examples in a command's docstring."""
    said = inspect.cleandoc(command.__doc__ or "").partition("Examples: ")[2]
    return tuple(" ".join(one.split()) for one in said.partition("\n\n")[0].split(";"))


def _broken(example: str) -> str:
    """Return a command in lines that a shell reads as one."""
    wrapped = textwrap.wrap(
        example, _WIDTH - 4, initial_indent="  ", subsequent_indent="    ", break_on_hyphens=False
    )
    return " \\\n".join(wrapped)


def _summary(command: type) -> str:
    return inspect.cleandoc(command.__doc__ or "").splitlines()[0]


def _meaning(option: Option) -> str:
    """Return the first sentence about an option, and its default."""
    first = re.split(r"(?<=[\w)]\.) (?=[A-Z])", option.help, maxsplit=1)[0]
    default = option.default
    if default in (None, False, ()) or (option.positional and default is None):
        return first
    words = " ".join(map(str, default)) if isinstance(default, tuple) else str(default)
    return f"{first} ({words})"


def _entry(name: str, text: str) -> str:
    """Return a name and what it means, in two columns."""
    return "".join(f"{line}\n" for line in _lines(name, text))


def _lines(name: str, text: str) -> Iterator[str]:
    indent = " " * (_NAMES + 2)
    wrapped = textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent)
    if len(name) >= _NAMES:
        yield f"  {name}"
    else:
        wrapped[0] = f"  {name}".ljust(len(indent)) + wrapped[0][len(indent) :]
    yield from wrapped
