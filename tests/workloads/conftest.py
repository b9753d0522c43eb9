import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Keep what tests cache away from the user's cache."""
    monkeypatch.setenv("QNEWTON_CACHE", str(tmp_path_factory.mktemp("cache")))


LINES = " = Title = \n the quick brown fox jumps over the lazy <unk> dog . \n" * 400


@pytest.fixture
def data(tmp_path):
    """A data folder with a little WikiText-2: no training split, no pretrained model."""
    folder = tmp_path / "wikitext-2"
    folder.mkdir()
    (folder / "valid.txt").write_text(LINES)
    (folder / "test.txt").write_text(LINES[: len(LINES) // 4])
    return tmp_path
