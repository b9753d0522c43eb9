// Amplitudes: complex numbers from the page's data, drawn as bars whose color is the phase.

/** Read what the page's builder packed: 16-bit pairs, as rows of `columns` numbers { re, im }. */
function unpack(packed, columns) {
  if (packed === null) return null;
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const numbers = new Int16Array(bytes.buffer);
  return Array.from({ length: numbers.length / (2 * columns) }, (_, k) =>
    Array.from({ length: columns }, (_, j) => {
      const at = 2 * (k * columns + j);
      return { re: numbers[at] / 32767, im: numbers[at + 1] / 32767 };
    }),
  );
}

const sizeOf = ({ re, im }) => Math.hypot(re, im);
const degreesOf = ({ re, im }) => `${Math.round((Math.atan2(im, re) * 180) / Math.PI)}`;
const chanceOf = (amplitudes) => amplitudes.reduce((sum, { re, im }) => sum + re * re + im * im, 0);
const columnOf = (rows, j) => rows.map((values) => values[j]);
const largestOf = (rows) => Math.max(...rows.flat().map(sizeOf));

/** The color of a phase: blue for +, orange for −, and the circle between them. */
function phaseColor({ re, im }) {
  return `oklch(0.62 0.16 ${(250 + (Math.atan2(im, re) * 180) / Math.PI + 360) % 360})`;
}

/**
 * Bars of complex amplitudes on one base line: those of success upwards, the others downwards and
 * pale. `at(k)` is the middle of bar k, `unit` the height of an amplitude of 1, and success is
 * drawn `times` larger.
 */
function phaseBars({ up, down, times }, at, width, base, unit) {
  const bar = (value, k, below) => {
    const height = sizeOf(value) * unit * (below ? 1 : times);
    return node("rect", {
      x: at(k) - width / 2,
      y: below ? base : base - height,
      width,
      height,
      fill: phaseColor(value),
      class: below ? "failed" : "bar-of-success",
    });
  };
  const drawn = (values, below) =>
    (values ?? []).flatMap((value, k) => (sizeOf(value) * unit > 0.25 ? [bar(value, k, below)] : []));
  return [...drawn(up, false), ...drawn(down, true)];
}

/** By what whole number success is drawn larger, so that its bars can be seen beside failure's. */
function magnified(up, down) {
  return down === null ? 1 : Math.max(1, Math.floor(largestOf(down) / largestOf(up)));
}

const enlarged = (times) => (times > 1 ? ` (success is drawn ${times} times larger)` : "");

/** The circle of phases, unrolled: what each color stands for. */
function phaseLegend(element) {
  const [width, height] = [240, 34];
  const at = scale([-Math.PI, Math.PI], [14, width - 14]);
  const parts = Array.from({ length: 48 }, (_, k) => -Math.PI + (k * Math.PI) / 24);
  const strip = parts.map((phase) =>
    node("rect", { x: at(phase), y: 0, width: 4.8, height: 12, fill: phaseColor({ re: Math.cos(phase), im: Math.sin(phase) }) }),
  );
  const names = [[-Math.PI, "−π"], [-Math.PI / 2, "−π/2"], [0, "0: +"], [Math.PI / 2, "π/2"], [Math.PI, "π: −"]];
  const labels = names.map(([phase, name]) => text(at(phase), 28, name, { "text-anchor": "middle" }));
  element.replaceChildren(node("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, ...strip, ...labels));
}

/** The system's own qubits: one bar per component, beside points of what is wanted. */
function componentBars({ components, own, wanted, names = ["amplitude", "component of the system"] }, width) {
  const height = 210;
  const [left, right, top] = [40, width - 8, 24];
  const bottom = height - 40;
  const bound = Math.max(...components.map(Math.abs), ...(wanted ?? []).map(Math.abs)) * 1.1;
  const y = scale([own ? -bound : 0, bound], [bottom, top]);
  const x = scale([-0.5, components.length - 0.5], [left, right]);
  const step = (right - left) / components.length;
  const bars = components.map((value, j) =>
    node("rect", {
      x: x(j) - step * 0.35,
      y: Math.min(y(value), y(0)),
      width: step * 0.7,
      height: Math.abs(y(value) - y(0)),
      ...(own ? { fill: phaseColor({ re: value, im: 0 }) } : { class: "mixed" }),
    }),
  );
  const points = (wanted ?? []).map((value, j) => node("circle", { cx: x(j), cy: y(value), r: 4, class: "wanted" }));
  const every = components.length > 8 && width < 460 ? 2 : 1;
  const shown = components.map((_, j) => j).filter((j) => j % every === 0);
  const marks = [
    ...axisY(y, [left, right], own ? names[0] : "√ of the chance", { values: ticks(y.from, y.to, 4) }),
    ...bars,
    line(left, y(0), right, y(0), "tick"),
    ...points,
    ...axisX(x, bottom, names[1], { values: shown, labels: (j) => `${j + 1}` }),
  ];
  const listed = components.map((value, j) => [`${j + 1}`, value, ...(wanted ? [wanted[j]] : [])]);
  const beside = wanted ? "; the points are the exact step" : "";
  const kind = own ? "amplitudes with their sign" : "square roots of the chances, since they are entangled with the ancillas";
  return {
    height,
    marks,
    says: `${components.length} components of the system: ${kind}${beside}. The largest is component ${1 + components.map(Math.abs).indexOf(Math.max(...components.map(Math.abs)))}.`,
    columns: [names[1], own ? names[0] : "root of the chance", ...(wanted ? ["exact"] : [])],
    rows: listed,
  };
}

/** Error against what it costs: a logarithmic line with the present stop marked. */
function errorLine({ stops, cost, name, present }, width) {
  const [left, right, top, height] = [46, width - 14, 24, 210];
  const bottom = height - 40;
  const errors = stops.map((stop) => stop.off);
  const y = scale([10 ** Math.floor(Math.log10(Math.min(...errors))), 10 ** Math.ceil(Math.log10(Math.max(...errors)))], [bottom, top], true);
  const costs = stops.map(cost);
  const log = costs.at(-1) > 1000 * costs[0];
  const x = scale([costs[0], costs.at(-1)], [left, right], log);
  const path = stops.map((stop, k) => `${k ? "L" : "M"}${x(costs[k])},${y(stop.off)}`).join("");
  const points = stops.map((stop, k) =>
    node("circle", { cx: x(costs[k]), cy: y(stop.off), r: k === present ? 7 : 3.5, class: k === present ? "present" : "stop" }),
  );
  const shown = log ? {} : { values: costs.length < 8 ? costs : ticks(x.from, x.to, width < 420 ? 4 : 7) };
  const marks = [
    ...axisY(y, [left, right], "angle to the exact step (degrees)"),
    ...axisX(x, bottom, name, shown),
    node("path", { d: path, class: "curve" }),
    ...points,
  ];
  return {
    height,
    marks,
    says: `The angle to the exact step falls from ${short(errors[0])} degrees at ${whole(costs[0])} to ${short(errors.at(-1))} degrees at ${whole(costs.at(-1))} (${name}). Chosen: ${whole(costs[present])}, ${short(errors[present])} degrees.`,
    columns: [name, "degrees off", ...("success" in stops[0] ? ["success probability", "calls until success"] : [])],
    rows: stops.map((stop, k) => [whole(costs[k]), stop.off, ...("success" in stop ? [stop.success, whole(stop.expected)] : [])]),
  };
}
