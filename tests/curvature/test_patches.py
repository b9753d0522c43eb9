"""A layer's pass as a linear map on patches, against the layer itself."""

import pytest
import torch
from torch import nn

from qnewton.curvature.layers import LayerCall, layers_of

LAYERS = {
    "linear": (nn.Linear(3, 4), (5, 3)),
    "sequence": (nn.Linear(3, 4), (5, 6, 3)),
    "grid": (nn.Linear(3, 4, bias=False), (5, 2, 6, 3)),
    "conv1d": (nn.Conv1d(3, 4, 3), (5, 3, 7)),
    "conv1d valid": (nn.Conv1d(3, 4, 2, padding="valid", stride=3), (5, 3, 8)),
    "conv1d same": (nn.Conv1d(3, 4, 4, padding="same", dilation=2), (5, 3, 9)),
    "conv2d": (nn.Conv2d(3, 4, 3), (5, 3, 7, 6)),
    "conv2d same": (nn.Conv2d(3, 4, (4, 3), padding="same"), (5, 3, 7, 6)),
    "conv2d all": (
        nn.Conv2d(3, 4, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
        (5, 3, 9, 8),
    ),
    "conv2d skips": (nn.Conv2d(3, 4, 2, stride=3, padding=1), (5, 3, 8, 8)),
}


def passed(name):
    layer, shape = LAYERS[name]
    layer = layer.double()
    generator = torch.Generator().manual_seed(0)
    signal = torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)
    call = LayerCall(layer, signal, layer(signal))
    delta = torch.randn(call.output.shape, generator=generator, dtype=torch.float64)
    return call, delta


pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
every_layer = pytest.mark.parametrize("name", LAYERS)


@every_layer
def test_weights_times_patches_are_the_output(name):
    call, _ = passed(name)
    patches = call.patches()
    assert call.refusal() is None
    assert patches.shape == (call.samples, call.positions, call.inputs)
    assert not patches.requires_grad
    found = patches @ call.layer.weight.flatten(1).mT
    if call.layer.bias is not None:
        found = found + call.layer.bias
    torch.testing.assert_close(found, call.by_channel(call.output).mT)
    assert call.output.numel() == call.samples * call.positions * call.outputs


@every_layer
def test_delta_laid_over_the_input_gives_both_gradients(name):
    call, delta = passed(name)
    weight, signal = torch.autograd.grad(call.output, [call.layer.weight, call.input], delta)
    spread = call.spread(call.by_channel(delta))
    by_channel = call.by_channel(call.input.detach())
    found = torch.einsum("nxqo,ncx->qco", spread, by_channel)
    torch.testing.assert_close(found.reshape(weight.shape), weight)
    kernel = call.layer.weight.detach().reshape(call.outputs, call.channels, call.offsets)
    found = torch.einsum("nxqo,qco->ncx", spread, kernel)
    torch.testing.assert_close(call.shaped(found, call.input), signal)


@every_layer
def test_channels_first_and_back_with_leading_dimensions(name):
    call, delta = passed(name)
    stacked = torch.stack([delta, 2 * delta])
    by_channel = call.by_channel(stacked)
    assert by_channel.shape == (2, call.samples, call.outputs, call.positions)
    assert torch.equal(call.shaped(by_channel, call.output), stacked)
    assert torch.equal(by_channel[1], call.by_channel(2 * delta))


@pytest.mark.parametrize(
    ("layer", "shape", "reason"),
    [
        (nn.Conv2d(4, 4, 3, groups=2), (2, 4, 5, 5), "has groups=2, not 1"),
        (nn.Conv1d(2, 2, 3, padding=1, padding_mode="circular"), (2, 2, 5), "mode='circular'"),
        (nn.Conv2d(2, 2, 3), (2, 5, 5), r"shape (2, 5, 5), without a batch"),
        (nn.Linear(3, 2), (3,), "shape (3,), without a batch"),
    ],
)
def test_what_is_not_a_linear_map_on_patches_says_why(layer, shape, reason):
    signal = torch.ones(shape)
    refusal = LayerCall(layer, signal, layer(signal)).refusal()
    assert refusal is not None
    assert reason in refusal.reason


def test_subclasses_and_frozen_layers_are_not_recorded():
    class Mine(nn.Conv2d):
        pass

    frozen = nn.Linear(2, 2).requires_grad_(False)
    net = nn.ModuleList([nn.Conv1d(1, 1, 1), Mine(1, 1, 1), frozen, nn.ConvTranspose1d(1, 1, 1)])
    assert layers_of(net) == [net[0]]
