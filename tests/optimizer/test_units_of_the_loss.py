"""Newton's step does not depend on the unit of the loss, at either end of the range."""

import pytest
import torch
from torch import nn

from qnewton import QNewton

SCALES = {
    torch.float64: (1e-290, 1e-200, 1e-160, 1.0, 1e160, 1e200, 1e290),
    torch.float32: (1e-30, 1e-20, 1.0, 1e20, 1e30),
}
SETTINGS = {
    "auto": {},
    "fixed": {"damping": 0.0},
    "paper policy": {"damping": 0.0, "policy": "paper", "quantum": "attosecond"},
    "exact Hessian": {"damping": "auto", "curvature": "hessian"},
}


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize(
    ("dtype", "scale"), [(d, s) for d, scales in SCALES.items() for s in scales], ids=str
)
def test_a_quadratic_is_minimised_whatever_the_unit_of_its_loss(dtype, scale, settings):
    generator = torch.Generator().manual_seed(0)
    w = nn.Parameter(torch.randn(3, generator=generator, dtype=dtype))
    u = nn.Parameter(torch.randn(2, 2, generator=generator, dtype=dtype))
    weights = torch.tensor([1.0, 10.0, 3.0], dtype=dtype)

    def closure():
        return scale * ((weights * (w - 1) ** 2).sum() + ((u - 2) ** 2).sum() / 2)

    before = float(closure().detach()) / scale
    optimizer = QNewton([w, u], **settings)
    for _ in range(12):
        optimizer.step(closure)
    record = optimizer.records[-1]
    assert record.cosine is None or abs(record.cosine) <= 1.0 + 1e-6
    assert optimizer.records[0].skipped is None
    assert float(closure().detach()) / scale <= 1e-4 * before
