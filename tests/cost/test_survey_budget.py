import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnewton.cost import cubic_work, lanczos_products, load_classical, nominal_calibration, price
from qnewton.cost.krylov import FEWEST_PRODUCTS
from qnewton.records import Calibration, KernelFit

NOMINAL = nominal_calibration()


def run_price(calibration: Calibration, n: int, k: int, dtype: str) -> float:
    """Price k steps one by one: a product, twelve starts, a pass over the basis and back."""
    fixed = calibration.fit("matvec", dtype)
    assert fixed is not None
    total = 60 * fixed.overhead_s
    for step in range(k):
        total += price(calibration, "matvec", float(n) ** 2, dtype, calls=12)
        total += price(calibration, "matvec", 2.0 * n * step, "float64", calls=0)
    return total


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 20_000), st.sampled_from(["float32", "float64"]))
def test_the_budget_is_the_largest_within_one_factorisation(n, dtype):
    budget = lanczos_products(NOMINAL, n, dtype)
    assert budget is not None
    factor = price(NOMINAL, "cholesky", cubic_work(n), dtype)
    assert 1 <= budget <= n
    if budget > FEWEST_PRODUCTS:
        assert run_price(NOMINAL, n, budget, dtype) <= factor * (1 + 1e-9)
    if budget < n:
        # One more does not fit; the sum over steps is k(k-1) where the formula takes k².
        assert run_price(NOMINAL, n, budget + 2, dtype) > factor * (1 - 1e-9)


def test_small_systems_get_a_millisecond_of_products():
    assert [lanczos_products(NOMINAL, n) for n in (1, 7, 16, 300)] == [1, 7, 16, 16]


def test_a_calibration_without_rates_gives_no_budget():
    assert lanczos_products(load_classical("paper-h100"), 1_000) is None


def test_the_basis_is_priced_at_the_product_rate_where_float64_was_not_timed():
    fits = tuple(
        KernelFit(kernel=kernel, work="", dtype="float32", seconds_per_unit=rate, overhead_s=0.0)
        for kernel, rate in (("cholesky", 1e-11), ("matvec", 4e-10))
    )
    machine = Calibration(name="m", machine="m", date="", source="", fits=fits)
    budget = lanczos_products(machine, 10_000)
    assert budget is not None
    # 10 s of Cholesky; 40 ms a product; 4e-6 s·k² for the basis.
    assert budget * 0.04 + budget**2 * 4e-6 == pytest.approx(10.0, rel=0.005)


def test_no_unknowns_are_refused():
    with pytest.raises(ValueError, match="at least 1 unknown"):
        lanczos_products(NOMINAL, 0)
