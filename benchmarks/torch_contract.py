"""How much of PyTorch's own optimizer suite does QNewton pass, and what does not apply?

Runs test_torch_state.py and test_torch_contract.py of tests/optimizer, whose tests are the suite's,
and prints one line per check: passed with how many variants, failed, or not run here and why. Exits
with 1 if one failed.

    python benchmarks/torch_contract.py
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from types import ModuleType

import pytest
import torch

_TESTS = Path(__file__).parents[1] / "tests" / "optimizer"
CHECKS = (_TESTS / "test_torch_state.py", _TESTS / "test_torch_contract.py")
BEYOND = "test_non_empty_state"  # the suite's last; tests below it show the refusals


class Collector:
    """Keeps every test's outcome, by its function, in the order of the file."""

    def __init__(self) -> None:
        self.outcomes: dict[str, list[str]] = defaultdict(list)
        self.reasons: dict[str, str] = {}
        self.module: ModuleType | None = None

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Remember the module, for its list of what does not apply."""
        self.module = getattr(items[-1], "module", None) if items else None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test once: at its call, or where its setup ended it."""
        if report.when != "call" and report.passed:
            return
        name = report.nodeid.rpartition("::")[2].partition("[")[0]
        self.outcomes[name].append(report.outcome)
        if report.skipped and isinstance(report.longrepr, tuple):
            self.reasons[name] = report.longrepr[2].removeprefix("Skipped: ")


def main() -> int:
    """Run the checks and print the table."""
    collector = Collector()
    code = pytest.main(
        [*map(str, CHECKS), "--quiet", "--no-header", "--no-summary", "--tb=short"], [collector]
    )
    if collector.module is None:
        return int(code)
    names = list(collector.outcomes)
    suite = names[: names.index(BEYOND) + 1]
    print(f"\nPyTorch's optimizer suite (TestOptimRenewed) on QNewton, torch {torch.__version__}\n")
    passed = 0
    for name in suite:
        outcomes = collector.outcomes[name]
        if "failed" in outcomes:
            verdict = f"FAILED  {outcomes.count('failed')} of {len(outcomes)}"
        elif set(outcomes) == {"skipped"}:
            verdict = f"not run here: {collector.reasons[name]}"
        else:
            passed += 1
            verdict = "passed" + (f", {len(outcomes)} variants" if len(outcomes) > 1 else "")
        print(f"  {name:58s} {verdict}")
    inapplicable: dict[str, str] = collector.module.INAPPLICABLE
    print(f"\npassed {passed} of {len(suite)} applicable checks")
    print(f"\n{len(inapplicable)} do not apply:\n")
    for name, reason in inapplicable.items():
        print(f"  {name:58s} {reason}")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
