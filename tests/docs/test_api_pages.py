"""The pages of the API name every public name once, and each of these says what it is."""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from qnewton.cli.main import COMMANDS

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "api").glob("*.md"))
_LISTED = re.compile(r"^```\{public\} (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def names() -> Iterator[Any]:
    """Return the documentation's own module that knows the public names."""
    extensions = str(ROOT / "docs" / "_ext")
    sys.path.insert(0, extensions)
    yield import_module("public_names")
    sys.path.remove(extensions)


def listed() -> list[tuple[str, str]]:
    """Return module and name of everything that a page lists."""
    return [
        (module, name)
        for page in PAGES
        for module, names in _LISTED.findall(page.read_text(encoding="utf-8"))
        for name in names.split()
    ]


def test_a_page_names_what_exists_and_once() -> None:
    missing = [f"{module}.{name}" for module, name in listed() if not exists(module, name)]
    assert missing == []
    twice = [".".join(name) for name, times in Counter(listed()).items() if times > 1]
    assert twice == []


def exists(module: str, name: str) -> bool:
    return hasattr(import_module(module), name)


def test_every_public_name_is_on_a_page(names: Any) -> None:
    public = names.public_names()  # first: a module that is imported takes a function's place
    shown = {key(names.documented_object(*place)) for place in listed() if exists(*place)}
    lacking = [
        f"{module}.{name}"
        for module, exported in public.items()
        for name in exported
        if name != "__version__" and key(names.documented_object(module, name)) not in shown
    ]
    assert lacking == []


def key(thing: object) -> object:
    """Return what tells objects apart that may be equal."""
    return thing if isinstance(thing, tuple) else id(thing)


def test_a_module_that_is_listed_alone_is_listed_whole(names: Any) -> None:
    pages = {module: {n for m, n in listed() if m == module} for module, _ in listed()}
    for module, shown in pages.items():
        if module.startswith(names.LISTED_BY_MODULE):
            assert shown == {*names.own_names(module)}, module


def test_every_command_is_on_a_page() -> None:
    shown = {id(getattr(import_module(module), name)) for module, name in listed()}
    assert [name for name, command in COMMANDS.items() if id(command) not in shown] == []


def test_every_public_name_says_what_it_is(names: Any) -> None:
    everything = {
        *listed(),
        *((module, name) for module, exported in names.public_names().items() for name in exported),
    }
    silent = [
        f"{module}.{name}"
        for module, name in sorted(everything)
        if name != "__version__" and not names.docstring(module, name)
    ]
    assert silent == []


def test_the_first_line_of_what_a_name_says_is_whole(names: Any) -> None:
    broken = [
        f"{module}.{name}: {first}"
        for module, name in listed()
        if not (first := names.docstring(module, name).partition("\n")[0]).endswith((".", ":"))
    ]
    assert broken == []


def test_what_the_package_itself_exports_is_on_the_first_page(names: Any) -> None:
    page = (ROOT / "docs" / "api" / "index.md").read_text(encoding="utf-8")
    found = set(re.findall(r"`(?:qnewton\.)?(\w+)`", page))
    assert set(names.public_names()["qnewton"]) <= found
