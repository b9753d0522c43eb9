// Each term's seconds as a bar on a logarithmic axis, and a line where the classical rival stands.
function drawTerms(place, quantum, classical) {
  const width = Math.max(280, place.clientWidth), narrow = width < 480;
  const rows = [...quantum.terms.filter(([, seconds]) => seconds > 0), ["all of it", quantum.total]];
  const box = {left: narrow ? 8 : 150, right: width - 16, top: 26}, height = 34, bottom = box.top + rows.length * height;
  const logs = rows.map(([, seconds]) => Math.log10(seconds));
  if (classical) logs.push(Math.log10(classical.seconds));
  const low = Math.floor(Math.min(...logs)) - 1, high = Math.ceil(Math.max(...logs));
  const x = (seconds) => box.left + (box.right - box.left) * (Math.log10(seconds) - low) / (high - low);
  const every = Math.max(1, Math.ceil((high - low) / (narrow ? 4 : 8)));
  const parts = [];
  for (let power = low; power <= high; power += every) {
    const at = x(10 ** power);
    parts.push(`<line x1="${at}" x2="${at}" y1="${box.top}" y2="${bottom}" class="grid-line"/>`,
      `<text x="${at}" y="${bottom + 18}" text-anchor="${at < 24 ? "start" : at > width - 24 ? "end" : "middle"}">${powerText(power)} s</text>`);
  }
  if (classical) {
    const at = x(classical.seconds), anchor = at > (box.left + box.right) / 2 ? "end" : "start";
    parts.push(`<line x1="${at}" x2="${at}" y1="${box.top - 6}" y2="${bottom}" class="line classical"/>`,
      `<text x="${at}" y="${box.top - 12}" text-anchor="${anchor}" class="label classical">classical ${secondsText(classical.seconds)}</text>`);
  }
  rows.forEach(([name, seconds], row) => {
    const y = box.top + row * height, whole = row === rows.length - 1, end = x(seconds);
    const inside = end > width - 130, bar = narrow ? {y: y + 15, height: 15} : {y: y + 7, height: 20};
    parts.push(narrow ? `<text x="${box.left}" y="${y + 11}" class="on-bar">${name}</text>`
      : `<text x="${box.left - 10}" y="${y + 21}" text-anchor="end" class="${whole ? "label" : ""}">${name}</text>`,
      `<rect x="${box.left}" y="${bar.y}" width="${Math.max(1, end - box.left)}" height="${bar.height}" class="term-bar${whole ? " whole" : ""}"/>`,
      `<text x="${inside ? end - 6 : end + 6}" y="${bar.y + bar.height / 2 + 4.5}" text-anchor="${inside ? "end" : "start"}" class="label ${inside ? "inside" : "quantum on-bar"}">${secondsText(seconds)}</text>`);
  });
  const tall = bottom + 28;
  place.innerHTML = `<svg viewBox="0 0 ${width} ${tall}" width="${width}" height="${tall}" role="img" aria-label="Seconds of each term of the quantum price, beside the classical rival; the table below holds the numbers.">${parts.join("")}</svg>`;
}
