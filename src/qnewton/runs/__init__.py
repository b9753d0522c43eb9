"""The run folder: what a run was asked, what it did, and how to go on with it."""

from qnewton.runs.atomic import cache_folder, write_atomically, write_text
from qnewton.runs.checkpoints import Checkpoint, latest_checkpoint, read_checkpoint
from qnewton.runs.config import (
    RunConfig,
    check_config,
    check_new_folder,
    create_folder,
    read_config,
    write_config,
)
from qnewton.runs.errors import (
    CorruptRunError,
    NewerSchemaError,
    NotARunError,
    RunExistsError,
    RunStorageError,
)
from qnewton.runs.reader import (
    Comparison,
    ComparisonRow,
    Run,
    count_decisions,
    read_comparison,
    read_run,
    write_comparison,
)
from qnewton.runs.recorded import pack_run, recorded, recorded_names, run_folders
from qnewton.runs.writer import RunWriter

__all__ = ["Checkpoint", "Comparison", "ComparisonRow", "CorruptRunError", "NewerSchemaError"]
__all__ += ["NotARunError", "Run", "RunConfig", "RunExistsError", "RunStorageError", "RunWriter"]
__all__ += [
    "cache_folder",
    "check_config",
    "check_new_folder",
    "count_decisions",
    "create_folder",
    "latest_checkpoint",
]
__all__ += ["read_checkpoint", "read_comparison", "read_config", "read_run", "write_atomically"]
__all__ += ["pack_run", "recorded", "recorded_names", "run_folders"]
__all__ += ["write_comparison", "write_config", "write_text"]
