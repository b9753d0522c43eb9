"""Contenders take turns, and a number says what was really run."""

import pytest

from benchmarks.harness import REPEATS, Contender, Timing, fastest, interleave, ratio


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.harness.timing._SETTLE_S", 0.0)


def silent(line: str) -> None:
    """Say nothing."""


def refuse() -> None:
    raise RuntimeError("no batching rule\nsecond line")


@pytest.mark.slow
def test_each_warms_up_once_and_then_all_take_turns() -> None:
    order: list[str] = []
    found = interleave(
        [
            Contender("a", lambda: order.append("a")),
            Contender("b", lambda: order.append("b"), repeats=2, slower=True),
        ],
        silent,
    )
    assert order[:2] == ["a", "b"]
    assert sorted(order[2:4]) == sorted(order[4:6]) == ["a", "b"]
    assert order[6:] == ["a", "a", "a"]
    assert [len(found[name].seconds) for name in "ab"] == [REPEATS, 2]
    assert found["b"].slower


def test_few_repeats_need_a_label() -> None:
    with pytest.raises(ValueError, match="label it slower=True"):
        Contender("a", lambda: None, repeats=4)
    with pytest.raises(ValueError, match="at least 1"):
        Contender("a", lambda: None, repeats=0, slower=True)


def test_names_differ() -> None:
    with pytest.raises(ValueError, match="names of their own"):
        interleave([Contender("a", lambda: None), Contender("a", lambda: None)], silent)


def test_a_part_is_scaled_to_the_whole_and_its_samples_are_kept() -> None:
    part = Timing("part", (1.0, 3.0, 2.0), scale=10.0)
    assert part.median == 20.0
    assert part.seconds == (1.0, 3.0, 2.0)
    assert ratio(part, Timing("ours", (4.0,))) == 5.0


def test_the_fastest_counts_the_whole_and_keeps_refusals() -> None:
    spin = lambda: sum(range(20_000))  # noqa: E731
    best, tried = fastest(
        [
            Contender("a tiny part of it", spin, scale=1e6),
            Contender("refuses", refuse),
            Contender("the whole", spin),
        ],
        silent,
    )
    assert best.name == "the whole"
    assert tried["refuses"] == "refused: no batching rule"


def test_a_peer_that_refuses_every_setting_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="no batching rule"):
        fastest([Contender("refuses", refuse)], silent)
