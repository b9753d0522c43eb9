"""MNIST from IDX files: whole and right, or one clear line."""

import gzip
import hashlib
import os
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays

from qnewton.workloads import load_workload, mnist
from qnewton.workloads.mnist import encode_idx, parse_idx

SHARED = Path(os.environ.get("QNEWTON_DATA", Path(__file__).parents[2].parent / "shared" / "data"))


@given(arrays.arrays(np.uint8, arrays.array_shapes(max_dims=3)))
@settings(deadline=None, max_examples=50)
def test_an_array_survives_the_idx_format(array: np.ndarray) -> None:
    assert np.array_equal(parse_idx(encode_idx(array), Path("x")), array)


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder laid out like MNIST's, with 30 and 10 images, and the checksums to match."""
    rng = np.random.default_rng(0)
    folder, sums = tmp_path / "mnist", {}
    folder.mkdir()
    for name in mnist.MD5:
        n = 30 if name.startswith("train") else 10
        shape = (n, 28, 28) if "images" in name else (n,)
        raw = encode_idx(rng.integers(0, 10, shape).astype(np.uint8))
        (folder / f"{name}.gz").write_bytes(gzip.compress(raw))
        sums[name] = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    monkeypatch.setattr(mnist, "MD5", sums)
    return tmp_path


def test_a_folder_of_idx_files_is_read_gzipped_or_not_nested_or_not(small: Path) -> None:
    nested = load_workload("mnist", seed=0, data_dir=small)
    assert nested.train_inputs.shape == (30, 784)
    for path in (small / "mnist").glob("*.gz"):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    flat = load_workload("mnist", seed=0, data_dir=small / "mnist")
    assert torch.equal(nested.train_inputs, flat.train_inputs)
    assert torch.equal(nested.test_targets, flat.test_targets)
    assert sum(p.numel() for p in flat.build_model(0).parameters()) == 13_002


def test_the_environment_names_the_folder(small: Path, monkeypatch) -> None:
    monkeypatch.setenv("QNEWTON_DATA", str(small))
    assert load_workload("mnist", seed=0).n_train == 30


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda raw: None, "no train-images-idx3-ubyte or train-images-idx3-ubyte.gz in"),
        (lambda raw: gzip.compress(raw)[:-20], "is truncated or no gzip file"),
        (lambda raw: b"not gzip", "is truncated or no gzip file"),
        (lambda raw: gzip.compress(raw[:-1]), "its header promises"),
        (lambda raw: gzip.compress(raw[:9]), "is truncated within its header"),
        (lambda raw: gzip.compress(b"\1" + raw[1:]), "is no IDX file of unsigned bytes"),
        (lambda raw: gzip.compress(raw[:-1] + b"\xff"), "is corrupt: its MD5 is"),
    ],
)
def test_a_spoiled_file_is_one_line_that_names_it(small: Path, spoil, says: str) -> None:
    path = small / "mnist" / "train-images-idx3-ubyte.gz"
    raw = gzip.decompress(path.read_bytes())
    path.unlink()
    changed = spoil(raw)
    if changed is not None:
        path.write_bytes(changed)
    with pytest.raises(ValueError, match=says) as caught:
        load_workload("mnist", seed=0, data_dir=small)
    assert "\n" not in str(caught.value)


def fake_hub(folder: Path, *, spoiled: bool = False) -> types.ModuleType:
    """A ``datasets`` module whose ``load_dataset`` serves a folder, rows in its order."""

    def load_dataset(name: str, revision: str) -> dict:
        assert name == "ylecun/mnist"
        assert len(revision) == 40
        splits = {}
        for split, stem in (("train", "train"), ("test", "t10k")):
            read = {
                kind: parse_idx(
                    gzip.decompress((folder / "mnist" / f"{stem}-{kind}.gz").read_bytes()),
                    folder,
                )
                for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")
            }
            images = list(read["images-idx3-ubyte"])
            splits[split] = {
                "image": images[::-1] if spoiled else images,
                "label": read["labels-idx1-ubyte"].tolist(),
            }
        return splits

    module = types.ModuleType("datasets")
    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    return module


def test_the_hub_s_copy_is_checked_and_kept(small: Path, monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("QNEWTON_DATA", raising=False)
    monkeypatch.setenv("QNEWTON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "datasets", fake_hub(small))
    fetched = load_workload("mnist", seed=0)
    monkeypatch.setitem(sys.modules, "datasets", None)  # the cache answers from now on
    assert torch.equal(load_workload("mnist", seed=0).train_inputs, fetched.train_inputs)
    local = load_workload("mnist", seed=0, data_dir=small)
    assert torch.equal(local.train_inputs, fetched.train_inputs)
    assert "Hub" in fetched.source


def test_a_hub_copy_that_differs_is_refused_and_not_kept(small, monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("QNEWTON_DATA", raising=False)
    monkeypatch.setenv("QNEWTON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "datasets", fake_hub(small, spoiled=True))
    with pytest.raises(ValueError, match="is not MNIST as distributed"):
        load_workload("mnist", seed=0)
    assert not (tmp_path / "cache" / "mnist" / "train-images-idx3-ubyte").exists()


def test_without_data_or_loader_the_error_says_what_to_do(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("QNEWTON_DATA", raising=False)
    monkeypatch.setenv("QNEWTON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match="pass --data-dir"):
        load_workload("mnist", seed=0)


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "mnist").is_dir(), reason="MNIST is not on this machine")
def test_the_real_files_pass_their_checksums() -> None:
    workload = load_workload("mnist", seed=0, data_dir=SHARED)
    assert workload.train_inputs.shape == (60_000, 784)
    assert workload.test_inputs.shape == (10_000, 784)
    assert workload.train_targets.bincount().tolist()[:3] == [5923, 6742, 5958]
