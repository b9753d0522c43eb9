// The charts of a page, drawn by Vega: as wide as their card, in its colors, read by pointer and keys.

const rowsOf = (table) => table.rows.map((row) => Object.fromEntries(table.names.map((name, k) => [name, row[k]])));
const tables = data.tables.map(rowsOf);
const number = (value) => (typeof value === "number" ? String(Number(value.toPrecision(4))) : value ?? "–");
const said = (row) => Object.entries(row).filter(([, value]) => value !== null).map(([name, value]) => `${name.replaceAll("_", " ")} ${number(value)}`).join(", ");

function recolored(value) {
  if (typeof value === "string") return data.dark[value.toLowerCase()] ?? value;
  if (Array.isArray(value)) return value.map(recolored);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, recolored(part)]));
}

const NARROW = 440;

// Vega-Lite's specification of a drawing, with its rows.
function withRows(part) {
  if (Array.isArray(part)) return part.map(withRows);
  if (part === null || typeof part !== "object") return part;
  return Object.fromEntries(Object.entries(part).map(([name, value]) => [name, name === "data" ? { values: tables[value.values] } : withRows(value)]));
}

function specOf(drawing, width) {
  const compiled = vegaLite.compile(withRows(drawing.spec)).spec;
  const columns = (legend) => (legend.columns ? { ...legend, columns: width < NARROW ? 1 : legend.columns } : legend);
  const spec = { ...compiled, legends: compiled.legends?.map(columns) ?? [] };
  return isDark() ? recolored(spec) : structuredClone(spec);
}

// One box for all charts; Vega says what stands in it.
const box = document.createElement("div");
box.className = "tooltip";
box.hidden = true;
document.body.append(box);
function tooltip(_, event, __, value) {
  box.hidden = value === null || value === undefined || value === "";
  if (box.hidden) return;
  const parts = typeof value === "object" ? Object.entries(value) : [["", value]];
  box.replaceChildren(...parts.map(([name, part]) => {
    const line = document.createElement("div");
    line.textContent = name ? `${name}: ${part}` : part;
    return line;
  }));
  const left = Math.min(event.clientX + 12, innerWidth - box.offsetWidth - 8);
  box.style.left = `${Math.max(8, left)}px`;
  box.style.top = `${Math.max(8, event.clientY - box.offsetHeight - 12)}px`;
}

function filled(details, figure, drawing) {
  const rows = tables[drawing.rows];
  const names = data.tables[drawing.rows].names;
  const shown = rows.slice(0, 50);
  const frame = document.createElement("div");
  frame.className = "scroll";
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", `Data of: ${figure.title}`);
  const table = document.createElement("table");
  const head = table.createTHead().insertRow();
  for (const name of names) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name.replaceAll("_", " ");
    head.append(cell);
  }
  const body = table.createTBody();
  for (const row of shown) {
    const line = body.insertRow();
    for (const name of names) line.insertCell().textContent = number(row[name]);
  }
  frame.append(table);
  const note = document.createElement("p");
  note.className = "note";
  note.textContent = shown.length < rows.length ? `The first ${shown.length} of ${rows.length} rows; the file has all.` : "";
  const csv = () => [names, ...data.tables[drawing.rows].rows].map((row) => row.map(quoted).join(",")).join("\n") + "\n";
  const key = figure.title.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-");
  details.replaceChildren(details.firstElementChild, frame, note, saving(`${key}.csv`, "text/csv", csv), " ", picture(figure, key));
}

const quoted = (value) => (/[",\n]/.test(String(value ?? "")) ? `"${String(value).replaceAll('"', '""')}"` : value ?? "");

function picture(figure, key) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = `${key}.svg`;
  button.addEventListener("click", async () => {
    const svg = await figure.view.toSVG();
    const link = saving(`${key}.svg`, "image/svg+xml", () => svg);
    link.click();
  });
  return button;
}

class Chart {
  constructor(key, { title, drawings }) {
    this.title = title;
    this.drawings = drawings;
    this.element = document.getElementById(`figure-${key}`);
    this.frame = this.element.querySelector(".chart");
    this.reading = this.element.querySelector(".reading");
    this.details = this.element.querySelector(".data");
    this.name = Object.keys(drawings)[0];
    this.place = -1;
    for (const choice of this.element.querySelectorAll("input[type=radio]")) {
      choice.addEventListener("change", () => { this.name = choice.value; this.draw(); });
    }
    this.details.addEventListener("toggle", () => this.fill());
    this.frame.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("colors", () => this.draw());
    new ResizeObserver(() => this.fit()).observe(this.frame);
    this.draw();
  }

  get drawing() { return this.drawings[this.name]; }

  draw() {
    this.view?.finalize();
    this.width = this.frame.clientWidth;
    this.place = -1;
    this.reading.textContent = "";
    this.view = new vega.View(vega.parse(specOf(this.drawing, this.width)), {
      renderer: "svg", container: this.frame, hover: true, logLevel: vega.Warn, tooltip,
    });
    this.drawn = this.view.runAsync();
    if (this.details.open) this.fill();
  }

  fit() {
    const width = this.frame.clientWidth;
    if (width === this.width || width === 0) return;
    if (this.width < NARROW !== width < NARROW) {
      this.draw(); // a legend has one column below a narrow plot, and two below others
      return;
    }
    this.width = width;
    this.view.signal("width", width).runAsync();
  }

  fill() { if (this.details.open) filled(this.details, this, this.drawing); }

  // Arrow keys read the rows one by one.
  key(event) {
    const rows = tables[this.drawing.rows];
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Home") this.place = 0;
    else if (event.key === "End") this.place = rows.length - 1;
    else if (move) this.place = Math.min(Math.max(this.place + move, 0), rows.length - 1);
    else return;
    event.preventDefault();
    this.reading.textContent = `${this.place + 1} of ${rows.length}: ${said(rows[this.place])}`;
  }
}

const charts = Object.entries(data.figures).map(([key, figure]) => new Chart(key, figure));
// For whoever waits until the page is ready: tests and the benchmark.
Promise.all(charts.map((chart) => chart.drawn)).then(() => {
  root.dataset.ready = "true";
  performance.mark("charts-drawn");
});
