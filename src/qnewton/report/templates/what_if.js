// The what-if panel of a run: its controls choose among prices that were worked out before.
function startWhatIf(root) {
  const data = dataOf(root), {control, part, number, showValue, showMeanings, choose} = controlsOf(root);
  const logRises = new Float32Array(bytesOf(data.logRises).buffer);
  const perDesign = data.tables * data.querySets * data.epsilons.length * data.errors.length;
  const starts = data.designs.reduce((found, count) => [...found, found.at(-1) + count], [0]);

  function stateOf() {
    const price = control("price").value;
    const [tables, writes] = control("tables").value.split(" ").map(Number);
    const place = number("gate");
    return {
      // The slider moves in steps; where the run's own gate time lies between two it is exact.
      gate: place === data.own.gate ? data.gate : 10 ** place,
      querySet: price === "paper" ? null : Number(price),
      epsilon: number("epsilon"),
      error: number("error"),
      rival: number("rival"),
      tables, writes,
    };
  }

  // One solve's price as lines in the gate time: [seconds that stay, seconds per second].
  function linesOf(solve, state) {
    if (state.querySet === null) return [[0, data.paper[solve] ?? Infinity]];
    const beside = data.beside[state.rival];
    const stop = ((state.tables * data.querySets + state.querySet) * data.epsilons.length + state.epsilon)
      * data.errors.length + state.error;
    const lines = [];
    for (let design = starts[solve]; design < starts[solve + 1]; design += 1) {
      const classical = data.fixed[beside][design];
      if (classical === null) continue;
      const writing = state.writes ? data.writing[beside][design] : 0;
      lines.push([classical + writing, Math.exp(logRises[design * perDesign + stop])]);
    }
    return lines;
  }

  const priceOf = (lines, gate) => Math.min(Infinity, ...lines.map(([stays, rise]) => stays + rise * gate));

  function pricesOf(state) {
    const steps = data.steps.map((step) => ({step, classical: 0, quantum: 0, priced: 0, solves: 0}));
    const solves = [];
    data.owners.forEach((owner, solve) => {
      const lines = linesOf(solve, state), classical = data.classical[state.rival][solve] ?? Infinity;
      const quantum = priceOf(lines, state.gate), step = steps[owner];
      step.solves += 1;
      if (!Number.isFinite(quantum) || !Number.isFinite(classical)) return;
      step.priced += 1;
      step.classical += classical;
      step.quantum += quantum;
      solves.push({lines, classical, quantum});
    });
    return {steps, solves};
  }

  // The gate time at which both sides take as long in all; null where none is short enough.
  function breakEven(solves) {
    const target = solves.reduce((sum, solve) => sum + solve.classical, 0);
    const quantum = (gate) => solves.reduce((sum, solve) => sum + priceOf(solve.lines, gate), 0);
    if (!solves.length || quantum(0) >= target) return null;
    let low = -150, high = 10;
    for (let turn = 0; turn < 60; turn += 1) {
      const middle = (low + high) / 2;
      if (quantum(10 ** middle) < target) low = middle; else high = middle;
    }
    return 10 ** low;
  }

  function sentence({steps, solves}, state) {
    const priced = steps.filter((step) => step.priced), gates = `gates of ${gateText(state.gate)}`;
    if (!priced.length) return `No step has a price on both sides under these assumptions. ${data.unpriced}`;
    const wins = priced.filter((step) => step.quantum < step.classical).length;
    const sum = (side) => solves.reduce((total, solve) => total + solve[side], 0);
    const even = breakEven(solves);
    const won = priced.length > 1 ? `wins ${wins} of ${priced.length} steps` : `${wins ? "wins" : "loses"} the one step`;
    const then = even === null
      ? "No gate time is short enough to change that: its classical parts alone take longer."
      : `Both would take as long with gates of ${gateText(even)}.`;
    return `With ${gates} the quantum solver ${won}. All solves would take it ${secondsText(sum("quantum"))} `
      + `and the classical rival ${secondsText(sum("classical"))}, modelled. ${then}`;
  }

  function showValues(state) {
    const free = state.querySet === null;
    showValue("gate", gateText(state.gate));
    showValue("epsilon", numberText(data.epsilons[state.epsilon]));
    showValue("error", data.errors[state.error] === null ? "gates never fail" : numberText(data.errors[state.error]));
    showMeanings();
    for (const name of ["epsilon", "error", "tables"]) control(name).disabled = free;
    part("free").hidden = !free;
  }

  function showTable(steps) {
    const cell = (text) => `<td>${text}</td>`;
    part("rows").innerHTML = steps.map((step) => `<tr><th scope="row">${step.step}</th>`
      + cell(step.priced ? secondsText(step.classical) : "–") + cell(step.priced ? secondsText(step.quantum) : "–")
      + `${cell(winnerOf(step))}${cell(`${step.priced} of ${step.solves}`)}</tr>`).join("");
  }

  function show() {
    const state = stateOf(), found = pricesOf(state);
    showValues(state);
    part("sentence").textContent = sentence(found, state);
    drawSides(part("chart"), found.steps);
    if (part("table").open) showTable(found.steps);
  }

  for (const name of ["own", "kind"]) {
    part(name).addEventListener("click", () => { choose(data[name]); show(); });
  }
  part("table").addEventListener("toggle", show);
  startDrawing(root, part("chart"), show);
  choose(data.own);
  show();
}

function winnerOf(step) {
  if (!step.priced) return "no price";
  return step.quantum < step.classical ? "quantum" : "classical";
}
