"""What a calibration times."""

import pytest
import torch

from qnewton.cost.kernels import KERNELS
from qnewton.curvature.layered import LayeredHessian
from qnewton.experiments import calibrate


def test_products_by_double_backward_are_timed_by_double_backward(monkeypatch):
    # A layered network has a closed form, whose product is another kernel.
    monkeypatch.setattr(calibrate, "NET_SHAPES", ((4, 4, 8), (8, 4, 8)))
    by_closed_form = []
    product = LayeredHessian.product
    monkeypatch.setattr(
        LayeredHessian, "product", lambda *a: by_closed_form.append(0) or product(*a)
    )
    kernels = []
    for timing in calibrate._passes(torch.float32):
        by_closed_form.clear()
        kernels.append(timing.kernel)
        timing.run()
        assert bool(by_closed_form) == (timing.kernel == "closed_form_product")
    assert set(kernels) <= set(KERNELS)
    assert set(kernels) == {
        "forward_backward",
        "curvature_product",
        "curvature_rows",
        "closed_form_product",
    }


@pytest.mark.slow
def test_progress_knows_how_many_timings_there_are():
    assert sum(1 for _ in calibrate.timings(seed=0)) == calibrate.TIMINGS
