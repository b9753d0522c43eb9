"""Tokens, windows and masks: what a language workload feeds a model."""

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.workloads.text import IGNORED, Masking, packed, tokens_of

TEXT = "one two three\nfour five\n" * 20


def encode(text):
    return [len(word) for word in text.split()]


def fail(text):
    raise AssertionError("tokenised again")


def test_a_second_look_reads_the_cache(tmp_path):
    first = tokens_of(TEXT, encode, "lengths", tmp_path)
    assert torch.equal(first, tokens_of(TEXT, fail, "lengths", tmp_path))
    assert first.tolist() == encode(TEXT)


@pytest.mark.parametrize("other", [("lengths", TEXT + "six\n"), ("lengths, another", TEXT)])
def test_other_text_or_another_tokenizer_never_meets_an_old_entry(tmp_path, other):
    tokens_of(TEXT, encode, "lengths", tmp_path)
    identity, text = other
    with pytest.raises(AssertionError, match="tokenised again"):
        tokens_of(text, fail, identity, tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:-3],
        lambda raw: b"",
        lambda raw: raw[:40] + bytes([raw[40] ^ 1]) + raw[41:],
        lambda raw: raw + b"abcd",
    ],
    ids=["truncated", "empty", "one bit", "longer"],
)
def test_a_corrupt_cache_is_made_again_and_said(tmp_path, damage):
    whole = tokens_of(TEXT, encode, "lengths", tmp_path)
    [path] = tmp_path.iterdir()
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(UserWarning, match=r"token cache .* is corrupt .* tokenising again"):
        again = tokens_of(TEXT, encode, "lengths", tmp_path)
    assert torch.equal(whole, again)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(whole, tokens_of(TEXT, fail, "lengths", tmp_path))


def test_windows_are_consecutive_and_too_little_text_is_refused():
    assert packed(torch.arange(11), 4).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    with pytest.raises(ValueError, match="has 3 tokens, a window 4"):
        packed(torch.arange(3), 4)


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 5), length=st.integers(7, 40), seed=st.integers(0, 2**31))
def test_a_mask_asks_the_same_number_of_every_sequence_and_never_for_protected_tokens(
    n, length, seed
):
    generator = torch.Generator().manual_seed(seed)
    windows = torch.randint(5, 50, (n, length), generator=generator)
    windows[:, 0], windows[:, -1] = 1, 2
    inputs, targets = Masking(3, 50, (1, 2)).apply(windows, generator)
    asked = targets != IGNORED
    assert (asked.sum(1) == max(1, round(0.15 * length))).all()
    assert not asked[:, [0, -1]].any()
    assert torch.equal(targets[asked], windows[asked])
    assert torch.equal(inputs[~asked], windows[~asked])


def test_most_tokens_asked_for_are_hidden():
    generator = torch.Generator().manual_seed(0)
    windows = torch.randint(5, 1000, (200, 100), generator=generator)
    inputs, targets = Masking(3, 1000, ()).apply(windows, generator)
    asked = targets != IGNORED
    hidden = float((inputs[asked] == 3).double().mean())
    own = float((inputs[asked] == windows[asked]).double().mean())
    # 3,000 draws: a standard deviation is below 0.01.
    assert abs(hidden - 0.8) < 0.04
    assert abs(own - 0.1) < 0.04
