// Damping: A = H + λ, worked out in the page from the eigenpairs of H for every λ.

/** A with λ on its diagonal, as squares: blue above zero, orange below. */
function heatMap({ matrix, rhs }, width) {
  const n = rhs.length;
  const side = Math.min(width / (n + 2), 26);
  const top = 20;
  const most = Math.max(...matrix.flat().map(Math.abs));
  const mostOfRhs = Math.max(...rhs.map(Math.abs));
  const square = (value, bound, x, y) =>
    node("rect", { x, y, width: side - 1, height: side - 1, class: value < 0 ? "below" : "above", "fill-opacity": (Math.abs(value) / bound).toFixed(3) });
  const cells = matrix.flatMap((values, i) => values.map((value, j) => square(value, most, j * side, top + i * side)));
  const beside = rhs.map((value, i) => square(value, mostOfRhs, (n + 1) * side, top + i * side));
  return {
    height: top + n * side + 4,
    marks: [text(0, 12, "A", { class: "title" }), ...cells, text((n + 1) * side, 12, "b", { class: "title" }), ...beside],
    says: `The ${n} by ${n} entries of A and the ${n} of b. The largest entry of A is ${short(most)}, the largest of b ${short(mostOfRhs)}.`,
    columns: ["row", "diagonal of A", "b"],
    rows: rhs.map((value, i) => [`${i + 1}`, matrix[i][i], value]),
  };
}

/** The eigenvalues of A by size on a logarithmic axis, and κ between the outermost. */
function spectrum({ values, condition }, width) {
  const [left, right, height] = [22, width - 16, 128];
  const x = scale([1e-4, 20], [left, right], true);
  const sizes = values.map((value) => Math.max(Math.abs(value), 1e-4));
  const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
  const points = values.map((value, j) => node("circle", { cx: x(sizes[j]), cy: 62, r: 5, class: value < 0 ? "below point" : "above point" }));
  const negative = values.filter((value) => value < 0).length;
  const marks = [
    node("path", { d: `M${x(least)},40V30H${x(most)}V40`, class: "bracket" }),
    text(Math.min(Math.max((x(least) + x(most)) / 2, 40), right - 40), 22, `κ = ${short(condition)}`, { "text-anchor": "middle", class: "title" }),
    ...points,
    ...axisX(x, 86, "size of an eigenvalue (orange: negative)"),
  ];
  return {
    height,
    marks,
    says: `${values.length} eigenvalues from ${short(Math.min(...values))} to ${short(Math.max(...values))}, ${negative} of them negative; condition number ${short(condition)}.`,
    columns: ["eigenvalue"],
    rows: values.map((value) => [value]),
  };
}

/** What λ makes of the system: eigenvalues, κ and the step, exactly. */
function damped({ values, vectors, rhs, damping }, strength) {
  const shifted = values.map((value) => value - damping + strength);
  const sizes = shifted.map(Math.abs);
  const weights = shifted.map((_, j) => rhs.reduce((sum, value, i) => sum + vectors[i][j] * value, 0));
  const step = rhs.map((_, i) => shifted.reduce((sum, value, j) => sum + (vectors[i][j] * weights[j]) / value, 0));
  const length = Math.hypot(...step);
  const slope = step.reduce((sum, value, i) => sum + value * rhs[i], 0);
  return {
    values: shifted,
    condition: Math.max(...sizes) / Math.min(...sizes),
    step,
    length,
    angle: (Math.acos(Math.min(1, Math.max(-1, slope / (length * Math.hypot(...rhs))))) * 180) / Math.PI,
    negative: shifted.filter((value) => value < 0).length,
  };
}

function saysOfDamping({ condition, length, angle, negative }, strength) {
  const shape =
    negative === 0
      ? "All eigenvalues are positive, so the step leads downhill."
      : `${negative} of the eigenvalues ${negative === 1 ? "is" : "are"} negative: along ${negative === 1 ? "it" : "them"} the step leads uphill.`;
  return `λ = ${short(strength)}: κ = ${short(condition)}, a step of length ${short(length)}, ${short(angle)}° from the negative gradient. ${shape}`;
}

function startDamping(systems) {
  const system = systems["16"];
  const slider = document.getElementById("damping-strength");
  const matrix = new Figure("damping-matrix", heatMap);
  const values = new Figure("damping-spectrum", spectrum);
  const step = new Figure("damping-step", componentBars);

  function show() {
    const strength = 10 ** Number(slider.value);
    const found = damped(system, strength);
    const entries = system.matrix.map((each, i) => each.map((value, j) => (i === j ? value - system.damping + strength : value)));
    label(slider, short(strength));
    matrix.show({ matrix: entries, rhs: system.rhs });
    values.show(found);
    step.show({ components: found.step, own: true, wanted: null, names: ["component of x", "weight"] });
    document.querySelector("#damping .says").textContent = saysOfDamping(found, strength);
  }

  slider.value = Math.log10(system.damping);
  slider.addEventListener("input", show);
  show();
}
