// The answer at a glance: one solve, classical and quantum, on one axis of time.

const HOUR = 3600;
const YEAR = 31557600;
const TIMES = [
  [1e-6, "1 µs"], [1e-3, "1 ms"], [1, "1 s"], [HOUR, "1 h"],
  [YEAR, "1 year"], [1e3 * YEAR, "1,000 years"], [1e6 * YEAR, "10⁶ years"],
];

/** A row for each system: the classical and the quantum solve, with the quantum one's interval. */
function solves(systems, width) {
  const narrow = width < 560;
  const [left, right, top, rowHeight] = [16, width - 30, 8, narrow ? 92 : 74];
  const bottom = top + systems.length * rowHeight;
  const x = scale([1e-4, 3e6 * YEAR], [left, right], true);
  const shown = TIMES.filter(([seconds], k) => seconds >= x.from && (!narrow || k % 2 === 0));
  // Words stay within the chart: they begin or end at their point where it is near an edge.
  const anchored = (at) => (at < width * 0.3 ? ["start", at - 7] : at > width * 0.7 ? ["end", at + 7] : ["middle", at]);
  const solve = ({ seconds, said }, kind, y, below) => {
    const [anchor, at] = anchored(x(seconds));
    return [
      node("circle", { cx: x(seconds), cy: y, r: 7, class: `solve ${kind}` }),
      text(at, below ? y + 24 : y - 14, `${kind}: ${said}`, { "text-anchor": anchor, class: `title ${kind}` }),
    ];
  };
  const rows = systems.flatMap(({ n, classical, quantum }, k) => {
    const y = top + k * rowHeight + 52;
    return [
      text(left, y - 38, `${whole(n)} unknowns`),
      line(x(classical.seconds), y, x(quantum.seconds), y, "between"),
      line(x(quantum.low), y, x(quantum.high), y, "interval"),
      ...solve(classical, "classical", y, false),
      ...solve(quantum, "quantum", y, narrow),
    ];
  });
  const grid = shown.map(([seconds]) => line(x(seconds), top, x(seconds), bottom, "grid"));
  const values = shown.map(([seconds]) => seconds);
  const labels = (seconds) => TIMES.find(([value]) => value === seconds)[1];
  return {
    height: bottom + 42,
    marks: [...grid, ...rows, ...axisX(x, bottom, "modelled time of one solve", { values, labels })],
    says: systems.map(({ n, classical, quantum }) => `${whole(n)} unknowns: classical ${classical.said}, quantum ${quantum.said}.`).join(" "),
    columns: ["unknowns", "classical", "quantum", "its interval"],
    rows: systems.map(({ n, classical, quantum }) => [whole(n), classical.said, quantum.said, `${short(quantum.low)} s to ${short(quantum.high)} s`]),
  };
}

const startOverview = (systems) => new Figure("overview", solves).show(systems);
