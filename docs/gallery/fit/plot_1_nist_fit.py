"""
A NIST regression, certified
============================

A curve with seven parameters is fitted from a start that is far off, and compared with certified
digits.

Thurber's study of electron mobility in semiconductors has 37 points, and its model is a quotient of
two cubics. NIST certifies eleven digits of each parameter.
"""

# %%
# Data and model
# --------------
# One of the 27 nonlinear regression problems of NIST's Statistical Reference Datasets, of its
# highest level of difficulty. The predictor is the logarithm of a density, the response a mobility.

import altair as alt
import scipy.optimize
import torch

from qnewton import curve_fit, least_squares

MOBILITY = [80.574, 84.248, 87.264, 87.195, 89.076, 89.608, 89.868, 90.101]
MOBILITY += [92.405, 95.854, 100.696, 101.06, 401.672, 390.724, 567.534]
MOBILITY += [635.316, 733.054, 759.087, 894.206, 990.785, 1090.109, 1080.914]
MOBILITY += [1122.643, 1178.351, 1260.531, 1273.514, 1288.339, 1327.543]
MOBILITY += [1353.863, 1414.509, 1425.208, 1421.384, 1442.962, 1464.35]
MOBILITY += [1468.705, 1447.894, 1457.628]
DENSITY = [-3.067, -2.981, -2.921, -2.912, -2.84, -2.797, -2.702, -2.699]
DENSITY += [-2.633, -2.481, -2.363, -2.322, -1.501, -1.46, -1.274, -1.212]
DENSITY += [-1.1, -1.046, -0.915, -0.714, -0.566, -0.545, -0.4, -0.309]
DENSITY += [-0.109, -0.103, 0.01, 0.119, 0.377, 0.79, 0.963, 1.006, 1.115]
DENSITY += [1.572, 1.841, 2.047, 2.2]
START = [1000.0, 1000.0, 400.0, 40.0, 0.7, 0.3, 0.03]
CERTIFIED = [1288.1396800, 1491.0792535, 583.23836877, 75.416644291]
CERTIFIED += [0.96629502864, 0.39797285797, 0.049727297349]
DEVIATIONS = [4.6647963344, 39.571156086, 28.698696102, 5.5675370270]
DEVIATIONS += [0.031333340687, 0.014984928198, 0.0065842344623]

x = torch.tensor(DENSITY, dtype=torch.float64)
y = torch.tensor(MOBILITY, dtype=torch.float64)
certified = torch.tensor(CERTIFIED, dtype=torch.float64)


def mobility(x, b1, b2, b3, b4, b5, b6, b7):
    above = b1 + x * (b2 + x * (b3 + x * b4))
    return above / (1 + x * (b5 + x * (b6 + x * b7)))


# %%
# The fit
# -------
# The model is differentiated by autograd, all rows of its Jacobian in one backward pass.

found, covariance, fit = curve_fit(mobility, x, y, p0=START, full_output=True)
errors = covariance.diagonal().sqrt()
print(fit.message)
print(
    f"{fit.nfev} evaluations, second derivatives from step {fit.second_order_from}"
)
print("       found             certified         digits   ±")
for i in range(7):
    off = abs(float(found[i] / CERTIFIED[i] - 1))
    digits = -torch.log10(torch.tensor(max(off, 1e-11)))
    print(
        f"  b{i + 1} = {found[i]:16.10g}  {CERTIFIED[i]:16.10g}   {digits:4.1f}"
        f"   {errors[i]:.5g} (certified {DEVIATIONS[i]:.5g})"
    )

# %%
# Digits over evaluations
# -----------------------
# Residuals stay large in this problem, and Gauss-Newton alone loses only a factor of the error per
# step: the slope of a straight line. SciPy's fit stops on it, as its default tolerance asks. The
# secant for the second derivatives bends the line down. L-BFGS gets a line search, and two
# hundred evaluations.


def error(parameters):
    return float((parameters / certified - 1).abs().max())


history = []


def listen(name):
    def note(progress):
        point = torch.as_tensor(progress.x)
        history.append(
            {"fit": name, "evaluations": progress.nfev, "error": error(point)}
        )

    return note


def residuals(b):
    return mobility(x, *b) - y


least_squares(residuals, START, callback=listen("qnewton"))


def by_numpy(b):
    point = torch.tensor(b)
    calls.append({"fit": "SciPy, lm", "error": error(point)})
    return residuals(point).numpy()


def jacobian(b):
    at = torch.tensor(b)
    return torch.autograd.functional.jacobian(residuals, at).numpy()


calls = []
scipy.optimize.least_squares(by_numpy, START, jac=jacobian, method="lm")
history += [{**call, "evaluations": i + 1} for i, call in enumerate(calls)]

parameters = torch.tensor(START, dtype=torch.float64, requires_grad=True)
lbfgs = torch.optim.LBFGS([parameters], max_iter=1, line_search_fn="strong_wolfe")
evaluations = 0


def closure():
    global evaluations
    evaluations += 1
    lbfgs.zero_grad()
    loss = residuals(parameters).square().sum() / 2
    loss.backward()
    return loss


while evaluations < 200:
    lbfgs.step(closure)
    history.append(
        {
            "fit": "L-BFGS",
            "evaluations": evaluations,
            "error": error(parameters.detach()),
        }
    )

last = {row["fit"]: row for row in history}
for name, row in last.items():
    print(
        f"{name:10s} {row['evaluations']:4d} evaluations, error {row['error']:.1e}"
    )

alt.Chart(
    alt.Data(values=[{**row, "error": max(row["error"], 1e-11)} for row in history])
).mark_line(point=True).encode(
    x=alt.X("evaluations:Q", scale=alt.Scale(domain=[0, 60], clamp=True)),
    y=alt.Y(
        "error:Q",
        scale=alt.Scale(type="log"),
        axis=alt.Axis(format=".0e"),
        title="largest relative error of a parameter",
    ),
    color=alt.Color("fit:N", sort=list(last), title=None),
).properties(width=420, height=240)

# %%
# The curve, and the certified one
# --------------------------------
# They cover each other. The band is two standard deviations of the curve, from the covariance of
# the parameters.

grid = torch.linspace(-3.1, 2.25, 120, dtype=torch.float64)
slopes = torch.autograd.functional.jacobian(lambda b: mobility(grid, *b), found)
spread = 2 * (slopes @ covariance * slopes).sum(dim=1).sqrt()
curves = [
    {
        "density": float(at),
        "found": float(value),
        "certified": float(true),
        "low": float(value - width),
        "high": float(value + width),
    }
    for at, value, true, width in zip(
        grid,
        mobility(grid, *found),
        mobility(grid, *certified),
        spread,
        strict=True,
    )
]
points = [
    {"density": at, "mobility": value}
    for at, value in zip(DENSITY, MOBILITY, strict=True)
]
base = alt.Chart(alt.Data(values=curves)).encode(
    x=alt.X("density:Q", title="log of the density")
)
(
    base.mark_area(opacity=0.3).encode(y="low:Q", y2="high:Q")
    + base.mark_line().encode(y=alt.Y("found:Q", title="mobility"))
    + base.mark_line(strokeDash=[4, 4], color="black").encode(y="certified:Q")
    + alt.Chart(alt.Data(values=points))
    .mark_point(color="black")
    .encode(x="density:Q", y="mobility:Q")
).properties(width=420, height=240)
