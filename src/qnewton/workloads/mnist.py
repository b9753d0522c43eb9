"""MNIST, from a local folder of IDX files or the Hugging Face Hub.

An IDX file is a magic number (two zero bytes, a type code, the number of dimensions), each
dimension as a big-endian 32-bit integer, then the entries in row-major order.
"""

import gzip
import hashlib
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from qnewton.runs import cache_folder, write_atomically
from qnewton.workloads.base import Workload, standardise
from qnewton.workloads.mlp import build_mlp
from qnewton.workloads.sources import data_folder, hub_dataset

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path, md5: str) -> NDArray[np.uint8]:
    """Return the unsigned-byte array in an IDX file, gzipped or not.

    Args:
        path: The file; ``.gz`` at its end says that it is compressed.
        md5: MD5 of the uncompressed bytes.

    Raises:
        ValueError: If the file is truncated, is no such IDX file, or has another checksum.
        OSError: If it cannot be read.
    """
    raw = path.read_bytes()
    if path.suffix == ".gz":
        try:
            raw = gzip.decompress(raw)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(_replace(path, f"is truncated or no gzip file ({error})")) from error
    array = parse_idx(raw, path)
    found = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    if found != md5:
        raise ValueError(_replace(path, f"is corrupt: its MD5 is {found}, expected {md5}"))
    return array


def parse_idx(raw: bytes, path: Path) -> NDArray[np.uint8]:
    """Return the array that the bytes of an IDX file describe; ``path`` names it in errors.

    Raises:
        ValueError: If the header is not that of unsigned bytes, or the size does not fit it.
    """
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] != _UNSIGNED_BYTE:
        raise ValueError(_replace(path, "is no IDX file of unsigned bytes"))
    dimensions = raw[3]
    start = 4 + 4 * dimensions
    if len(raw) < start:
        raise ValueError(_replace(path, "is truncated within its header"))
    shape = np.frombuffer(raw, ">u4", count=dimensions, offset=4).astype(np.int64)
    expected = start + int(np.prod(shape))
    if len(raw) != expected:
        raise ValueError(_replace(path, f"has {len(raw)} bytes, its header promises {expected}"))
    return np.frombuffer(raw, np.uint8, offset=start).reshape(shape)


def encode_idx(array: NDArray[np.uint8]) -> bytes:
    """Return the bytes of an IDX file that holds ``array``.

    Example:
        >>> parse_idx(encode_idx(np.array([[1, 2]], np.uint8)), Path("x")).tolist()
        [[1, 2]]
    """
    header = bytes((0, 0, _UNSIGNED_BYTE, array.ndim))
    return header + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def _replace(path: Path, what: str) -> str:
    return f"{path} {what}; replace it by a fresh copy"


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
    arrays, source = mnist_arrays(data_dir)
    train, train_targets, test, test_targets = (torch.tensor(arrays[name]) for name in MD5)
    train_inputs, test_inputs = standardise(
        train.flatten(1).to(torch.float32), test.flatten(1).to(torch.float32)
    )
    return Workload(
        name="mnist",
        title="MNIST (70,000 images of 28×28), ReLU network 784-16-16-10",
        train_inputs=train_inputs,
        train_targets=train_targets.long(),
        test_inputs=test_inputs,
        test_targets=test_targets.long(),
        build_model=partial(build_mlp, (784, 16, 16, 10)),
        loss=cross_entropy,
        target_accuracy=0.90,
        batch_size=2048,
        evaluate_every=5,
        newton_lr=1.0,
        sgd_learning_rates=(0.01, 0.03, 0.1, 0.3, 1.0),
        source=source,
    )


def mnist_arrays(data_dir: Path | None) -> tuple[Arrays, str]:
    """Return MNIST's four arrays by the names in ``MD5``, and where they came from.

    Args:
        data_dir: As :func:`load_mnist_workload` takes it.

    Raises:
        ValueError: If a file is missing, truncated or corrupt, or the Hub cannot be used.
    """
    data_dir = data_folder(data_dir)
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
    found = next((p for p in (folder / name, folder / f"{name}.gz") if p.exists()), None)
    if found is not None:
        return found
    raise ValueError(
        f"no {name} or {name}.gz in {folder}; point --data-dir or QNEWTON_DATA at a folder with "
        "MNIST's four IDX files, or at none to fetch them from the Hugging Face Hub"
    )


def _fetch_from_hub(cache: Path) -> None:
    """Fetch MNIST from the Hub and keep it as the IDX files it was made from."""
    splits = hub_dataset("MNIST", "its four IDX files", HUB_DATASET, revision=HUB_REVISION)
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
