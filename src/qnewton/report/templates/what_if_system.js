// The price panel of one system: every assumption on a control.
async function startSystem(root) {
  if (!("DecompressionStream" in window)) {
    root.querySelector('[data-part="sentence"]').textContent = "This panel needs a browser of 2023 or later.";
    return;
  }
  const data = dataOf(root), logCounts = await countsOf(data);
  const {control, part, number, showValue, showMeanings, choose} = controlsOf(root);
  const MANTISSAS = [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8];
  // A slider's tenth of a decade as a round number.
  const rounded = (tenths) => Number(`${MANTISSAS[((tenths % 10) + 10) % 10]}e${Math.floor(tenths / 10)}`);

  function systemOf() {
    const size = number("n"), n = data.sizes[size];
    const d = Math.min(n, data.rows[number("d")] ?? n);
    const [machine, inversion] = control("rival").value.split(" ").map(Number);
    const [tables, writes] = control("tables").value.split(" ").map(Number);
    return {
      size, n, d, machine, inversion, tables, writes,
      pair: data.pairs.findIndex(([rows, entries]) => rows === n && entries === d),
      kappa: rounded(number("kappa")),
      epsilon: rounded(number("epsilon")),
      gate: rounded(number("gate")),
      measurement: rounded(number("measurement")),
      error: control("perfect").checked ? null : rounded(number("error")),
      constants: Number(root.querySelector('[data-control="constants"]:checked').value),
      querySet: number("sets"),
      speed: rounded(number("speed")),
    };
  }

  const count = (value) => (value < 1e7 ? value.toLocaleString("en") : numberText(value));
  const once = (error) => `that fail once in ${count(Number((1 / error).toPrecision(2)))}`;

  function verdict(system, quantum, classical) {
    const gates = `gates of ${gateText(system.gate)} ${system.error === null ? "that never fail" : once(system.error)}`;
    const asked = `One solve takes ${secondsText(quantum.total)} by the quantum solver with ${gates}`;
    if (classical === null) return `${asked}. The matrix does not fit into the rival's memory.`;
    const rival = `${classical.name} on ${data.machines[system.machine]}`;
    const [winner, ratio] = quantum.total < classical.seconds
      ? ["quantum solver", classical.seconds / quantum.total] : ["classical rival", quantum.total / classical.seconds];
    return `${asked}, and ${secondsText(classical.seconds)} by ${rival}; both are modelled. `
      + `The ${winner} is ${numberText(ratio)} times as fast. ${change(system, quantum, classical)}`;
  }

  // Seconds are fixed + times·(the rest): so the break-even is exact.
  function change(system, quantum, classical) {
    const times = (classical.seconds - quantum.fixed) / (quantum.total - quantum.fixed);
    if (times <= 0) return "No gate time is short enough: its classical parts alone take longer.";
    return `Both take as long with gates of ${gateText(times * system.gate)}, measurements in proportion.`;
  }

  function showValues(system) {
    showValue("n", count(system.n));
    showValue("d", system.d === system.n ? `${count(system.n)}, dense` : count(system.d));
    for (const name of ["kappa", "epsilon"]) showValue(name, numberText(system[name]));
    for (const name of ["gate", "measurement"]) showValue(name, gateText(system[name]));
    showValue("error", system.error === null ? "never" : numberText(system.error));
    showValue("speed", `${numberText(system.speed)} times`);
    control("error").disabled = system.error === null;
    showMeanings();
  }

  function showTable(quantum, classical) {
    const rows = [...quantum.terms, ["quantum, all terms", quantum.total]];
    if (classical !== null) rows.push([`classical: ${classical.name}`, classical.seconds]);
    part("rows").innerHTML = rows.map(([name, seconds]) =>
      `<tr><th scope="row">${name}</th><td>${secondsText(seconds)}</td></tr>`).join("");
  }

  function show() {
    const system = systemOf(), quantum = quantumPrice(data, logCounts, system), classical = classicalPrice(data, system);
    showValues(system);
    part("sentence").textContent = verdict(system, quantum, classical);
    part("interval").textContent = "Constants that no theorem fixes leave the quantum price between "
      + `${secondsText(quantum.low)} and ${secondsText(quantum.high)}.`;
    drawTerms(part("chart"), quantum, classical);
    showTable(quantum, classical);
  }

  part("own").addEventListener("click", () => {
    choose(data.own);
    control("perfect").checked = false;
    root.querySelector('[data-control="constants"][value="1"]').checked = true;
    show();
  });
  startDrawing(root, part("chart"), show);
  part("own").click();
  // What a test asks, so that it prices as the page does.
  root.priceAt = (system) => ({quantum: quantumPrice(data, logCounts, system), classical: classicalPrice(data, system)});
}
