// QSVT: the polynomial over the spectrum, and the amplitudes stage by stage and call by call.

const ENCODED = 1;
const CHOSEN = 2;
const CALLED = 3;
const INTERFERED = 4;
const MEASURED = 5;

/** P/max|P| beside 1/x on the same scale, with the eigenvalues of A/α as points on it. */
function polynomialCurve({ system, stop }, width) {
  const [left, right, top, height] = [40, width - 10, 24, 250];
  const bottom = height - 40;
  const most = 1.12;
  const x = scale([0, 1], [left, right]);
  const y = scale([0, most], [bottom, top]);
  const count = stop.curve.length - 1;
  const joined = (points) => points.map(([a, b], k) => `${k ? "L" : "M"}${x(a).toFixed(1)},${y(b).toFixed(1)}`).join("");
  const inverse = Array.from({ length: 121 }, (_, k) => 1 / (stop.height * most) + (k / 120) * (1 - 1 / (stop.height * most)));
  const edge = 1 / stop.kappa;
  const points = system.values.map((value) => value / stop.alpha);
  const marks = [
    ...axisY(y, [left, right], "factor that an eigenvector gets"),
    ...axisX(x, bottom, "eigenvalue of A/α"),
    line(x(edge), top, x(edge), bottom, "true-value"),
    text(x(edge) + 4, bottom - 6, "1/κ"),
    node("path", { d: joined(inverse.map((a) => [a, 1 / (a * stop.height)])), class: "reference" }),
    node("path", { d: joined(stop.curve.map((value, k) => [k / count, value])), class: "curve" }),
    ...points.map((a, j) => node("circle", { cx: x(a), cy: y(stop.factors[j]), r: 4.5, class: "stop" })),
  ];
  return {
    height,
    marks,
    says: `The polynomial of degree ${stop.degree}, drawn as a line, rises from 0 to 1 and then follows 1/x, which is dashed, where the ${points.length} eigenvalues lie, from ${short(points[0])} to 1.`,
    columns: ["eigenvalue of A/α", "polynomial", "1/x, scaled"],
    rows: points.map((a, j) => [a, stop.factors[j], 1 / (a * stop.height)]),
  };
}

/** One pair of bars per eigenvector: where the ancillas show success, and where they do not. */
function eigenvectorBars({ system, stage, up, down }, width) {
  const n = system.values.length;
  const [left, right, top, height] = [40, width - 8, 24, 230];
  const bottom = height - 40;
  const largest = Math.max(largestOf([up]), down ? largestOf([down]) : 0) * 1.05;
  // Before both branches interfere, an ancilla of 0 is no success yet.
  const [shown, hidden] = stage === CALLED ? ["ancilla 0", "ancilla 1"] : ["success", "failure"];
  const y = scale([down ? -largest : 0, largest], [bottom, top]);
  const x = scale([-0.5, n - 0.5], [left, right]);
  const every = n > 8 ? (width < 460 ? 4 : 2) : 1;
  const values = Array.from({ length: n }, (_, j) => j).filter((j) => j % every === 0);
  const marks = [
    ...axisY(y, [left, right], down ? `size: ${shown} up, ${hidden} down` : "size of the amplitude", { labels: (value) => short(Math.abs(value)) }),
    ...phaseBars({ up, down, times: 1 }, x, ((right - left) / n) * 0.7, y(0), y(0) - y(1)),
    line(left, y(0), right, y(0), "tick"),
    ...axisX(x, bottom, "eigenvalue of A", { values, labels: (j) => short(system.values[j]) }),
  ];
  const success = chanceOf(up);
  return {
    height,
    marks,
    says: `${n} eigenvectors; the amplitudes of ${shown} have a chance of ${percent(success)} together.`,
    columns: ["eigenvalue", "size", "phase (degrees)", ...(down ? [`size of ${hidden}`] : [])],
    rows: up.map((value, j) => [
      system.values[j],
      sizeOf(value),
      degreesOf(value),
      ...(down ? [sizeOf(down[j])] : []),
    ]),
  };
}

/** Square roots of the chances of the system's components; both branches have the same. */
function chances({ vectors }, amplitudes) {
  return vectors.map((weights) => {
    const sum = (part) => (values) => weights.reduce((total, weight, j) => total + weight * values[j][part], 0);
    return Math.hypot(...amplitudes.map(sum("re")), ...amplitudes.map(sum("im")));
  });
}

function saysOfQSVT({ system, stop, stage, call, up }) {
  const chance = percent(chanceOf(up));
  if (stage === 0) return `${system.values.length} amplitudes stand in ${Math.log2(system.values.length)} qubits.`;
  if (stage === ENCODED) return `After one call the ancilla shows 0 with a chance of ${chance}. Then the state is A·b, not yet its inverse.`;
  if (stage === CHOSEN) return `Degree ${stop.degree}: on the spectrum the polynomial is off 1/x by ${short(stop.bound)} at most. It has to be divided by its largest value, ${short(stop.height)}.`;
  if (stage === CALLED) return `After ${call} of ${stop.degree} calls the ancilla shows 0 with a chance of ${chance}. That is not yet the chance of success.`;
  if (stage === INTERFERED) return `Ancilla and branch both show 0 with a chance of ${chance}: that is success.`;
  return `The state is ${short(stop.off)}° from the exact step. It takes ${whole(stop.expected)} calls of the matrix until an attempt succeeds.`;
}

function startQSVT(systems) {
  const root = document.getElementById("qsvt");
  const degree = document.getElementById("qsvt-degree");
  const calls = document.getElementById("qsvt-calls");
  const curve = new Figure("qsvt-curve", polynomialCurve);
  const bars = new Figure("qsvt-bars", eigenvectorBars);
  const components = new Figure("qsvt-components", componentBars);
  const errors = new Figure("qsvt-errors", errorLine);
  const stepper = new Stepper(root.querySelector(".stepper"), show);

  function show(stage) {
    const system = systems[chosenUnknowns(root)];
    const n = system.values.length;
    degree.max = system.qsvt.length - 1;
    const present = Number(degree.value);
    const stop = system.qsvt[present];
    calls.max = stop.degree;
    const call = Number(calls.value);
    label(degree, `${stop.degree}`);
    label(calls, `${call} of ${stop.degree}`);
    calls.closest(".control").hidden = stage !== CALLED;
    const now = stop.stages[stage];
    const called = stage === CALLED ? unpack(stop.calls, n).slice(2 * call, 2 * call + 2) : null;
    const [up, down] = called ?? [unpack(now.up, n)[0], now.down === null ? null : unpack(now.down, n)[0]];
    const data = { system, stop, stage, call, up, down };
    curve.show(data);
    bars.show(data);
    const seen = stage === CALLED ? { components: chances(system, [up, down]), own: false } : now;
    components.show({ ...seen, wanted: stage === MEASURED ? system.exact : null });
    errors.show({ stops: system.qsvt, cost: (each) => each.degree, name: "degree: calls in one attempt", present });
    root.querySelector(".says").textContent = saysOfQSVT(data);
    tell(root, stop);
  }

  // Another polynomial begins with all of its calls made: the slider ends at its degree.
  root.querySelectorAll("input:not(#qsvt-calls)").forEach((input) => input.addEventListener("input", () => {
    calls.max = 999;
    calls.value = 999;
    show(stepper.stage);
  }));
  calls.addEventListener("input", () => show(stepper.stage));
  stepper.go(0);
}
