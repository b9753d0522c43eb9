"""Where second order pays and where to take Adam: README's table, from the committed results.

python -m benchmarks.minibatch.where_it_pays
"""

import json
from collections.abc import Mapping
from typing import Any

from benchmarks.harness.results import FOLDER
from benchmarks.minibatch.workloads import WORKLOADS

_EQUAL = 1.1  # times, up to which two are as fast


def table_of(facts: Mapping[str, Any]) -> str:
    """Return the table in Markdown, the workloads where QNewton is fastest first.

    Args:
        facts: Of ``minibatch.json``.
    """
    rows = [(name, facts[name]) for workload in WORKLOADS if (name := workload.name) in facts]
    rows.sort(key=lambda row: row[1]["times_as_long_as_adam"] or float("inf"))
    lines = [
        "| trained | QNewton's time over Adam's | take |",
        "|---|---|---|",
    ]
    lines += [f"| {one['title']} | {_times(one)} | {_advice(one)} |" for _, one in rows]
    return "\n".join(lines)


def _times(found: Mapping[str, Any]) -> str:
    times = found["times_as_long_as_adam"]
    return "not within 4" if times is None else f"{times:.2f}"


def _advice(found: Mapping[str, Any]) -> str:
    times = found["times_as_long_as_adam"]
    if times is None or times > _EQUAL:
        return "Adam, if its learning rate is tuned"
    return "either" if times > 1 / _EQUAL else "QNewton"


if __name__ == "__main__":
    path = FOLDER / "minibatch.json"
    print(table_of(json.loads(path.read_text(encoding="utf-8"))["facts"]))
