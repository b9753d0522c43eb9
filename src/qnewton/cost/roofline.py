"""Rates of every kernel from a machine's bandwidth and sustained operations, where none was timed.

seconds of a unit = bytes moved / bandwidth + operations / sustained rate, and a fixed time for
every kernel that a call starts. Moving and computing are added, as if neither hid the other.
"""

from dataclasses import dataclass

from qnewton.cost.kernels import KERNELS
from qnewton.records import KernelFit

_ITEM_BYTES = {"float32": 4, "float64": 8}


@dataclass(frozen=True, kw_only=True)
class Roofline:
    """What a machine's rates follow from.

    Attributes:
        bandwidth_bytes_per_s: Sustained memory bandwidth, of all nodes together.
        float32_flops: Sustained operations per second of large matrix products in float32.
        float64_flops: The same in float64.
        unblocked_share: Share of these that is left where no large products are: LDLᵀ, sparse
            factors.
        launch_s: Seconds to start one kernel.
    """

    bandwidth_bytes_per_s: float
    float32_flops: float
    float64_flops: float
    unblocked_share: float
    launch_s: float


@dataclass(frozen=True)
class Work:
    """What one unit of a kernel's work takes.

    Attributes:
        entries: Numbers of the dtype that are read or written.
        more_bytes: Bytes beside them: indices, and numbers that are float64 whatever the dtype.
        flops: Operations in large matrix products.
        unblocked: Operations outside of them.
        starts: Kernels that a call starts.
        doubled: Whether it computes in float64 whatever the dtype.
    """

    entries: float = 0.0
    more_bytes: float = 0.0
    flops: float = 0.0
    unblocked: float = 0.0
    starts: int = 1
    doubled: bool = False


# Some three for each panel of 64 columns, as many as there are at N = 4,096.
_PANELS = 200

WORK: dict[str, Work] = {
    "lu_inverse": Work(flops=2.0, starts=_PANELS),
    "lu": Work(flops=2.0 / 3.0, starts=_PANELS),
    "cholesky": Work(flops=1.0 / 3.0, starts=_PANELS),
    "ldl": Work(unblocked=1.0 / 3.0, starts=_PANELS),
    # Both triangles and the residual, and all of it again for a refinement.
    "substitution": Work(entries=4.0, starts=40),
    "matvec": Work(entries=1.0),
    "sparse_matvec": Work(entries=1.0, more_bytes=4.0),  # an index of 32 bits; x stays in a cache
    # Three updates, two inner products and a copy to float64; no bound asks for a basis.
    "cg_step": Work(entries=16.0, more_bytes=24.0, starts=12),
    "minres_step": Work(more_bytes=24 * 8.0, starts=20),
    "residual": Work(entries=1.0, more_bytes=16.0, starts=5),  # a copy in float64, and its product
    "gemm": Work(flops=1.0),
    "gram": Work(flops=1.0),
    "householder": Work(flops=1.0, starts=_PANELS),
    "woodbury_solve": Work(entries=8.0, starts=30),
    "forward_backward": Work(flops=1.0, starts=33),
    "curvature_product": Work(flops=1.0, starts=66),
    "curvature_rows": Work(flops=1.0, starts=66),
    "closed_form_product": Work(flops=1.0, starts=10),
    "factor_product": Work(flops=1.0, starts=10),
    "factor_gram": Work(flops=1.0, starts=10),
    "compress": Work(entries=2.0, starts=20),
    "sparse_factor": Work(unblocked=2.0, starts=_PANELS),
    "elementwise": Work(entries=2.0),
    "sort": Work(entries=2.0, starts=10),
    # 9N³ operations, and half of the reduction to a tridiagonal matrix is products: N³/3 entries.
    "eigen": Work(more_bytes=8.0 / 3.0, flops=9.0, starts=_PANELS, doubled=True),
}
"""What a unit of each kernel moves and computes; counted from what it does, nothing was timed."""


def roofline_fits(machine: Roofline) -> tuple[KernelFit, ...]:
    """Return the fits of every kernel in :data:`~qnewton.cost.KERNELS`, in both dtypes.

    Args:
        machine: Its bandwidth and sustained operations.

    Cost: a few scalar operations a kernel.

    Reference: S. Williams, A. Waterman and D. Patterson, Roofline, Communications of the ACM 52
    (2009) 65; here times are added, which is at most twice as long.

    Example:
        >>> machine = Roofline(bandwidth_bytes_per_s=1e12, float32_flops=1e13, float64_flops=5e12,
        ...                    unblocked_share=0.1, launch_s=1e-5)
        >>> rates = {(f.kernel, f.dtype): f.seconds_per_unit for f in roofline_fits(machine)}
        >>> rates["matvec", "float64"], rates["gemm", "float32"]
        (8e-12, 1e-13)
    """
    return tuple(
        KernelFit(
            kernel=name,
            work=KERNELS[name].unit,
            dtype=dtype,
            seconds_per_unit=_seconds(machine, work, dtype),
            # The paper's C·N³ has none. Without one small inversions would take no time at all.
            overhead_s=work.starts * machine.launch_s,
        )
        for name, work in WORK.items()
        for dtype in _ITEM_BYTES
    )


def _seconds(machine: Roofline, work: Work, dtype: str) -> float:
    doubled = work.doubled or dtype == "float64"
    moved = work.entries * _ITEM_BYTES[dtype] + work.more_bytes
    operations = work.flops + work.unblocked / machine.unblocked_share
    rate = machine.float64_flops if doubled else machine.float32_flops
    return moved / machine.bandwidth_bytes_per_s + operations / rate
