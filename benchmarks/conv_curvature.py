"""How fast is the curvature of a convolutional and of a tanh network beside its peers?

N ≈ 3,000, float32; every time includes the closure. ``torch.func.hessian`` takes all columns at
once, which on the convolutional network needs tens of gigabytes: there torch.func in its best
mode and chunk size stands in for it, and peers are timed on 256 columns and scaled, with one run
of the whole to check the scaling by.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.contenders import (
    curvlinops_hessian,
    difference,
    qnewton_hessian,
    qnewton_route,
    spread_columns,
    torch_func_hessian,
    torch_func_settings,
)
from benchmarks.harness import (
    INSTALL,
    Contender,
    Report,
    Row,
    Say,
    Timing,
    describe_machine,
    fastest,
    interleave,
    missing_peers,
    reached,
    speed,
)
from benchmarks.problems import Problem, conv_net, tanh_mlp

# Sums of a few thousand float32 terms in another order.
AGREEMENT = 1e-5
OURS, WHOLE = "qnewton", "torch.func.hessian"
OVER_TORCH_FUNC, OVER_CURVLINOPS = 8, 5


@dataclass(frozen=True)
class Case:
    """One network and how its peers are timed.

    Attributes:
        name: In one word.
        build: Makes model and batch.
        columns: How many columns of the Hessian peers compute; ``None`` for all.
        chunks: Chunk sizes that peers may choose from.
    """

    name: str
    build: Callable[[], Problem]
    columns: int | None
    chunks: tuple[int, ...]


CASES = (
    Case("convolutional", conv_net, 256, (8, 32, 128)),
    Case("tanh", tanh_mlp, None, (32, 128, 512)),
)


def measure(say: Say) -> Report:
    """Time and compare both networks."""
    machine = describe_machine()
    rows: list[Row] = []
    timings: dict[str, Timing] = {}
    facts: dict[str, Any] = {}
    for case in CASES:
        found = _Found(case, say)
        rows += found.rows
        timings |= {f"{case.name}: {name}": timing for name, timing in found.timings.items()}
        facts[case.name] = found.facts
    return Report("conv_curvature", rows, machine, timings, facts=facts)


class _Found:
    """What was measured of one case."""

    def __init__(self, case: Case, say: Say) -> None:
        problem = case.build()
        columns = spread_columns(problem.n, case.columns or problem.n)
        route, reason = qnewton_route(problem)
        say(f"{problem.name}, N = {problem.n:,}, {problem.data}; {route}: {reason}")
        self.facts: dict[str, Any] = {
            "network": problem.name,
            "data": problem.data,
            "parameters": problem.n,
            "route": route,
            "route_reason": reason,
            "columns_of_peers": len(columns),
        }
        peers, lacking = _peers(case, problem, columns, self.facts, say)
        ours = Contender(OURS, qnewton_hessian(case.build()))
        self.timings = interleave([ours, *peers], say)
        differences = _differences(ours.run(), peers, columns)
        self.facts["max_difference_over_max_entry"] = differences
        say(f"agreement, max|difference| / max|H|: {differences}")
        if case.columns is not None:
            self.facts["peers_whole_once_seconds"] = _whole_once(case, peers, say)
        title = f"Hessian, {problem.name}, N = {problem.n:,}"
        self.rows = [
            *(
                speed(title, _reach(peer, peers), self.timings[OURS], self.timings[peer.name])
                for peer in peers
            ),
            *lacking,
            *(_agreement(title, name, found) for name, found in differences.items()),
        ]


def _peers(
    case: Case, problem: Problem, columns: Tensor, facts: dict[str, Any], say: Say
) -> tuple[list[Contender[Tensor]], list[Row]]:
    """Return every peer in its best setting, and a row for each that is not installed."""
    peers, tried = [], {}
    if case.columns is None:
        peers.append(Contender(WHOLE, torch_func_hessian(problem)))
    best, tried["torch.func"] = fastest(torch_func_settings(problem, columns, case.chunks), say)
    peers.append(best)
    lacking = []
    if missing_peers("curvlinops"):
        question = f"Hessian, {problem.name}, N = {problem.n:,}: speed over curvlinops"
        reason = f"curvlinops is missing: {INSTALL}"
        lacking.append(Row(question, f"≥ {OVER_CURVLINOPS}×", reason, "not measured"))
    else:
        settings = _curvlinops_settings(problem, columns, case.chunks)
        best, tried["curvlinops"] = fastest(settings, say)
        peers.append(best)
    facts["settings_tried"] = tried
    return peers, lacking


def _curvlinops_settings(
    problem: Problem, columns: Tensor, chunks: Sequence[int]
) -> Iterator[Contender[Tensor]]:
    for chunk in chunks:
        yield Contender(
            f"curvlinops, chunks of {chunk}",
            curvlinops_hessian(problem, columns, chunk),
            scale=problem.n / len(columns),
        )


def _reach(peer: Contender[Tensor], peers: Sequence[Contender[Tensor]]) -> float | None:
    """Return what the issue asks of a peer: torch.func's best only stands in for the whole."""
    if peer.name.startswith("curvlinops"):
        return OVER_CURVLINOPS
    stood_in_for = any(other.name == WHOLE for other in peers)
    return OVER_TORCH_FUNC if peer.name == WHOLE or not stood_in_for else None


def _differences(
    entries: Tensor, peers: Sequence[Contender[Tensor]], columns: Tensor
) -> dict[str, float]:
    found = {}
    for peer in peers:
        # A symmetric matrix: a column of it is also a row.
        result = peer.run().detach()
        part = entries if peer.name == WHOLE else entries[columns]
        found[peer.name] = difference(result if result.shape == part.shape else result.mT, part)
    return found


def _whole_once(case: Case, peers: Sequence[Contender[Tensor]], say: Say) -> dict[str, float]:
    """Return the seconds of one run of all columns, for each peer that was timed on a part."""
    problem = case.build()
    columns = torch.arange(problem.n)
    settings = [*torch_func_settings(problem, columns, case.chunks)]
    if not missing_peers("curvlinops"):
        settings += _curvlinops_settings(problem, columns, case.chunks)
    whole = {setting.name: setting for setting in settings}
    found = {}
    for peer in peers:
        start = time.perf_counter()
        whole[peer.name].run()
        found[peer.name] = time.perf_counter() - start
        say(f"all columns by {peer.name}, once: {found[peer.name]:.3g} s")
    return found


def _agreement(title: str, peer: str, found: float) -> Row:
    reach = f"≤ {AGREEMENT:g} of the largest entry"
    return reached(f"{title}: entries beside {peer}", reach, f"{found:.1e}", found <= AGREEMENT)
