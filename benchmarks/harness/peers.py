"""Which peers are installed, and how to get the others."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

INSTALL = "pip install -e '.[bench]' -c constraints.txt"

_DISTRIBUTIONS = {
    "jax": "jax",
    "curvlinops": "curvlinops-for-pytorch",
    "pytorch_optimizer": "pytorch-optimizer",
    "qsppack": "qsppack",
    "pyqsp": "pyqsp",
    "nlft_qsp": "nlft-qsp",
}


def missing_peers(*modules: str) -> tuple[str, ...]:
    """Return those of the top-level modules that are not installed, without importing any.

    Example:
        >>> missing_peers("json", "no_such_peer")
        ('no_such_peer',)
    """
    return tuple(module for module in modules if find_spec(module) is None)


def peer_versions() -> dict[str, str | None]:
    """Return the installed version of every peer, ``None`` where it is missing."""
    return {module: _version(name) for module, name in _DISTRIBUTIONS.items()}


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
