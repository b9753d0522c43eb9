// How charts are drawn: SVG elements, scales, axes, and figures that follow their width.

const SVG = "http://www.w3.org/2000/svg";

function node(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const text = (x, y, words, attributes = {}) => node("text", { x, y, ...attributes }, words);
const line = (x1, y1, x2, y2, kind) => node("line", { x1, y1, x2, y2, class: kind });

/** A linear scale, or with `log` a logarithmic one: a function with its domain and range. */
function scale([from, to], [start, end], log = false) {
  const place = log ? Math.log10 : (value) => value;
  const a = place(from);
  const b = place(to);
  const at = (value) => start + ((place(value) - a) / (b - a)) * (end - start);
  return Object.assign(at, { from, to, start, end, log });
}

function ticks(from, to, count) {
  const rough = (to - from) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough);
  const found = [];
  for (let k = Math.ceil(from / step - 1e-9); k * step <= to + 1e-9 * step; k += 1) found.push(k * step);
  return found;
}

function decades(from, to) {
  const first = Math.ceil(Math.log10(from) - 1e-9);
  const last = Math.floor(Math.log10(to) + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, k) => 10 ** (first + k));
}

/** The ticks of a scale: decades or round numbers, about `count` of them. */
const ticksOf = (at, count) =>
  at.log ? decades(at.from, at.to) : ticks(Math.min(at.from, at.to), Math.max(at.from, at.to), count);

/** An x axis below the marks: `labels` says what stands at a tick. */
function axisX(at, y, title, { values = ticksOf(at, 5), labels = short } = {}) {
  const marks = values.flatMap((value) => [
    line(at(value), y, at(value), y + 4, "tick"),
    text(at(value), y + 17, labels(value), { "text-anchor": "middle" }),
  ]);
  const middle = (at.start + at.end) / 2;
  return [line(at.start, y, at.end, y, "tick"), ...marks, text(middle, y + 34, title, { "text-anchor": "middle", class: "title" })];
}

/** A y axis left of the marks, with grid lines across, and its title above. */
function axisY(at, [left, right], title, { values = ticksOf(at, 4), labels = short } = {}) {
  const marks = values.flatMap((value) => [
    line(left, at(value), right, at(value), "grid"),
    text(left - 6, at(value) + 4, labels(value), { "text-anchor": "end" }),
  ]);
  return [...marks, text(0, 12, title, { class: "title" })];
}

/** A number as a reader takes it in: three digits, and powers of ten with a raised exponent. */
function short(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) {
    const [digits, power] = value.toExponential(2).split("e");
    const raised = String(Number(power)).replace(/./g, (c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻");
    const factor = digits.replace(/\.?0+$/, "");
    return factor === "1" ? `10${raised}` : `${factor}·10${raised}`.replace("-", "−");
  }
  const rounded = Number(value.toPrecision(3));
  return rounded.toLocaleString("en", { maximumSignificantDigits: 3 }).replace("-", "−");
}

const percent = (share) => `${short(100 * share)}%`;
const whole = (count) => Math.round(count).toLocaleString("en");

/**
 * A figure: its chart is drawn again whenever data or width change, with a text alternative and,
 * on demand, the numbers as a table.
 *
 * `draw(data, width)` returns { height, marks, says, columns, rows }.
 */
class Figure {
  constructor(id, draw) {
    this.root = document.getElementById(id);
    this.chart = this.root.querySelector(".chart");
    this.details = this.root.querySelector("details");
    this.draw = draw;
    this.details.addEventListener("toggle", () => this.list());
    new ResizeObserver(() => this.redraw()).observe(this.chart);
  }

  show(data) {
    this.data = data;
    this.redraw();
  }

  redraw() {
    const width = this.chart.clientWidth;
    if (this.data === undefined || width === 0) return;
    this.drawn = this.draw(this.data, width);
    const { height, marks, says } = this.drawn;
    const size = { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" };
    this.chart.replaceChildren(node("svg", size, ...marks));
    this.chart.setAttribute("aria-label", says);
    this.list();
  }

  list() {
    if (!this.details.open || this.drawn === undefined) return;
    const table = this.details.querySelector("table");
    const head = table.createTHead();
    head.replaceChildren(row("th", this.drawn.columns));
    table.querySelector("tbody")?.remove();
    table.createTBody().append(...this.drawn.rows.map((cells) => row("td", cells)));
  }
}

function row(kind, cells) {
  const made = document.createElement("tr");
  for (const cell of cells) {
    const place = document.createElement(kind);
    if (kind === "th") place.scope = "col";
    place.textContent = typeof cell === "number" ? short(cell) : cell;
    made.append(place);
  }
  return made;
}
