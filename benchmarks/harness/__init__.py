"""How benchmarks time, weigh and report, so that each benchmark only says what it compares."""

from benchmarks.harness.machine import available_bytes, cpus_allowed, describe_machine
from benchmarks.harness.memory import peak_bytes
from benchmarks.harness.peers import INSTALL, missing_peers
from benchmarks.harness.results import Report, Row, reached, speed, table
from benchmarks.harness.timing import REPEATS, Contender, Say, Timing, fastest, interleave, ratio

__all__ = [
    "INSTALL",
    "REPEATS",
    "Contender",
    "Report",
    "Row",
    "Say",
    "Timing",
    "available_bytes",
    "cpus_allowed",
    "describe_machine",
    "fastest",
    "interleave",
    "missing_peers",
    "peak_bytes",
    "ratio",
    "reached",
    "speed",
    "table",
]
