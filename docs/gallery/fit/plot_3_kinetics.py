"""
Rates of a reaction network
===========================

Five rates of a chemical reaction are found from eight measurements, through an ODE solver.

The ODE solver computes the concentrations, and autograd differentiates through the solver.
"""

# %%
# Reactions and measurements
# --------------------------
# Heated α-pinene turns into dipentene and into allo-ocimene. Allo-ocimene turns into pyronene, and
# into a dimer and back: a classical problem of kinetics (Box et al., Technometrics 15, 1973). The
# measurements below are simulated: the true rates are written in the code, and the noise is drawn
# from a seed. Time is in units of 10⁴ minutes, and concentrations are in percent.

import time

import altair as alt
import scipy.optimize
import torch
from torchdiffeq import odeint

from qnewton import least_squares

SPECIES = ["α-pinene", "dipentene", "allo-ocimene", "pyronene", "dimer"]
TRUE = torch.tensor([0.593, 0.296, 0.205, 2.75, 0.4], dtype=torch.float64)
NOISE = 0.5
STEPS = {"step_size": 0.1, "interp": "cubic"}

times = torch.tensor(
    [0.0, 0.123, 0.306, 0.492, 0.78, 1.068, 1.503, 2.262, 3.642],
    dtype=torch.float64,
)
first = torch.tensor([100.0, 0, 0, 0, 0], dtype=torch.float64)


def concentrations(rates, at=times):
    def change(_, y):
        to_dipentene, to_ocimene = rates[0] * y[0], rates[1] * y[0]
        to_pyronene, to_dimer = rates[2] * y[2], rates[3] * y[2]
        back = rates[4] * y[4]
        return torch.stack(
            [
                -to_dipentene - to_ocimene,
                to_dipentene,
                to_ocimene - to_pyronene - to_dimer + back,
                to_pyronene,
                to_dimer - back,
            ]
        )

    return odeint(change, first, at, method="rk4", options=STEPS)


generator = torch.Generator().manual_seed(0)
noise = torch.randn(8, 5, generator=generator, dtype=torch.float64)
measured = concentrations(TRUE)[1:] + NOISE * noise


def residuals(rates):
    return (concentrations(rates)[1:] - measured).flatten()


# %%
# The fit
# -------
# All rates start at 1, and none may be negative. The fit gives their covariance, too. The last
# column says how many standard deviations lie between the rate that was found and the true one. The
# clock is for the comparison at the end of this page.

START = [1.0] * 5
BOUNDS = (0.0, 10.0)


class Watch:
    """Where a method stood, and when."""

    def __init__(self):
        self.start = time.perf_counter()
        self.points = []

    def note(self, rates):
        seconds = time.perf_counter() - self.start
        self.points.append((seconds, torch.as_tensor(rates).clone()))


watches = {"qnewton": Watch()}
fit = least_squares(
    residuals,
    START,
    bounds=BOUNDS,
    callback=lambda progress: watches["qnewton"].note(progress.x),
)
print(fit.message)
print(f"{fit.nfev} evaluations; Jacobian: {fit.jacobian.value}")
for i, (found, spread) in enumerate(zip(fit.x, fit.standard_errors, strict=True)):
    print(
        f"  k{i + 1} = {found:.4f} ± {spread:.4f}   true {TRUE[i]:.4f}"
        f"   {(found - TRUE[i]) / spread:+.1f}"
    )

# %%
# What the measurements determine
# -------------------------------
# The covariance also says which rates can be told apart. If two rates have a correlation near 1 or
# -1, they can change together, and the concentrations hardly change.

spread = fit.standard_errors
correlation = fit.covariance / torch.outer(spread, spread)
print("      " + "".join(f"    k{j + 1}" for j in range(5)))
for i, row in enumerate(correlation):
    print(
        f"  k{i + 1}  " + "".join(f"{float(value):6.2f}" for value in row[: i + 1])
    )

# %%
# Measurements and curves
# -----------------------
# Circles are measured, lines are the fit.

fine = torch.linspace(0, 3.7, 60, dtype=torch.float64)


def table(at, values):
    return alt.Data(
        values=[
            {"time": float(when), "species": name, "percent": float(row[i])}
            for when, row in zip(at, values, strict=True)
            for i, name in enumerate(SPECIES)
        ]
    )


base = alt.Chart(table(times[1:], measured)).encode(
    x=alt.X("time:Q", title="time (10⁴ minutes)"),
    y=alt.Y("percent:Q", title="concentration (%)"),
    color=alt.Color("species:N", sort=SPECIES, title=None),
)
(
    base.mark_point()
    + base.mark_line().properties(data=table(fine, concentrations(fit.x, fine)))
).properties(width=420, height=260)

# %%
# Beside other optimizers
# -----------------------
# All get the same residuals, start and bounds. SciPy's ``least_squares`` takes differences for its
# Jacobian, as it does by default. L-BFGS-B is SciPy's, too, with gradients by autograd. Adam keeps
# to the bounds by clamping; it runs at three learning rates, and the best run is shown. The error
# is the largest relative difference from the rates at the lowest cost that any of them found. Below
# 1e-9 it is drawn as 1e-9.

ADAM_RATES = (0.01, 0.03, 0.1)
ADAM_SECONDS = 1.0


def cost(rates):
    return 0.5 * residuals(rates).square().sum()


def cost_and_gradient(array):
    rates = torch.tensor(array, requires_grad=True)
    value = cost(rates)
    value.backward()
    return value.item(), rates.grad.numpy()


def run_adam(rate):
    watch = Watch()
    rates = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([rates], lr=rate)
    while not watch.points or watch.points[-1][0] < ADAM_SECONDS:
        adam.zero_grad()
        cost(rates).backward()
        adam.step()
        with torch.no_grad():
            rates.clamp_(*BOUNDS)
        watch.note(rates.detach())
    return watch


watches["SciPy, trf"] = Watch()
scipy.optimize.least_squares(
    lambda array: residuals(torch.tensor(array)).numpy(),
    START,
    bounds=BOUNDS,
    callback=lambda intermediate_result: watches["SciPy, trf"].note(
        intermediate_result.x
    ),
)
watches["L-BFGS-B"] = Watch()
scipy.optimize.minimize(
    cost_and_gradient,
    START,
    jac=True,
    method="L-BFGS-B",
    bounds=[BOUNDS] * 5,
    callback=watches["L-BFGS-B"].note,
)
trials = [run_adam(rate) for rate in ADAM_RATES]
watches["Adam, best of 3"] = min(
    trials, key=lambda watch: float(cost(watch.points[-1][1]))
)

ends = {name: watch.points[-1] for name, watch in watches.items()}
best = min(
    (rates for _, rates in ends.values()), key=lambda rates: float(cost(rates))
)


def error(rates):
    return float((rates / best - 1).abs().max())


for name, (seconds, rates) in ends.items():
    print(
        f"{name:15s} {seconds:5.2f} s, {len(watches[name].points):3d} steps, "
        f"cost {float(cost(rates)):.6f}, error {error(rates):.0e}"
    )

history = [
    {"method": name, "seconds": seconds, "error": max(error(rates), 1e-9)}
    for name, watch in watches.items()
    for seconds, rates in watch.points
]
alt.Chart(alt.Data(values=history)).mark_line(point=True).encode(
    x=alt.X("seconds:Q", scale=alt.Scale(type="log"), title="seconds (measured)"),
    y=alt.Y(
        "error:Q",
        scale=alt.Scale(type="log"),
        axis=alt.Axis(format=".0e"),
        title="largest relative error of a rate",
    ),
    color=alt.Color("method:N", sort=list(watches), title=None),
).properties(width=420, height=240)
