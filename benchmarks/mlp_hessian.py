"""How fast and how small is the whole exact Hessian of 784-16-16-10 beside jax and torch.func?

N = 13,002, batch 2048, float32. Ours includes the closure; jax's compilation is left out.
torch.func would take minutes: it is timed on 256 columns, in its best mode and chunk size, and
scaled to all. "Bare products" are the matrix products of the closed form alone.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from benchmarks.bare_products import Product, bare_products, products_run
from benchmarks.contenders import (
    difference,
    qnewton_hessian,
    qnewton_route,
    spread_columns,
    torch_func_settings,
)
from benchmarks.harness import (
    INSTALL,
    Contender,
    Report,
    Row,
    Say,
    Timing,
    available_bytes,
    describe_machine,
    fastest,
    interleave,
    missing_peers,
    peak_bytes,
    ratio,
    reached,
    speed,
)
from benchmarks.jax_hessian import as_tensor, jax_hessian
from benchmarks.problems import mnist_mlp

COLUMNS = 256
CHUNKS = (32, 128, 256)
# Twelve gigabytes of temporaries and one of result; checked, or the system kills something.
JAX_BYTES = 13_500_000_000
# Sums of 2048 float32 terms in another order.
AGREEMENT = 1e-5
OURS, JAX, BARE = "qnewton", "jax.hessian, jitted", "bare products"


def ours() -> Callable[[], Tensor]:
    """Return our run, for a process of its own."""
    return qnewton_hessian(mnist_mlp())


def jax() -> Callable[[], Any]:
    """Return jax's run, for a process of its own."""
    return jax_hessian(mnist_mlp())


def measure(say: Say) -> Report:
    """Time, weigh and compare all contenders."""
    machine = describe_machine()
    problem = mnist_mlp()
    columns = spread_columns(problem.n, COLUMNS)
    no_jax = _why_no_jax()
    route, reason = qnewton_route(problem)
    say(f"{problem.name}, {problem.data}; {route}: {reason}")

    torch_func, tried = fastest(torch_func_settings(problem, columns, CHUNKS), say)
    products = bare_products(mnist_mlp())
    contenders = [
        Contender(OURS, ours()),
        Contender(BARE, products_run(products)),
        torch_func,
        *([] if no_jax else [Contender(JAX, jax())]),
    ]
    timings = interleave(contenders, say)

    entries = ours()()
    differences = {torch_func.name: difference(torch_func.run(), entries[columns])}
    if not no_jax:
        differences[JAX] = difference(as_tensor(jax()()), entries)
    del entries
    say(f"agreement, max|difference| / max|H|: {differences}")
    peaks = {OURS: peak_bytes(ours), **({} if no_jax else {JAX: peak_bytes(jax)})}
    say(f"peak memory in bytes: {peaks}")

    title = f"whole Hessian, {problem.name}, N = {problem.n:,}"
    rows = [
        *_jax_rows(title, timings, peaks, no_jax),
        speed(title, 50, timings[OURS], timings[torch_func.name]),
        _over_bare(title, timings, products),
        *(_agreement(title, name, found) for name, found in differences.items()),
    ]
    facts = {
        "data": problem.data,
        "parameters": problem.n,
        "route": route,
        "route_reason": reason,
        "torch_func_columns": len(columns),
        "torch_func_settings_tried": tried,
        "bare_products": {"count": len(products), "flops": sum(p.flops for p in products)},
        "max_difference_over_max_entry": differences,
    }
    return Report("mlp_hessian", rows, machine, timings, peaks, facts)


def _why_no_jax() -> str | None:
    """Return why jax cannot take part, ``None`` when it can."""
    if missing_peers("jax"):
        return f"jax is missing: {INSTALL}"
    if available_bytes() < JAX_BYTES:
        return (
            f"jax needs {JAX_BYTES / 1e9:.1f} GB and {available_bytes() / 1e9:.1f} GB are free: "
            "end other programs or use a larger machine"
        )
    return None


def _jax_rows(
    title: str, timings: dict[str, Timing], peaks: dict[str, int], no_jax: str | None
) -> list[Row]:
    memory = f"{title}: peak memory of it over {JAX}'s"
    if no_jax:
        return [
            Row(f"{title}: speed over {JAX}", "≥ 6×", no_jax, "not measured"),
            Row(memory, "≤ 1/8", no_jax, "not measured"),
        ]
    share = peaks[OURS] / peaks[JAX]
    measured = f"1/{1 / share:.1f} ({peaks[OURS] / 1e9:.2f} GB, {peaks[JAX] / 1e9:.2f} GB)"
    return [
        speed(title, 6, timings[OURS], timings[JAX]),
        reached(memory, "≤ 1/8", measured, share <= 1 / 8),
    ]


def _over_bare(title: str, timings: dict[str, Timing], products: list[Product]) -> Row:
    bare, flops = timings[BARE].median, sum(product.flops for product in products)
    measured = (
        f"{ratio(timings[OURS], timings[BARE]):.2f}× ({bare:.3g} s for {flops / 1e9:.0f} GFLOP: "
        f"{flops / bare / 1e9:.0f} GFLOP/s)"
    )
    return Row(f"{title}: time over the bare matrix products", "", measured, "")


def _agreement(title: str, peer: str, found: float) -> Row:
    reach = f"≤ {AGREEMENT:g} of the largest entry"
    return reached(f"{title}: entries beside {peer}", reach, f"{found:.1e}", found <= AGREEMENT)
