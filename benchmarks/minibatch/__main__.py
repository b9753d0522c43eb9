"""Some workloads, seeds and seconds of the benchmark, with a table at the end."""

import argparse

from rich.console import Console

from benchmarks.harness import table
from benchmarks.minibatch.campaign import Plan, measure
from benchmarks.minibatch.workloads import WORKLOADS


def main(arguments: list[str] | None = None) -> None:
    """Run what is asked for."""
    names = [workload.name for workload in WORKLOADS]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.minibatch", description=__doc__)
    parser.add_argument("--workload", action="append", choices=names, help="may be given again")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--threads", type=int, action="append", help="may be given again; 1")
    options = parser.parse_args(arguments)
    chosen = options.workload or names
    plan = Plan(
        workloads=tuple(workload for workload in WORKLOADS if workload.name in chosen),
        seeds=options.seeds,
        seconds=options.seconds,
        threads=tuple(options.threads or (1,)),
    )
    report = measure(lambda line: print(line, flush=True), plan)
    Console(width=160).print(table(report.rows))


if __name__ == "__main__":
    main()
