"""Altair and vl-convert, which draw pictures and pages: the extra ``report``, loaded at first use.

Tables, sentences and CSV files do without them, so that a small installation trains and prices.
"""

from contextlib import AbstractContextManager
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair as alt
    import vl_convert

    __all__ = ["MissingExtraError", "alt", "check_installed", "vl_convert"]


class MissingExtraError(ValueError):
    """Pictures and pages cannot be made, since the extra ``report`` is not installed."""


def check_installed() -> None:
    """Raise :class:`MissingExtraError` where a picture could not be made: before long work."""
    for name in ("altair", "vl_convert"):
        if find_spec(name) is None:
            raise _missing(name)


def unchecked() -> AbstractContextManager[None]:
    """Return a context in which no part of a chart is checked against Vega-Lite's schema."""
    from altair.utils.schemapi import debug_mode

    return debug_mode(False)


def _missing(name: str) -> MissingExtraError:
    way_out = "pip install 'qnewton[report]'"
    return MissingExtraError(f"pictures and pages need {name}, which is not installed: {way_out}")


class _AtFirstUse:
    """A module that is imported when something in it is first asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__"):  # asked by tools that look for a protocol
            raise AttributeError(attribute)
        try:
            return getattr(import_module(self._name), attribute)
        except ImportError:
            raise _missing(self._name) from None


if not TYPE_CHECKING:
    alt = _AtFirstUse("altair")
    vl_convert = _AtFirstUse("vl_convert")
