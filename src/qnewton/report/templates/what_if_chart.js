// Seconds of both sides over the steps, on a logarithmic axis, above a strip of who wins.
function drawSides(place, steps) {
  const width = Math.max(280, place.clientWidth), height = 270;
  const box = {left: 62, right: width - 86, top: 12, bottom: height - 70};
  const priced = steps.filter((step) => step.priced);
  const logs = priced.flatMap((step) => [step.classical, step.quantum]).filter((s) => s > 0).map(Math.log10);
  const low = Math.floor(Math.min(0, ...logs)), high = Math.max(low + 1, Math.ceil(Math.max(-3, ...logs)));
  const first = steps[0].step, last = Math.max(first + 1, steps.at(-1).step);
  const cell = (box.right - box.left) / steps.length;
  const x = (place) => box.left + cell * (place + 0.5);
  const y = (seconds) => box.bottom - (box.bottom - box.top) * (Math.log10(Math.max(seconds, 10 ** low)) - low) / (high - low);
  const every = Math.max(1, Math.ceil((high - low) / 6)), shown = Math.max(1, Math.ceil(34 / cell));
  const parts = [];
  for (let power = low; power <= high; power += every) {
    const at = y(10 ** power);
    parts.push(`<line x1="${box.left}" x2="${box.right}" y1="${at}" y2="${at}" class="grid-line"/>`,
      `<text x="${box.left - 8}" y="${at + 4}" text-anchor="end">${powerText(power)} s</text>`);
  }
  const ends = {};
  for (const side of ["classical", "quantum"]) {
    const points = steps.map((step, at) => step.priced ? `${x(at).toFixed(1)},${y(step[side]).toFixed(1)}` : "");
    const runs = points.join(" ").split(/\s{2,}/).filter(Boolean);
    parts.push(...runs.map((run) => `<polyline points="${run.trim()}" class="line ${side}"/>`));
    parts.push(...points.filter(Boolean).map((point) => {
      const [cx, cy] = point.split(",");
      return `<circle cx="${cx}" cy="${cy}" r="${cell > 12 ? 3.5 : 2}" class="dot ${side}"/>`;
    }));
    if (priced.length) ends[side] = y(priced.at(-1)[side]);
  }
  const gap = ends.classical - ends.quantum;
  if (Math.abs(gap) < 16) {
    // Labels that would overlap move apart, the upper one stays above.
    const push = (16 - Math.abs(gap)) / 2 * (gap >= 0 ? 1 : -1);
    ends.classical += push;
    ends.quantum -= push;
  }
  for (const [side, at] of Object.entries(ends)) {
    parts.push(`<text x="${box.right + 8}" y="${at + 4}" class="label ${side}">${side}</text>`);
  }
  const strip = box.bottom + 14;
  steps.forEach((step, at) => {
    const winner = winnerOf(step), letter = {quantum: "Q", classical: "C"}[winner] ?? "–";
    const told = step.priced ? `: classical ${secondsText(step.classical)}, quantum ${secondsText(step.quantum)}` : ": no price on both sides";
    parts.push(`<g><title>step ${step.step}${told}</title>`
      + `<rect x="${box.left + cell * at + 0.5}" y="${strip}" width="${Math.max(1, cell - 1)}" height="20" class="won ${winner.replace(" ", "-")}"/>`
      + (cell > 14 ? `<text x="${x(at)}" y="${strip + 14.5}" text-anchor="middle" class="letter">${letter}</text>` : "") + "</g>");
    if (at % shown === 0) parts.push(`<text x="${x(at)}" y="${strip + 36}" text-anchor="middle">${step.step}</text>`);
  });
  parts.push(`<text x="${box.right + 8}" y="${strip + 14.5}">wins</text>`,
    `<text x="${box.right + 8}" y="${strip + 36}">step</text>`);
  place.innerHTML = `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="Modelled seconds of each step, classical and quantum, and which is less; the table below holds the numbers.">${parts.join("")}</svg>`;
}
