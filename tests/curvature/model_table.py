"""Small models of many kinds, each with a loss a sample, to compare curvatures on."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from tests.cases import draw

Losses = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Model:
    """A model with a loss a sample, of which the closure returns the mean.

    Attributes:
        module: The model.
        inputs: What it is called with.
        losses: ℓ_1 … ℓ_n as a function of its output.
        whole: The closure's loss where it is no mean over samples of one call; then only the
            Hessian is compared.
    """

    module: nn.Module
    inputs: tuple[Tensor, ...]
    losses: Losses | None
    whole: Callable[[], Tensor] | None = None

    def loss(self) -> Tensor:
        """Return what the closure returns."""
        if self.whole is not None:
            return self.whole()
        assert self.losses is not None
        return self.losses(self.module(*self.inputs)).mean()

    @property
    def parameters(self) -> list[Tensor]:
        return [p for p in self.module.parameters() if p.requires_grad]


def labels(n: int, classes: int) -> Tensor:
    return torch.arange(n) % classes


def softmax(n: int, classes: int) -> Losses:
    return lambda f: F.cross_entropy(f, labels(n, classes), reduction="none")


def squares(n: int, outputs: int) -> Losses:
    targets = draw(n, outputs, seed=5)
    return lambda f: (f - targets).square().sum(1) / 2


# The six kinds of ``untouched_defaults``, in small.


def digits() -> Model:
    net = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3))
    return Model(net, (draw(6, 5),), softmax(6, 3))


def mnist() -> Model:
    net = nn.Sequential(nn.Linear(9, 3), nn.ReLU(), nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 4))
    return Model(net, (draw(12, 9, seed=2),), softmax(12, 4))


def convolutions() -> Model:
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(2, 3, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(3, 3),
    )
    return Model(net, (draw(5, 1, 4, 4, seed=2),), softmax(5, 3))


def autoencoder() -> Model:
    net = nn.Sequential(nn.Linear(6, 2), nn.Tanh(), nn.Linear(2, 6))
    return Model(net, (draw(7, 6),), lambda f: (f - draw(7, 6)).square().sum(1) / 2)


def pinn() -> Model:
    net = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
    points = torch.linspace(0, 1, 6, dtype=torch.float64).unsqueeze(1)

    def whole() -> Tensor:
        x = points.clone().requires_grad_()
        [slope] = torch.autograd.grad(net(x).sum(), x, create_graph=True)
        [bend] = torch.autograd.grad(slope.sum(), x, create_graph=True)
        return (bend + 1).square().mean() + net(points[[0, -1]]).square().mean()

    return Model(net, (), None, whole)


def regression() -> Model:
    return Model(nn.Linear(9, 1), (draw(8, 9),), squares(8, 1))


# Twelve and more besides.


class LastOf(nn.Module):
    """The last state of a recurrent network, read by a linear layer."""

    def __init__(self, recurrent: nn.RNNBase):
        super().__init__()
        self.recurrent, self.head = recurrent, nn.Linear(2, 2)

    def forward(self, x):
        states, _ = self.recurrent(x)
        return self.head(states[:, -1])


def lstm() -> Model:
    return Model(LastOf(nn.LSTM(2, 2, batch_first=True)), (draw(4, 3, 2),), softmax(4, 2))


def gru() -> Model:
    return Model(LastOf(nn.GRU(2, 2, batch_first=True)), (draw(4, 3, 2),), squares(4, 2))


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        mixed, _ = self.attention(x, x, x)
        return self.head(mixed.mean(1))


def attention() -> Model:
    return Model(Attention(), (draw(4, 3, 4),), softmax(4, 2))


class Encoder(nn.Module):
    """A transformer's layer with the attention kernel that is differentiable twice."""

    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(2, 1, 3, 0.0, F.gelu, batch_first=True)
        self.head = nn.Linear(2, 2)

    def forward(self, x):
        with nn.attention.sdpa_kernel(nn.attention.SDPBackend.MATH):
            return self.head(self.layer(x).mean(1))


def transformer() -> Model:
    return Model(Encoder(), (draw(4, 3, 2),), softmax(4, 2))


def group_norm() -> Model:
    net = nn.Sequential(
        nn.Conv1d(2, 4, 2), nn.GroupNorm(2, 4), nn.SiLU(), nn.Flatten(), nn.Linear(12, 2)
    )
    return Model(net, (draw(5, 2, 4),), softmax(5, 2))


def spectral_norm() -> Model:
    # In evaluation the two singular vectors are what the buffers hold; in training they are
    # held constant while gradients are taken, which no difference of gradients can do.
    layer = parametrizations.spectral_norm(nn.Linear(3, 4))
    return Model(
        nn.Sequential(layer, nn.Tanh(), nn.Linear(4, 2)).eval(), (draw(5, 3),), softmax(5, 2)
    )


class Temperature(nn.Module):
    """Logits divided by a temperature, a parameter without dimensions."""

    def __init__(self):
        super().__init__()
        self.logits = nn.Linear(3, 3)
        self.log_temperature = nn.Parameter(torch.tensor(0.3))

    def forward(self, x):
        return torch.tanh(self.logits(x)) * torch.exp(-self.log_temperature)


def scalar() -> Model:
    return Model(Temperature(), (draw(6, 3),), softmax(6, 3))


class Recommender(nn.Module):
    """Matrix factorisation with a bias a user and an item."""

    def __init__(self):
        super().__init__()
        self.user, self.item = nn.Embedding(3, 2), nn.Embedding(4, 2)
        self.user_bias, self.item_bias = nn.Embedding(3, 1), nn.Embedding(4, 1)

    def forward(self, user, item):
        fit = (self.user(user) * self.item(item)).sum(1, keepdim=True)
        return fit + self.user_bias(user) + self.item_bias(item)


def recommender() -> Model:
    users, items = torch.tensor([0, 0, 1, 1, 2, 2, 0]), torch.tensor([0, 1, 1, 2, 3, 3, 3])
    return Model(Recommender(), (users, items), squares(7, 1))


def layer_norm() -> Model:
    net = nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.GELU(), nn.RMSNorm(4), nn.Linear(4, 2))
    return Model(net, (draw(5, 3),), softmax(5, 2))


def batch_norm() -> Model:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))
    return Model(net, (draw(6, 3),), softmax(6, 2))


class Gaussian(nn.Module):
    """A mean, and the logarithm of a variance that all samples share."""

    def __init__(self):
        super().__init__()
        self.mean = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
        self.log_variance = nn.Parameter(torch.tensor([0.2]))

    def forward(self, x):
        mean = self.mean(x)
        return torch.cat([mean, self.log_variance.expand_as(mean)], 1)


def gaussian() -> Model:
    targets = draw(6, seed=3)

    def losses(f: Tensor) -> Tensor:
        return ((f[:, 0] - targets).square() * torch.exp(-f[:, 1]) + f[:, 1]) / 2

    return Model(Gaussian(), (draw(6, 2),), losses)


class Tied(nn.Module):
    """A weight that reads tokens and writes them."""

    def __init__(self):
        super().__init__()
        self.read, self.write = nn.Embedding(4, 3), nn.Linear(3, 4, bias=False)
        self.write.weight = self.read.weight

    def forward(self, tokens):
        return self.write(torch.tanh(self.read(tokens)))


def tied() -> Model:
    return Model(Tied(), (torch.tensor([0, 1, 2, 3, 1, 2]),), softmax(6, 4))


def upsampling() -> Model:
    net = nn.Sequential(
        nn.Conv2d(2, 2, 2, groups=2), nn.Softplus(), nn.ConvTranspose2d(2, 1, 2), nn.Flatten()
    )
    return Model(net, (draw(4, 2, 2, 2),), squares(4, 4))


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.score = nn.Bilinear(3, 2, 2)
        self.slope = nn.PReLU()

    def forward(self, left, right):
        return self.slope(self.score(left, right))


def bilinear() -> Model:
    return Model(Pair(), (draw(5, 3), draw(5, 2, seed=2)), squares(5, 2))


def weight_norm() -> Model:
    net = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), parametrizations.weight_norm(nn.Linear(3, 2)))
    return Model(net, (draw(4, 3),), softmax(4, 2))


class Residual(nn.Module):
    """One layer, run three times, beside what it received."""

    def __init__(self):
        super().__init__()
        self.block, self.head = nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x):
        for _ in range(3):
            x = x + torch.sin(self.block(x))
        return self.head(x)


def residual() -> Model:
    return Model(Residual(), (draw(4, 3),), softmax(4, 2))


KINDS = {
    "digits": digits,
    "mnist": mnist,
    "convolutions": convolutions,
    "autoencoder": autoencoder,
    "pinn": pinn,
    "regression": regression,
}
OTHERS = (
    lstm,
    gru,
    attention,
    transformer,
    group_norm,
    spectral_norm,
    scalar,
    recommender,
    layer_norm,
    batch_norm,
    gaussian,
    tied,
    upsampling,
    bilinear,
    weight_norm,
    residual,
)
TABLE = {**KINDS, **{build.__name__: build for build in OTHERS}}


def build(name: str) -> Model:
    """Return a model of the table, the same at every call, in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = TABLE[name]()
    model.module.double()
    # Off their beginnings: biases of zero and scales of one hide terms.
    with torch.no_grad():
        for index, parameter in enumerate(model.parameters):
            parameter.add_(0.2 * draw(*parameter.shape, seed=100 + index))
    return model
