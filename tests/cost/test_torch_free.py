import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "unloaded"),
    [
        ("qnewton.records", ["torch", "scipy", "numpy"]),
        ("qnewton.runs", ["torch", "scipy", "numpy"]),
        # Prices are functions of arrays.
        ("qnewton.queries", ["torch", "scipy"]),
        ("qnewton.cost", ["torch", "scipy"]),
        ("qnewton.scheduler.policy", ["torch", "scipy"]),
        ("qnewton.scheduler.offers", ["torch", "scipy"]),
        ("qnewton.scheduler.pricing", ["torch", "scipy"]),
    ],
)
def test_importing_leaves_torch_unloaded(module, unloaded):
    code = f"import sys, {module}; print([m for m in {unloaded} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pricing_loads_no_run_folders():
    code = (
        "import sys, qnewton.cost; print([m for m in sys.modules if m.startswith('qnewton.runs')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_room_is_reachable_from_the_package_without_torch():
    code = (
        "import sys, qnewton; "
        "qnewton.cost.queries.jennings_2023(alpha=1, kappa=10, epsilon=0.01); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
