"""How many lines of code the package has, without docstrings, comments and blank lines.

python -m benchmarks.code_lines              # src/ and paper/ together, package by package
python -m benchmarks.code_lines tests        # another folder
"""

import ast
import io
import sys
import tokenize
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Lines:
    """Lines of one file.

    Attributes:
        code: Lines that hold a token of code.
        docstrings: Lines of docstrings, those of attributes included.
    """

    code: int
    docstrings: int


def count(source: str) -> Lines:
    r"""Count the lines of a module.

    Example:
        >>> count("'A module.'\n\nx = [  # two\n    1,\n]\n")
        Lines(code=3, docstrings=1)
    """
    documented = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, _DOCUMENTED)
        for statement in node.body
        if _is_text(statement)
        for line in range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
    }
    code = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in _NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }
    return Lines(len(code - documented), len(documented))


def _is_text(statement: ast.stmt) -> bool:
    """Return whether a statement is a string by itself: a docstring, or an attribute's."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def main(folders: list[str]) -> None:
    """Print a table of the folders' lines, subfolder by subfolder."""
    code, docstrings = Counter[str](), Counter[str]()
    for folder in folders:
        for path in sorted(Path(folder).rglob("*.py")):
            inner = path.relative_to(folder).parent.parts
            package = "/".join((folder, *inner[:2]))
            lines = count(path.read_text(encoding="utf-8"))
            code[package] += lines.code
            docstrings[package] += lines.docstrings
    table = Table("folder", "code", "docstrings")
    for package in code:
        table.add_row(package, f"{code[package]:,}", f"{docstrings[package]:,}")
    table.add_row("all", f"{code.total():,}", f"{docstrings.total():,}")
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:] or ["src", "paper"])
