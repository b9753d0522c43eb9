import gc
import os

# Several test processes on few cores: OpenMP threads that wait for each other spin, and a suite
# of seconds takes minutes. Torch is not imported for that: the process that only hands tests out
# does without it, and the commands that tests start inherit the variable.
os.environ["OMP_NUM_THREADS"] = "1"


def pytest_collection() -> None:
    gc.disable()


def pytest_collection_finish() -> None:
    """Leave out of all later garbage collections the modules and tests that live to the end."""
    gc.enable()
    gc.freeze()
