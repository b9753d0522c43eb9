// HHL: the clock beside the eigenvectors of A, stage by stage.

const EVOLVED = 2;
const READ = 3;
const ROTATED = 4;
const UNDONE = 5;
const SOLVED = 6;

/** Every amplitude with its clock value k, its eigenvector j and its flag. */
const listed = (rows, flag) =>
  rows.flatMap((amplitudes, k) => amplitudes.map((value, j) => ({ k, j, flag, value, chance: chanceOf([value]) })));

/** All amplitudes: a row for each eigenvector, a bar for each value of the clock. */
function clockBoard({ system, stop, stage, up, down }, width) {
  const n = system.values.length;
  const size = up.length;
  const [left, right, top] = [58, width - 8, 26];
  const rowHeight = n > 4 ? 25 : 62;
  const bottom = top + n * rowHeight;
  const x = scale([-0.5, size - 0.5], [left, right]);
  const wide = Math.max(1, ((right - left) / size) * 0.8);
  const times = magnified(up, down);
  const largest = Math.max(largestOf(up), down ? largestOf(down) : 0);
  const unit = (rowHeight * (down ? 0.46 : 0.88)) / largest;
  const reads = stage === READ || stage === ROTATED;
  const rows = system.values.flatMap((value, j) => {
    // The smallest eigenvalue is the lowest row.
    const floor = bottom - j * rowHeight;
    const base = down ? floor - rowHeight / 2 : floor;
    const place = value / stop.spacing;
    return [
      line(left, base, right, base, "grid"),
      text(left - 6, floor - rowHeight / 2 + 4, short(value), { "text-anchor": "end" }),
      ...(reads ? [line(x(place), floor - rowHeight + 2, x(place), floor, "true-value")] : []),
      ...phaseBars({ up: columnOf(up, j), down: down && columnOf(down, j), times }, x, wide, base, unit),
    ];
  });
  const estimates = (k) => (k >= size / 2 ? `−${short((size - k) * stop.spacing)}` : short(k * stop.spacing));
  const every = Math.max(1, Math.round(size / (width < 460 ? 4 : 8)));
  const values = Array.from({ length: size }, (_, k) => k).filter((k) => k % every === 0);
  const named = reads ? { values, labels: estimates } : { values, labels: String };
  const title = reads ? "eigenvalue that the clock's value stands for" : "value of the clock";
  // Values from the middle on stand for negative eigenvalues.
  const turn = reads ? [line(x(size / 2 - 0.5), top, x(size / 2 - 0.5), bottom, "grid")] : [];
  const parts = [...listed(up, 1), ...listed(down ?? [], 0)].sort((a, b) => b.chance - a.chance).slice(0, 12);
  return {
    height: bottom + 42,
    marks: [text(0, 12, `eigenvalue of A${enlarged(times)}`, { class: "title" }), ...turn, ...rows, ...axisX(x, bottom, title, named)],
    says: `${n} eigenvectors by ${size} values of the clock. The largest amplitude, ${short(largest)}, stands at clock value ${parts[0].k} and eigenvalue ${short(system.values[parts[0].j])}.`,
    columns: ["clock", "eigenvalue", ...(down ? ["flag"] : []), "size", "phase (degrees)"],
    rows: parts.map(({ k, j, flag, value }) => [
      `${k}`,
      system.values[j],
      ...(down ? [`${flag}`] : []),
      sizeOf(value),
      degreesOf(value),
    ]),
  };
}

/** What the numbers of this stage say, in a sentence. */
function saysOfHHL({ system, stop, stage, up, down }) {
  const size = up.length;
  const turns = (value) => short(value / (size * stop.spacing));
  const [least, most] = [system.values[0], system.values.at(-1)];
  if (stage === 0) return `${system.values.length} amplitudes stand in ${Math.log2(system.values.length)} qubits; the clock and the flag hold 0.`;
  if (stage === EVOLVED) return `From one value of the clock to the next, the phase turns ${turns(least)} of a circle along the smallest eigenvalue, and ${turns(most)} along the largest.`;
  if (stage === READ) {
    const smallest = columnOf(up, 0);
    const k = smallest.map(sizeOf).indexOf(Math.max(...smallest.map(sizeOf)));
    const chance = chanceOf([smallest[k]]) / chanceOf(smallest);
    return `For the smallest eigenvalue, ${short(least)}, the likeliest reading is ${short(k * stop.spacing)}, with a chance of ${percent(chance)}. Neighbouring readings are ${short(stop.spacing)} apart.`;
  }
  if (stage === ROTATED) return `With C = ${short(stop.rotation)}, the flag would show 1 with a chance of ${percent(chanceOf(up.flat()))}.`;
  if (stage === UNDONE) return `The flag shows 1 and the clock shows 0 with a chance of ${percent(chanceOf(up[0]))}: that is success. What is left at other clock values is the error of the clock.`;
  if (stage === SOLVED) return `The state is ${short(stop.off)}° from the exact step. It takes ${whole(stop.expected)} calls of the matrix until an attempt succeeds.`;
  return `All ${size} values of the clock are equally likely.`;
}

function startHHL(systems) {
  const root = document.getElementById("hhl");
  const clock = document.getElementById("hhl-qubits");
  const board = new Figure("hhl-board", clockBoard);
  const components = new Figure("hhl-components", componentBars);
  const errors = new Figure("hhl-errors", errorLine);
  const stepper = new Stepper(root.querySelector(".stepper"), show);

  function show(stage) {
    const system = systems[chosenUnknowns(root)];
    const present = Number(clock.value);
    const stop = system.hhl[present];
    const n = system.values.length;
    const now = stop.stages[stage];
    const data = { system, stop, stage, up: unpack(now.up, n), down: unpack(now.down, n) };
    label(clock, `${stop.qubits} qubits, ${2 ** stop.qubits} values`);
    board.show(data);
    components.show({ ...now, wanted: stage === SOLVED ? system.exact : null });
    errors.show({ stops: system.hhl, cost: ({ qubits }) => qubits, name: "qubits of the clock", present });
    root.querySelector(".says").textContent = saysOfHHL(data);
    tell(root, stop);
  }

  onControls(root, () => show(stepper.stage));
  stepper.go(0);
}
