"""The workloads by name; others add theirs by a call or an entry point.

Loads no torch: a workload's module is loaded when the workload is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from qnewton.records.registry import Registry
from qnewton.workloads.sources import data_folder
from qnewton.workloads.wikitext import TEST_FILES

if TYPE_CHECKING:
    from qnewton.workloads.base import Workload


@dataclass(frozen=True, kw_only=True)
class LocalData:
    """The files that a workload reads from a local folder.

    Attributes:
        what: What they are, for messages.
        folder: A folder that they may lie in, inside the one that is named.
        files: Names of which one has to be there.
    """

    what: str
    folder: str
    files: tuple[str, ...]

    def check(self, data_dir: Path | None) -> None:
        """Raise ``ValueError`` if a folder is named and has none of the files.

        Args:
            data_dir: The folder; ``None`` for the one that QNEWTON_DATA names.
        """
        folder = data_folder(data_dir)
        if folder is None:
            return
        way_out = f"point --data-dir or QNEWTON_DATA at a folder with {self.what}, or at none to "
        way_out += "fetch them from the Hugging Face Hub"
        if not folder.is_dir():
            raise ValueError(f"there is no folder {folder}; {way_out}")
        inside = folder / self.folder if (folder / self.folder).is_dir() else folder
        if not any((inside / name).is_file() for name in self.files):
            raise ValueError(f"no {' or '.join(self.files)} in {inside}; {way_out}")


@dataclass(frozen=True)
class Source:
    """A workload that can be loaded by name.

    Attributes:
        name: Its name on the command line.
        load: Makes it from the seed of its split and the folder with its data, each ignored where
            it does not apply.
        title: What it is, in a line.
        data: The local files that it reads; ``None`` where it needs none, or nobody says.
    """

    name: str
    load: "Callable[[int, Path | None], Workload]"
    title: str = ""
    data: LocalData | None = None


def _drawn(module: str, seed: int, _: Path | None) -> "Workload":
    """Load a workload whose split a seed draws, and whose data come with a library."""
    return _loader(module)(seed)


def _mnist(_: int, data_dir: Path | None) -> "Workload":
    return _loader("mnist:load_mnist_workload")(data_dir)


def _language(architecture: str, corpus: str, _: int, data_dir: Path | None) -> "Workload":
    return _loader("language:load_language_workload")(architecture, data_dir, corpus)


def _loader(where: str) -> "Callable[..., Workload]":
    module, _, function = where.partition(":")
    return getattr(import_module(f"qnewton.workloads.{module}"), function)


def _text(name: str, model: str, architecture: str, corpus: str) -> Source:
    files = f"a folder {corpus} of train.txt, valid.txt and test.txt"
    return Source(
        name,
        partial(_language, architecture, corpus),
        f"{model} on {corpus}",
        LocalData(what=files, folder=corpus, files=TEST_FILES),
    )


_MNIST = "train-images-idx3-ubyte"

WORKLOADS: Registry[Source] = Registry(
    "workload",
    "qnewton.workloads",
    (
        Source(
            "digits",
            partial(_drawn, "digits:load_digits_workload"),
            "scikit-learn digits (1,797 images of 8×8), ReLU network 64-16-16-10",
        ),
        Source(
            "projected-digits",
            partial(_drawn, "projected:load_projected_digits_workload"),
            "scikit-learn digits 0 to 2 on 5 random directions, ReLU network 5-3-3",
        ),
        Source(
            "mnist",
            _mnist,
            "MNIST (70,000 images of 28×28), ReLU network 784-16-16-10",
            LocalData(
                what="MNIST's four IDX files", folder="mnist", files=(_MNIST, f"{_MNIST}.gz")
            ),
        ),
        _text("bert", "BERT-like model of masked words", "bert", "wikitext-2"),
        _text("mistral", "Mistral-like model of the next word", "mistral", "wikitext-2"),
        _text("bert-wikitext-103", "BERT-like model of masked words", "bert", "wikitext-103"),
        _text(
            "mistral-wikitext-103", "Mistral-like model of the next word", "mistral", "wikitext-103"
        ),
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


def load_workload(name: str, seed: int, data_dir: Path | None = None) -> "Workload":
    """Return the workload ``name`` with the data split that ``seed`` draws.

    Args:
        name: One of :func:`available_workloads`.
        seed: Draws the split, where the data do not come with one.
        data_dir: Folder with local data, for workloads that need any.

    Raises:
        ValueError: If there is no such workload.
    """
    return WORKLOADS.get(name).load(seed, data_dir)
