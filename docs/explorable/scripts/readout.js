// Reading a state: so many shots, and how far the vector that they tell is from the exact step.

function startReadout(systems) {
  const root = document.getElementById("readout");
  const shots = document.getElementById("readout-shots");
  const components = new Figure("readout-components", componentBars);
  const errors = new Figure("readout-errors", errorLine);

  function show() {
    const system = systems[chosenUnknowns(root)];
    const rows = system.readout.rows;
    const present = Number(shots.value);
    const { shots: count, vector, off } = rows[present];
    label(shots, whole(count));
    components.show({ components: vector, own: true, wanted: system.exact });
    errors.show({ stops: rows, cost: (each) => each.shots, name: "shots: one run of the circuit each", present });
    root.querySelector(".says").textContent = `${whole(count)} runs of the circuit, each of which succeeded, tell a vector that is ${short(off)}° from the exact step.`;
  }

  shots.max = systems["4"].readout.rows.length - 1;
  onControls(root, show);
  show();
}
