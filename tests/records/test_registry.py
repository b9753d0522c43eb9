"""Registries: what is registered, what entry points bring, and what is refused."""

import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass

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
