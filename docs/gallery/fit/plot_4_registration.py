"""
Image registration
==================

A warped and darkened photograph is laid over the original by eight parameters.

It was turned, stretched, shifted and darkened. Which affine map, and which change of brightness,
brings the original over it? The closure warps an image and returns a mean square.
"""

# %%
# Two images
# ----------
# The photograph comes with scikit-learn. The fixed image is the photograph after a known warp, with
# noise; the moving image is the photograph as it was. A warp has eight parameters: six of the
# affine map, a gain and an offset of brightness.

import base64
import io
import math
import time

import altair as alt
import scipy.optimize
import torch
from PIL import Image
from sklearn.datasets import load_sample_image
from torch import nn
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, interpolate

from qnewton import QNewton, least_squares

HEIGHT, WIDTH = 112, 160
NOTHING = torch.tensor([1.0, 0, 0, 0, 1, 0, 1, 0], dtype=torch.float64)


def warp(image, parameters):
    theta, gain, offset = parameters[:6].view(1, 2, 3), parameters[6], parameters[7]
    grid = affine_grid(theta, image.shape, align_corners=False)
    warped = grid_sample(image, grid, padding_mode="border", align_corners=False)
    return gain * warped + offset


class Warp(nn.Module):
    def __init__(self):
        super().__init__()
        self.parameters_of_map = nn.Parameter(NOTHING.clone())

    def forward(self, image):
        return warp(image, self.parameters_of_map)


photograph = torch.tensor(load_sample_image("china.jpg")).double().mean(-1) / 255
moving = interpolate(photograph[None, None], size=(HEIGHT, WIDTH), mode="area")

angle, stretch, aspect = 0.15, 1.1, HEIGHT / WIDTH
across = [stretch * math.cos(angle), -math.sin(angle) * aspect, 0.08]
down = [math.sin(angle) / aspect, math.cos(angle) / stretch, -0.08]
true = torch.tensor([*across, *down, 0.8, 0.1], dtype=torch.float64)

generator = torch.Generator().manual_seed(0)
noise = torch.randn(moving.shape, generator=generator, dtype=torch.float64)
fixed = warp(moving, true) + 0.02 * noise


# %%
# From coarse to fine
# -------------------
# Details pull an image to the next similar detail. So one registers small averages of both images
# first, and goes on from there. ``QNewton`` itself says when a level is done, because its steps
# change nothing any more. The error is the largest distance between the place where the map puts
# a corner and the place where it belongs, in pixels of the finest level.

LEVELS = (16, 8, 4, 2, 1)
MOST_STEPS = 50

corners = torch.tensor([(x, y, 1.0) for x in (-1, 1) for y in (-1, 1)]).double()
pixel = torch.tensor([2 / WIDTH, 2 / HEIGHT], dtype=torch.float64)


def error(parameters):
    off = (parameters - true)[:6].view(2, 3)
    return float((corners @ off.mT / pixel).norm(dim=1).max())


def levels():
    for size in LEVELS:
        yield avg_pool2d(moving, size), avg_pool2d(fixed, size)


class Watch:
    """The error over seconds, noted between steps."""

    def __init__(self):
        self.start = time.perf_counter()
        self.points = []

    def note(self, parameters):
        seconds = time.perf_counter() - self.start
        self.points.append((seconds, error(torch.as_tensor(parameters).detach())))


model = Warp()
torch.optim.SGD(
    model.parameters()
)  # the first optimizer of a process loads a compiler
watches = {"QNewton": Watch()}
print(f"before: {error(NOTHING):.2f} pixels")
for small, target in levels():

    def closure(small=small, target=target):
        return 0.5 * (model(small) - target).square().mean()

    optimizer = QNewton(model)
    steps = 0
    while steps < MOST_STEPS and not optimizer.converged:
        loss = optimizer.step(closure)
        watches["QNewton"].note(model.parameters_of_map)
        steps += 1
    print(
        f"{small.shape[2]:3d} × {small.shape[3]:3d}: {steps:2d} steps, "
        f"loss {loss.item():.1e}, error {watches['QNewton'].points[-1][1]:.2f} pixels"
    )

# %%
# Before and after
# ----------------
# Blue is where the moving image is too dark, red is where it is too bright.


def grey(image):
    return image.clamp(0, 1).expand(3, -1, -1)


def signed(difference):
    share = (difference / 0.4).clamp(-1, 1)
    red, blue = 1 + share.clamp(max=0), 1 - share.clamp(min=0)
    return torch.stack([red, 1 - share.abs(), blue])


def panel(title, colors):
    pixels = (255 * colors).round().to(torch.uint8).permute(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(file, format="PNG")
    url = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    size = {"width": 2 * WIDTH, "height": 2 * HEIGHT}
    return (
        alt.Chart(alt.Data(values=[{"url": url}]))
        .mark_image(align="left", baseline="top", **size)
        .encode(url="url:N", x=alt.value(0), y=alt.value(0))
        .properties(title=title, **size)
    )


with torch.no_grad():
    before, after, goal = moving[0, 0], model(moving)[0, 0], fixed[0, 0]
(panel("moving", grey(before)) | panel("fixed", grey(goal))) & (
    panel("difference before", signed(before - goal))
    | panel("difference after", signed(after - goal))
)

# %%
# Beside other optimizers
# -----------------------
# All go through the same levels with the same residuals. ``least_squares`` is for problems of this
# kind, with few parameters: it has less to do around a step than ``QNewton``. SciPy's takes
# differences for its Jacobian, as it does by default. L-BFGS has a line search, and ends a level by
# its own rules. Adam makes a hundred steps per level at each of three learning rates, and the best
# run is shown.

ADAM_RATES = (0.003, 0.01, 0.03)
ADAM_STEPS = 100


def pyramid(register):
    """Register level by level; return the watch."""
    watch, parameters = Watch(), NOTHING.clone()
    for small, target in levels():

        def residuals(at, small=small, target=target):
            return (warp(small, torch.as_tensor(at)) - target).flatten()

        parameters = torch.as_tensor(register(residuals, parameters, watch.note))
        watch.note(parameters)
    return watch


def by_least_squares(residuals, start, note):
    return least_squares(residuals, start, callback=lambda fit: note(fit.x)).x


def by_scipy(residuals, start, note):
    return scipy.optimize.least_squares(
        lambda at: residuals(at).numpy(),
        start.numpy(),
        callback=lambda intermediate_result: note(intermediate_result.x),
    ).x


def by_lbfgs(residuals, start, note):
    parameters = start.clone().requires_grad_()
    lbfgs = torch.optim.LBFGS(
        [parameters], max_iter=MOST_STEPS, line_search_fn="strong_wolfe"
    )

    def closure():
        lbfgs.zero_grad()
        loss = 0.5 * residuals(parameters).square().mean()
        loss.backward()
        note(parameters)
        return loss

    lbfgs.step(closure)
    return parameters.detach()


def by_adam(rate):
    def register(residuals, start, note):
        parameters = start.clone().requires_grad_()
        adam = torch.optim.Adam([parameters], lr=rate)
        for _ in range(ADAM_STEPS):
            adam.zero_grad()
            (0.5 * residuals(parameters).square().mean()).backward()
            adam.step()
            note(parameters)
        return parameters.detach()

    return register


watches["least_squares"] = pyramid(by_least_squares)
watches["SciPy, trf"] = pyramid(by_scipy)
watches["L-BFGS"] = pyramid(by_lbfgs)
trials = {rate: pyramid(by_adam(rate)) for rate in ADAM_RATES}
best = min(trials, key=lambda rate: trials[rate].points[-1][1])
watches[f"Adam, {best:g}"] = trials[best]

for name, watch in watches.items():
    seconds, last = watch.points[-1]
    print(f"{name:13s} {seconds:5.2f} s, error {last:.3f} pixels")

history = [
    {"method": name, "seconds": seconds, "error": pixels}
    for name, watch in watches.items()
    for seconds, pixels in watch.points
]
alt.Chart(alt.Data(values=history)).mark_line().encode(
    x=alt.X("seconds:Q", scale=alt.Scale(type="log"), title="seconds (measured)"),
    y=alt.Y(
        "error:Q", scale=alt.Scale(type="log"), title="error of a corner (pixels)"
    ),
    color=alt.Color("method:N", sort=list(watches), title=None),
).properties(width=420, height=240)
