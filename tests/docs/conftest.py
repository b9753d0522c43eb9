from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, with nominal prices: no calibration of this machine is found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QNEWTON_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("QNEWTON_DATA", raising=False)
