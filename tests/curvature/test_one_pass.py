"""The per-layer Fisher of one backward pass, beside a loop over samples."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from qnewton.curvature import BlockLimits, Curvature
from qnewton.curvature.fisher import OnePassFisher
from qnewton.operators import KhatriRaoFactor, LowRankOperator
from tests.oracles import gradient

SAMPLES, LENGTH, WORDS = 5, 7, 11


class Attention(nn.Module):
    """One head of self-attention with a residual connection and a normalisation."""

    def __init__(self, width, norm):
        super().__init__()
        self.norm = norm
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x):
        inner = self.norm(x)
        weights = (self.query(inner) @ self.key(inner).mT / 2).softmax(-1)
        return x + self.out(weights @ self.value(inner))


class Language(nn.Module):
    """A language model: a frozen table, attention twice, a normalisation, a head."""

    def __init__(self, width=6, norm=nn.LayerNorm):
        super().__init__()
        self.table = nn.Embedding(WORDS, width)
        self.table.weight.requires_grad_(False)
        self.layers = nn.Sequential(Attention(width, norm(width)), Attention(width, norm(width)))
        self.norm, self.head = norm(width), nn.Linear(width, WORDS)

    def forward(self, tokens):
        return self.head(self.norm(self.layers(self.table(tokens))))


def setting(norm=nn.LayerNorm, seed=0):
    torch.manual_seed(seed)
    model = Language(norm=norm).double()
    for name, p in model.named_parameters():
        if "norm" in name:
            nn.init.normal_(p, 1.0, 0.3)
    tokens = torch.randint(WORDS, (SAMPLES, LENGTH + 1))
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    return model, inputs, targets


def mean_loss(model, inputs, targets):
    return cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def loop(model, inputs, targets, parameters):
    """Return F of ``parameters`` from one backward pass per sample."""
    samples = zip(inputs.split(1), targets.split(1), strict=True)
    columns = torch.stack([gradient(mean_loss(model, *s), parameters) for s in samples], dim=1)
    return columns @ columns.mT / len(inputs)


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm])
@pytest.mark.parametrize("blocks", ["layer", "tensor", "full"])
def test_every_block_is_that_of_a_loop_over_samples(blocks, norm):
    model, inputs, targets = setting(norm)
    curvature = Curvature(model, "fisher", blocks)
    systems = curvature.systems(curvature.evaluate(lambda: mean_loss(model, inputs, targets)))
    assert {p for s in systems for p in s.parameters} == {
        p for p in model.parameters() if p.requires_grad
    }
    for system in systems:
        expected = loop(model, inputs, targets, system.parameters)
        torch.testing.assert_close(system.operator.dense(), expected, rtol=1e-9, atol=1e-12)
        assert system.curvature is not None
        assert system.curvature.route == "sample-space"


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["bert", "mistral"])
def test_the_papers_architectures_equal_a_loop(architecture):
    pytest.importorskip("transformers")
    from qnewton.workloads.text import token_loss
    from qnewton.workloads.transformer import build_transformer

    model = build_transformer(architecture, torch.randn(WORDS + 9, 64), 8, seed=0).double()
    tokens = torch.randint(WORDS, (3, 9))
    inputs, targets = tokens[:, :-1], tokens[:, 1:]
    curvature = Curvature(model, "fisher", "tensor", limits=BlockLimits(max_newton=5000))
    systems = curvature.systems(curvature.evaluate(lambda: token_loss(model(inputs), targets)))
    # Nothing but the MLPs' weights is above the limit.
    assert all("mlp" in b.name or "dense" in b.name for b in curvature.larger)
    for system in systems:
        columns = []
        for i in range(3):
            loss = token_loss(model(inputs[i : i + 1]), targets[i : i + 1])
            found = torch.autograd.grad(loss, system.parameters)
            columns.append(torch.cat([g.flatten() for g in found]))
        expected = torch.stack(columns, dim=1) / 3**0.5
        operator = system.operator
        assert isinstance(operator, LowRankOperator)
        # RMSNorm of transformers computes in float32.
        torch.testing.assert_close(operator.factor.dense(), expected, rtol=1e-4, atol=1e-6)


def count_backward_passes(model, closure, curvature):
    count = 0

    def counted(gradient):
        nonlocal count
        count += 1

    first = model.layers[0].query.weight
    handle = first.register_hook(counted)
    evaluation = curvature.evaluate(closure)
    curvature.systems(evaluation)
    evaluation.release()
    handle.remove()
    return count


def test_later_passes_of_the_same_shapes_cost_no_other_backward_pass():
    model, inputs, targets = setting()
    curvature = Curvature(model, "fisher", "layer")
    closure = lambda: mean_loss(model, inputs, targets)  # noqa: E731
    assert count_backward_passes(model, closure, curvature) == 2
    assert count_backward_passes(model, closure, curvature) == 1
    shorter = lambda: mean_loss(model, inputs[:3], targets[:3])  # noqa: E731
    assert count_backward_passes(model, shorter, curvature) == 2


def test_a_sum_is_scaled_like_its_loss():
    model, inputs, targets = setting()
    mean, total = Curvature(model, "fisher"), Curvature(model, "fisher", reduction="sum")
    a = mean.systems(mean.evaluate(lambda: mean_loss(model, inputs, targets)))
    b = total.systems(total.evaluate(lambda: SAMPLES * mean_loss(model, inputs, targets)))
    for one, other in zip(a, b, strict=True):
        torch.testing.assert_close(SAMPLES * one.operator.dense(), other.operator.dense())


def test_a_weight_used_outside_its_layer_is_found_and_takes_the_other_route():
    model, inputs, targets = setting()
    [weight] = [p for name, p in model.named_parameters() if name == "layers.0.out.weight"]
    plain = model.head.forward

    def forward(input):
        return plain(input) * (1 + (input @ weight).mean(-1, keepdim=True))

    model.head.forward = forward
    curvature = Curvature(model, "fisher", "layer")
    systems = {
        s.name: s
        for s in curvature.systems(curvature.evaluate(lambda: mean_loss(model, inputs, targets)))
    }
    system = systems["layers.0.out"]
    assert system.curvature is not None
    assert "used outside its layer" in system.curvature.reason
    expected = loop(model, inputs, targets, system.parameters)
    torch.testing.assert_close(system.operator.dense(), expected, rtol=1e-9, atol=1e-12)


def test_a_weight_used_outside_its_layer_from_some_step_on_is_found_then():
    model, inputs, targets = setting()
    curvature = Curvature(model, "fisher", "layer")
    closure = lambda: mean_loss(model, inputs, targets)  # noqa: E731
    first = curvature.systems(curvature.evaluate(closure))
    assert all("outside" not in s.curvature.reason for s in first if s.curvature is not None)
    [weight] = [p for name, p in model.named_parameters() if name == "layers.0.out.weight"]
    plain = model.head.forward
    model.head.forward = lambda input: plain(input) * (1 + (input @ weight).mean(-1, keepdim=True))
    again = {s.name: s for s in curvature.systems(curvature.evaluate(closure))}["layers.0.out"]
    expected = loop(model, inputs, targets, again.parameters)
    torch.testing.assert_close(again.operator.dense(), expected, rtol=1e-9, atol=1e-12)


def test_interacting_samples_are_refused():
    model, inputs, targets = setting()
    curvature = Curvature(model, "fisher")
    evaluation = curvature.evaluate(lambda: mean_loss(model, inputs, targets) ** 2)
    with pytest.raises(ValueError, match="samples interact in the loss"):
        curvature.systems(evaluation)


def test_a_block_that_cannot_fit_is_refused_with_its_bytes(monkeypatch):
    monkeypatch.setattr("qnewton.curvature.fisher.MAX_BLOCK_BYTES", 1000)
    model, inputs, targets = setting()
    curvature = Curvature(model, "fisher", "layer")
    evaluation = curvature.evaluate(lambda: mean_loss(model, inputs, targets))
    # 42 unknowns, 5 samples, 8 bytes
    with pytest.raises(ValueError, match=r"N = 42 needs 1,680 bytes, limit 1,000"):
        curvature.systems(evaluation)


def test_larger_blocks_have_a_gradient_and_no_system():
    model, inputs, targets = setting()
    curvature = Curvature(model, "fisher", "layer", limits=BlockLimits(max_newton=42))
    assert [block.name for block in curvature.larger] == ["head"]
    evaluation = curvature.evaluate(lambda: mean_loss(model, inputs, targets))
    assert "head" not in {system.name for system in curvature.systems(evaluation)}
    assert float(evaluation.gradient(curvature.larger[0].parameters).norm()) > 0
    with pytest.raises(ValueError, match="max_newton is 5 and the smallest block has 12"):
        Curvature(model, "fisher", "layer", limits=BlockLimits(max_newton=5))


def test_parameters_without_a_layer_leave_the_route_to_others():
    model, _, _ = setting()
    model.table.weight.requires_grad_(True)
    blocks = Curvature(model, "fisher", "layer").blocks
    assert not OnePassFisher(model, blocks).possible


@pytest.mark.parametrize(("samples", "positions", "width", "out"), [(3, 2, 40, 50), (20, 9, 4, 3)])
def test_both_gram_matrices_of_sequences_agree(samples, positions, width, out):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(samples, positions, width, generator=generator).double()
    signals = torch.randn(samples, 1, positions, out, generator=generator).double()
    factor = KhatriRaoFactor(inputs, signals)
    columns = factor.dense()
    torch.testing.assert_close(factor.gram(), columns.mT @ columns)
    torch.testing.assert_close(factor._gram_by_tokens(), columns.mT @ columns)
