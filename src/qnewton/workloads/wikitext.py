"""WikiText-2 and WikiText-103, from a local folder of text files or the Hugging Face Hub."""

from dataclasses import dataclass
from pathlib import Path

from qnewton.workloads.sources import data_folder, hub_dataset

DATASETS = ("wikitext-2", "wikitext-103")
HUB_DATASET = "Salesforce/wikitext"

_TRAIN = ("train.txt", "wiki.train.tokens")
_VALID = ("valid.txt", "validation.txt", "wiki.valid.tokens")
TEST_FILES = ("test.txt", "wiki.test.tokens")


@dataclass(frozen=True)
class Text:
    """The two splits a model is trained and evaluated on.

    Attributes:
        train: Training text.
        test: Held-out text.
        source: Where they came from.
        notes: What had to be replaced.
    """

    train: str
    test: str
    source: str
    notes: tuple[str, ...] = ()


def load_wikitext(name: str, data_dir: Path | None) -> Text:
    """Return a WikiText corpus, ``<unk>`` kept as it is distributed.

    Args:
        name: ``wikitext-2`` or ``wikitext-103``.
        data_dir: Folder with a folder ``name`` of text files (``train.txt``, ``valid.txt``,
            ``test.txt``); ``None`` for the folder named by QNEWTON_DATA, else the Hub. Without
            ``train.txt`` the validation split is trained on, and the notes say so.

    Raises:
        ValueError: If the corpus is unknown, a file is missing or no UTF-8, or the Hub cannot be
            used.

    Reference: S. Merity, C. Xiong, J. Bradbury, R. Socher, Pointer Sentinel Mixture Models,
    arXiv:1609.07843.
    """
    if name not in DATASETS:
        raise ValueError(f"unknown corpus {name!r}; choose {' or '.join(DATASETS)}")
    data_dir = data_folder(data_dir)
    return _from_hub(name, HUB_DATASET) if data_dir is None else _from_folder(name, data_dir)


def _from_folder(name: str, data_dir: Path) -> Text:
    folder = data_dir / name if (data_dir / name).is_dir() else data_dir
    test = _first(folder, TEST_FILES)
    if test is None:
        raise ValueError(
            f"no {TEST_FILES[0]} in {folder}; point --data-dir or QNEWTON_DATA at a folder with a "
            f"folder {name} of train.txt, valid.txt and test.txt, or at none to use the "
            "Hugging Face Hub"
        )
    train, notes = _first(folder, _TRAIN), ()
    if train is None:
        train = _first(folder, _VALID)
        notes = (
            f"{name}'s training split is not in the data folder: trained on the validation split, "
            "evaluated on the test split",
        )
    if train is None:
        raise ValueError(
            f"neither {_TRAIN[0]} nor {_VALID[0]} in {folder}; add one of them to train on"
        )
    return Text(_read(train), _read(test), f"local {name}: {train.name}, {test.name}", notes)


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is no UTF-8 text ({error}); replace it by a fresh copy"
        ) from error
    if not text.strip():
        raise ValueError(f"{path} is empty; replace it by a fresh copy")
    return text


def _from_hub(name: str, repository: str) -> Text:
    """Return a corpus from a dataset repository, by name or as a local folder of its layout."""
    splits = hub_dataset(name, f"a folder {name}", repository, f"{name}-v1")
    train, test = ("".join(splits[split]["text"]) for split in ("train", "test"))
    return Text(train, test, f"Hugging Face Hub, {repository}, {name}-v1")
