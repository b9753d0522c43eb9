"""MNIST, from a local folder of IDX files or the Hugging Face Hub."""

import hashlib
import os
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from qnewton.runs import cache_folder, write_atomically
from qnewton.workloads.base import Workload
from qnewton.workloads.idx import encode_idx, read_idx
from qnewton.workloads.mlp import build_mlp
from qnewton.workloads.standardise import standardise

MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
"""MD5 of each uncompressed file of LeCun, Cortes and Burges's distribution."""

HUB_DATASET = "ylecun/mnist"
HUB_REVISION = "77f3279092a1c1579b2250db8eafed0ad422088c"

Arrays = dict[str, NDArray[np.uint8]]


def load_mnist_workload(data_dir: Path | None) -> Workload:
    """Return the workload ``mnist``: the paper's DNN 784-16-16-10, N = 13,002, batch 2048.

    The split is MNIST's own; inputs are standardised by the training split.

    Args:
        data_dir: Folder with the four IDX files (plain or gzipped), or with a folder ``mnist``
            that has them; ``None`` for the folder named by QNEWTON_DATA, else the Hugging Face
            Hub, whose copy is kept in the cache folder.

    Raises:
        ValueError: If a file is missing, truncated or corrupt, or the Hub cannot be used.

    Reference:
        Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-based learning applied to document
        recognition, Proc. IEEE 86 (1998) 2278-2324.
    """
    arrays, source = _arrays(data_dir)
    images = {
        split: torch.from_numpy(
            arrays[f"{split}-images-idx3-ubyte"].reshape(-1, 784).astype(np.float32)
        )
        for split in ("train", "t10k")
    }
    labels = {
        split: torch.from_numpy(arrays[f"{split}-labels-idx1-ubyte"].astype(np.int64))
        for split in ("train", "t10k")
    }
    train_inputs, test_inputs = standardise(images["train"], images["t10k"])
    return Workload(
        name="mnist",
        title="MNIST (70,000 images of 28×28), ReLU network 784-16-16-10",
        train_inputs=train_inputs,
        train_targets=labels["train"],
        test_inputs=test_inputs,
        test_targets=labels["t10k"],
        build_model=partial(build_mlp, (784, 16, 16, 10)),
        loss=cross_entropy,
        target_accuracy=0.90,
        batch_size=2048,
        evaluate_every=5,
        newton_lr=1.0,
        sgd_learning_rates=(0.01, 0.03, 0.1, 0.3, 1.0),
        source=source,
    )


def _arrays(data_dir: Path | None) -> tuple[Arrays, str]:
    if data_dir is None and os.environ.get("QNEWTON_DATA"):
        data_dir = Path(os.environ["QNEWTON_DATA"])
    if data_dir is not None:
        return _from_folder(data_dir), f"local IDX files in {data_dir.name}"
    cache = cache_folder() / "mnist"
    if not all((cache / name).exists() for name in MD5):
        _fetch_from_hub(cache)
    return _from_folder(cache), f"Hugging Face Hub, {HUB_DATASET} at {HUB_REVISION[:7]}"


def _from_folder(folder: Path) -> Arrays:
    if (folder / "mnist").is_dir():
        folder = folder / "mnist"
    return {name: read_idx(_file(folder, name), md5) for name, md5 in MD5.items()}


def _file(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.exists():
            return path
    raise ValueError(
        f"no {name} or {name}.gz in {folder}; point --data-dir or QNEWTON_DATA at a folder with "
        "MNIST's four IDX files, or at none to fetch them from the Hugging Face Hub"
    )


def _fetch_from_hub(cache: Path) -> None:
    """Fetch MNIST from the Hub and keep it as the IDX files it was made from."""
    try:
        from datasets import load_dataset  # pyright: ignore[reportMissingImports]  # extra
    except ImportError:
        raise ValueError(
            "workload 'mnist' needs data: pass --data-dir (or QNEWTON_DATA) with MNIST's IDX "
            "files, or install the Hub's loader with pip install 'qnewton[text]' pillow"
        ) from None
    try:
        splits = load_dataset(HUB_DATASET, revision=HUB_REVISION)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"MNIST could not be fetched from the Hugging Face Hub ({reason}); pass --data-dir "
            "with MNIST's IDX files"
        ) from error
    for split, stem in (("train", "train"), ("test", "t10k")):
        data = splits[split]
        images = np.stack([np.asarray(image, np.uint8) for image in data["image"]])
        labels = np.asarray(data["label"], np.uint8)
        _keep(cache / f"{stem}-images-idx3-ubyte", images)
        _keep(cache / f"{stem}-labels-idx1-ubyte", labels)


def _keep(path: Path, array: NDArray[np.uint8]) -> None:
    raw = encode_idx(array)
    found = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    if found != MD5[path.name]:
        raise ValueError(
            f"the Hub's {path.name} is not MNIST as distributed (MD5 {found}, expected "
            f"{MD5[path.name]}); pass --data-dir with MNIST's IDX files"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, raw)
