"""IDX files, the format MNIST is distributed in, read with every byte accounted for.

An IDX file is a magic number (two zero bytes, a type code, the number of dimensions), each
dimension as a big-endian 32-bit integer, then the entries in row-major order.
"""

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

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
