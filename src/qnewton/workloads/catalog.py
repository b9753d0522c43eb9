"""The workloads by name."""

from collections.abc import Callable
from pathlib import Path

from qnewton.workloads.base import Workload
from qnewton.workloads.digits import load_digits_workload
from qnewton.workloads.language import load_language_workload
from qnewton.workloads.mnist import load_mnist_workload

_LOADERS: dict[str, Callable[[int, Path | None], Workload]] = {
    "digits": lambda seed, _: load_digits_workload(seed),
    "mnist": lambda _, data_dir: load_mnist_workload(data_dir),
    "bert": lambda _, data_dir: load_language_workload("bert", data_dir),
    "mistral": lambda _, data_dir: load_language_workload("mistral", data_dir),
    "bert-wikitext-103": lambda _, data_dir: load_language_workload(
        "bert", data_dir, "wikitext-103"
    ),
    "mistral-wikitext-103": lambda _, data_dir: load_language_workload(
        "mistral", data_dir, "wikitext-103"
    ),
}


def available_workloads() -> tuple[str, ...]:
    """Return the names ``load_workload`` knows."""
    return tuple(_LOADERS)


def load_workload(name: str, seed: int, data_dir: Path | None = None) -> Workload:
    """Return the workload ``name`` with the data split that ``seed`` draws.

    Args:
        name: One of :func:`available_workloads`.
        seed: Draws the split, where the data do not come with one.
        data_dir: Folder with local data, for workloads that need any.

    Raises:
        ValueError: If there is no such workload.
    """
    if name not in _LOADERS:
        raise ValueError(
            f"unknown workload {name!r}; available: {', '.join(available_workloads())}"
        )
    return _LOADERS[name](seed, data_dir)
