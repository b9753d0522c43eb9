"""Registries: what is registered, what entry points bring, and what is refused."""

import importlib.metadata
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from qnewton.records import Registry


@dataclass(frozen=True)
class Pet:
    name: str


@dataclass(frozen=True)
class Point:
    name: str
    load: Callable[[], Pet]


def _broken() -> Pet:
    raise ImportError("no module named apple")


def test_items_come_in_the_order_they_were_registered():
    names = Registry("pet", "example.pets", [Pet(name="cat")])
    dog = names.register(Pet(name="dog"))
    assert names.names == ("cat", "dog")
    assert names.get("dog") is dog
    assert names.find("cow") is None
    assert len(names) == 2
    with pytest.raises(ValueError, match="no pet is called 'cow'; choose cat, dog"):
        names.get("cow")
    with pytest.raises(ValueError, match="a pet called 'dog' is there already"):
        names.register(Pet(name="dog"))
    assert names.register(dog) is dog  # the same again is no mistake
    names.unregister("dog")
    assert "dog" not in names


def test_entry_points_are_loaded_once_and_a_broken_one_is_named(monkeypatch):
    asked = []

    def points(group):
        asked.append(group)
        good = Point("cow", lambda: Pet(name="cow"))
        return [Point("worm", _broken), good]

    monkeypatch.setattr(importlib.metadata, "entry_points", points)
    pets = Registry("pet", "example.pets", [Pet(name="cat")])
    assert asked == []
    with pytest.warns(UserWarning, match="pet 'worm' is left out: no module named apple"):
        assert pets.names == ("cat", "cow")
    assert pets.names == ("cat", "cow")
    assert asked == ["example.pets"]


def test_entry_points_of_a_distribution_are_loaded_or_left_out_with_a_line(tmp_path: Path):
    info = tmp_path / "strangers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strangers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[qnewton.solvers]\n"
        "good = strangers:GOOD\nlost = strangers:LOST\nabsent = no_such_package:QR\n"
        "class = strangers:Solver\ntaken = strangers:TAKEN\nleaves = strangers_that_leave:QR\n"
    )
    (tmp_path / "strangers.py").write_text(
        "from dataclasses import replace\n"
        "from qnewton.cost import SOLVERS, Solver\n"
        "GOOD = replace(SOLVERS.get('lu'), name='good', run='strangers:run')\n"
        "TAKEN = replace(GOOD, name='lu')\n"
    )
    (tmp_path / "strangers_that_leave.py").write_text("raise SystemExit(3)\n")
    code = (
        "import sys, warnings\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "from qnewton.cost import SOLVERS\n"
        "with warnings.catch_warnings(record=True) as met:\n"
        "    warnings.simplefilter('always')\n"
        "    print(*SOLVERS.names)\n"
        "print(*[str(w.message) for w in met], sep='\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names, *lines = done.stdout.splitlines()
    assert names.split()[-1] == "good"
    said = {line.split("'")[1]: line for line in lines}
    assert set(said) == {"lost", "absent", "class", "taken", "leaves"}
    assert "no attribute 'LOST'" in said["lost"]
    assert "No module named 'no_such_package'" in said["absent"]
    assert "is no solver; register an instance" in said["class"]
    assert "'lu' is there already" in said["taken"]
