import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from qnewton.cost import (
    KERNELS,
    cubic_work,
    fit,
    matvec_work,
    nominal_calibration,
    price,
    sort_work,
)
from qnewton.records import Calibration, KernelFit

QUICK = settings(deadline=None, max_examples=100)
SIZES = (64, 128, 256, 512, 1024)
rates = st.floats(1e-13, 1e-8)
overheads = st.floats(1e-8, 1e-3)


def machine(*fits):
    return Calibration(name="m", machine="m", date="2026-01-01", source="s", fits=fits)


@QUICK
@given(rates, overheads)
def test_fit_recovers_an_exact_line(rate, overhead):
    samples = [(cubic_work(n), overhead + rate * cubic_work(n)) for n in SIZES]
    found = fit("lu", "float64", samples)
    # Predictions, not coefficients: where one part is 1e-8 of the other it is rounding noise.
    # rel: scaled 2×2 normal equations lose at most half of 16 digits.
    for work, seconds in samples:
        assert found.overhead_s + found.seconds_per_unit * work == pytest.approx(seconds, rel=1e-7)
    assert found.median_error is not None
    assert found.median_error < 1e-7
    assert (found.kernel, found.dtype, found.work) == ("lu", "float64", "N^3")
    assert found.samples == tuple(samples)


@QUICK
@given(st.lists(st.tuples(st.floats(1, 1e9), st.floats(1e-6, 10)), min_size=3, max_size=8))
@example([(1.0, 1.0), (1.0, 0.5), (1.0000000000000002, 1.5)])  # two amounts, one to 16 digits
@example([(1.0, 1.0), (1.0, 0.5), (1.00000001, 1.5)])
def test_fit_is_the_non_negative_least_squares_of_the_relative_error(samples):
    if len({work for work, _ in samples}) < 2:
        return
    found = fit("gemm", "float32", samples)
    assert found.overhead_s >= 0
    assert found.seconds_per_unit >= 0
    work, seconds = np.array(samples).T

    def loss(overhead, rate):
        return float(np.sum(((overhead + rate * work) / seconds - 1) ** 2))

    best = loss(found.overhead_s, found.seconds_per_unit)
    # A convex problem: no feasible neighbour is better (1e-9: rounding of the sums).
    scale_o, scale_r = float(seconds.min()), float((seconds / work).min())
    for step_o in (-1e-3, 0.0, 1e-3):
        for step_r in (-1e-3, 0.0, 1e-3):
            overhead = found.overhead_s + step_o * scale_o
            rate = found.seconds_per_unit + step_r * scale_r
            if overhead >= 0 and rate >= 0:
                assert best <= loss(overhead, rate) + 1e-9 * len(samples)


def test_the_papers_kernel_has_no_overhead():
    found = fit("lu_inverse", "float32", [(1e6, 1e-3), (1e9, 1.0)])
    assert found.overhead_s == 0.0
    assert found.seconds_per_unit == pytest.approx(1e-9, rel=1e-12)


def test_one_amount_of_work_is_enough_only_without_overhead():
    assert fit("lu_inverse", "float32", [(8.0, 4.0)]).seconds_per_unit == 0.5
    with pytest.raises(ValueError, match=r"'lu' was timed at 1 amounts of work; time at least 2"):
        fit("lu", "float32", [(8.0, 4.0), (8.0, 5.0)])
    with pytest.raises(ValueError, match="at 0 amounts"):
        fit("lu_inverse", "float32", [])


def test_times_that_fall_with_work_give_a_constant_not_a_negative_rate():
    found = fit("gemm", "float32", [(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)])
    assert found.seconds_per_unit == 0.0
    assert found.overhead_s > 0


def test_times_that_bend_upwards_give_no_negative_overhead():
    found = fit("gemm", "float32", [(1.0, 1.0), (10.0, 100.0)])
    assert found.overhead_s == 0.0
    assert found.seconds_per_unit > 0


def test_median_error_tells_how_well_the_line_fits():
    noisy = fit("lu_inverse", "float32", [(1.0, 1.0), (1.0, 2.0), (1.0, 4.0)])
    assert noisy.median_error is not None
    assert noisy.median_error > 0.2


@pytest.mark.parametrize(
    "sample", [(0.0, 1.0), (1.0, 0.0), (-1.0, 1.0), (1.0, math.nan), (math.inf, 1.0)]
)
def test_bad_samples_are_named(sample):
    with pytest.raises(ValueError, match="work and seconds must be finite and above 0"):
        fit("lu", "float32", [(1.0, 1.0), sample])


def test_unknown_kernels_are_named_with_the_known_ones():
    for call in (
        lambda: fit("qr", "float32", [(1.0, 1.0)]),
        lambda: price(nominal_calibration(), "qr", 1.0),
    ):
        with pytest.raises(ValueError, match=r"no kernel is called 'qr'; the kernels are lu_inv"):
            call()


def test_a_kernel_without_a_rate_says_what_to_do():
    only = machine(
        KernelFit(kernel="lu", work="N^3", dtype="float32", seconds_per_unit=1e-9, overhead_s=1e-3)
    )
    with pytest.raises(ValueError, match=r"'m' has no gemm rate for float32; run `qnewton calib"):
        price(only, "gemm", 1.0)
    with pytest.raises(ValueError, match="no lu rate for float64"):
        price(only, "lu", 1.0, "float64")


def test_price_is_overhead_a_call_and_rate_a_unit():
    only = machine(
        KernelFit(kernel="lu", work="N^3", dtype="float32", seconds_per_unit=2.0, overhead_s=10.0)
    )
    assert price(only, "lu", 3.0) == 16.0
    assert price(only, "lu", 3.0, calls=4) == 46.0
    assert price(only, "lu", 0.0, calls=0) == 0.0


@pytest.mark.parametrize("work", [-1.0, math.nan, math.inf])
def test_price_of_impossible_work(work):
    with pytest.raises(ValueError, match="must be finite and 0 or more"):
        price(nominal_calibration(), "lu", work)


def test_price_of_negative_calls():
    with pytest.raises(ValueError, match="calls of kernel 'lu' is -1"):
        price(nominal_calibration(), "lu", 1.0, calls=-1)


def test_work_units():
    assert cubic_work(10) == 1e3
    assert matvec_work(10, products=7) == 700
    assert sort_work(8) == 24
    assert sort_work(1) == sort_work(0) == 0
    for work in (cubic_work, matvec_work):
        with pytest.raises(ValueError, match="n is 0; a system has at least 1 unknown"):
            work(0)


def test_the_nominal_calibration_prices_every_kernel_in_both_precisions():
    calibration = nominal_calibration()
    for kernel in KERNELS:
        single, double = (price(calibration, kernel, 1e9, d) for d in ("float32", "float64"))
        assert 0 < single < double


SAMPLES = [(1e3, 1e-4), (1e6, 2e-4), (1e9, 1.0)]


def test_a_timed_kernel_is_priced_by_its_timings_not_by_its_line():
    timed = machine(fit("cholesky", "float32", SAMPLES))
    for work, seconds in SAMPLES:
        assert price(timed, "cholesky", work) == pytest.approx(seconds, rel=1e-12)
        assert price(timed, "cholesky", 5 * work, calls=5) == pytest.approx(5 * seconds, rel=1e-12)
    # Halfway on logarithmic axes; beyond the ends: the start alone, and the last rate.
    assert price(timed, "cholesky", 10**4.5) == pytest.approx((1e-4 * 2e-4) ** 0.5)
    assert price(timed, "cholesky", 1.0) == 1e-4
    assert price(timed, "cholesky", 1e12) == pytest.approx(1e3)
    assert price(timed, "cholesky", 0.0, calls=0) == 0.0


@QUICK
@given(
    st.lists(st.tuples(st.floats(1, 1e9), st.floats(1e-6, 10)), min_size=2, max_size=8),
    st.floats(1e-1, 1e10),
    st.floats(1, 1e3),
)
def test_prices_never_fall_with_work_whatever_the_timings(samples, work, factor):
    if len({amount for amount, _ in samples}) < 2:
        return
    timed = machine(fit("lu", "float64", samples))
    lower, upper = (price(timed, "lu", w, "float64") for w in (work, factor * work))
    # rel: logarithms and powers of two neighbouring amounts of work round differently.
    assert lower <= upper * (1 + 1e-12)


def test_the_papers_price_stays_c_times_n_cubed_however_it_was_timed():
    timed = machine(fit("lu_inverse", "float32", [(1e6, 1e-3), (1e9, 0.3)]))
    rate = timed.fits[0].seconds_per_unit
    for work in (1e3, 1e6, 1e9, 1e12):
        assert price(timed, "lu_inverse", work) == rate * work
