"""The workloads by name; others add theirs by a call or an entry point."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from qnewton.records.registry import Registry
from qnewton.workloads.base import Workload
from qnewton.workloads.digits import load_digits_workload
from qnewton.workloads.language import load_language_workload
from qnewton.workloads.mnist import load_mnist_workload
from qnewton.workloads.projected import load_projected_digits_workload


@dataclass(frozen=True)
class Source:
    """A workload that can be loaded by name.

    Attributes:
        name: Its name on the command line.
        load: Makes it from the seed of its split and the folder with its data, each ignored where
            it does not apply.
    """

    name: str
    load: Callable[[int, Path | None], Workload]


def _language(architecture: str, corpus: str, _: int, data_dir: Path | None) -> Workload:
    return load_language_workload(architecture, data_dir, corpus)  # type: ignore[arg-type]


WORKLOADS: Registry[Source] = Registry(
    "workload",
    "qnewton.workloads",
    (
        Source("digits", lambda seed, _: load_digits_workload(seed)),
        Source("projected-digits", lambda seed, _: load_projected_digits_workload(seed)),
        Source("mnist", lambda _, data_dir: load_mnist_workload(data_dir)),
        Source("bert", partial(_language, "bert", "wikitext-2")),
        Source("mistral", partial(_language, "mistral", "wikitext-2")),
        Source("bert-wikitext-103", partial(_language, "bert", "wikitext-103")),
        Source("mistral-wikitext-103", partial(_language, "mistral", "wikitext-103")),
    ),
    of=Source,
)
"""Every workload that ``qnewton train`` knows; ``WORKLOADS.register`` adds one.

Example:
    >>> [source.name for source in WORKLOADS][:2]
    ['digits', 'projected-digits']
"""


def available_workloads() -> tuple[str, ...]:
    """Return the names ``load_workload`` knows."""
    return WORKLOADS.names


def load_workload(name: str, seed: int, data_dir: Path | None = None) -> Workload:
    """Return the workload ``name`` with the data split that ``seed`` draws.

    Args:
        name: One of :func:`available_workloads`.
        seed: Draws the split, where the data do not come with one.
        data_dir: Folder with local data, for workloads that need any.

    Raises:
        ValueError: If there is no such workload.
    """
    found = WORKLOADS.find(name)
    if found is None:
        raise ValueError(
            f"unknown workload {name!r}; available: {', '.join(available_workloads())}"
        )
    return found.load(seed, data_dir)
