"""Where files that can be made or fetched again are kept between runs."""

import os
from collections.abc import Mapping
from pathlib import Path


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return ``$QNEWTON_CACHE``, else ``$XDG_CACHE_HOME/qnewton``, else ``~/.cache/qnewton``.

    Example:
        >>> cache_folder({"QNEWTON_CACHE": "somewhere"}).name
        'somewhere'
    """
    if environment.get("QNEWTON_CACHE"):
        return Path(environment["QNEWTON_CACHE"])
    if environment.get("XDG_CACHE_HOME"):
        return Path(environment["XDG_CACHE_HOME"]) / "qnewton"
    return Path.home() / ".cache" / "qnewton"
