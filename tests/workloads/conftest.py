import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Keep what tests cache away from the user's cache."""
    monkeypatch.setenv("QNEWTON_CACHE", str(tmp_path_factory.mktemp("cache")))
