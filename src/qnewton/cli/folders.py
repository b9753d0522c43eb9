"""Where a run's data come from and its results go."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class FolderOptions:
    """Where data come from, and where results go.

    Attributes:
        out: New folder for the results; by default one below runs/ is named by workload and time.
        data_dir: Local folder with data, for workloads that need one (else QNEWTON_DATA).
    """

    out: Path | None = None
    data_dir: Path | None = None

    def new_folder(self, name: str) -> Path:
        """Return the folder asked for, else ``runs/NAME-DATE-TIME``, numbered if that is taken."""
        if self.out is not None:
            return self.out
        stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        folder, number = Path("runs") / f"{name}-{stamp}", 1
        while folder.exists():
            number += 1
            folder = folder.with_name(f"{name}-{stamp}-{number}")
        return folder
