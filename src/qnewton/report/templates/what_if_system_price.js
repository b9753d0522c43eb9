// The audited price of one system, as qnewton.cost has it, from counts between the nodes of a grid.
// Times, error rate and speeds enter by the formulas of qnewton.cost.surface_code, which are exact.
async function countsOf(data) {
  const packed = new Blob([bytesOf(data.counts)]).stream().pipeThrough(new DecompressionStream("gzip"));
  const codes = new Uint16Array(await new Response(packed).arrayBuffer());
  const [low, high] = data.logs, scale = (high - low) / 65535;
  const last = data.kappas.length * data.epsilons.length, sets = data.constants.cycle.length;
  // Counts at likely and at harsh constants are held as differences, modulo 2^16.
  for (let place = 0; place < codes.length; place += 1) {
    if (Math.floor(place / last) % sets) codes[place] += codes[place - last];
  }
  const encodings = data.pairs.length + data.sizes.length;
  const inner = data.tables * data.querySets * sets * last;

  // Logarithms of cycles of the three parts, of states, and of qubits laid out.
  return function logCounts(encoding, system, constants) {
    const kappa = placeOf(data.kappas, system.kappa), epsilon = placeOf(data.epsilons, system.epsilon);
    const stop = ((system.tables * data.querySets + system.querySet) * sets + constants) * last;
    const at = (number, k, e) => low + scale
      * codes[(number * encodings + encoding) * inner + stop + k * data.epsilons.length + e];
    const along = (number, k) => mixed(at(number, k, epsilon.before), at(number, k, epsilon.after), epsilon.share);
    return [0, 1, 2, 3, 4].map((number) => mixed(along(number, kappa.before), along(number, kappa.after), kappa.share));
  };
}

const mixed = (one, other, share) => one + (other - one) * share;

// Where a value lies between nodes, in logarithms; the nodes rise or fall.
function placeOf(nodes, value) {
  const rises = nodes.at(-1) > nodes[0];
  let before = nodes.findLastIndex((node) => (rises ? node <= value : node >= value));
  before = Math.min(nodes.length - 2, Math.max(0, before));
  const share = Math.log(value / nodes[before]) / Math.log(nodes[before + 1] / nodes[before]);
  return {before, after: before + 1, share: Math.min(1, Math.max(0, share))};
}

// The terms of one block-encoding's price, in seconds; those named classical are no gate's.
function termsOf(data, logCounts, system, encoding, constants) {
  const logs = logCounts(encoding, system, constants);
  const [called, prepared, solved, states, laidOut] = logs.map(Math.exp);
  const cycles = called + prepared + solved, bare = cycles * system.gate;
  let state = bare;
  if (system.error !== null) {
    const excess = Math.log(laidOut) + Math.log(Math.max(1, cycles)) - Math.log(data.failure / 2);
    const steps = Math.ceil((Math.log(data.constants.prefactor[constants]) + excess) / Math.log(data.threshold / system.error));
    const distance = 2 * Math.max(1, steps) - 1;
    state = cycles * distance * data.constants.cycle[constants] * (4 * system.gate + 2 * system.measurement);
  }
  const slowdown = 1 / system.speed;
  const writing = system.writes ? data.writing[system.machine][encoding] * slowdown : 0;
  const norm = data.norm[system.machine][system.pair] * slowdown;
  return {
    fixed: writing + norm,
    total: writing + norm + states * state,
    terms: [
      ["writing the tables", writing],
      ["block-encoding", called * system.gate],
      ["state preparation", prepared * system.gate],
      ["solver", solved * system.gate],
      ["error correction", Math.max(0, state - bare)],
      ["read-out", (states - 1) * state],
      ["length of the step", norm],
    ],
  };
}

// The cheapest block-encoding at the likely constants, with its prices at the kindest and harshest.
function quantumPrice(data, logCounts, system) {
  const encodings = [system.pair, data.pairs.length + system.size];
  const priced = encodings.map((encoding) => ({encoding, ...termsOf(data, logCounts, system, encoding, 1)}));
  const best = priced.reduce((least, other) => (other.total < least.total ? other : least));
  const ends = [0, 2].map((constants) => termsOf(data, logCounts, system, best.encoding, constants));
  const shown = system.constants === 1 ? best : ends[system.constants / 2];
  return {...shown, low: ends[0].total, high: ends[1].total};
}

// The cheapest classical solver of the rival, and its seconds; none where its memory is too small.
function classicalPrice(data, system) {
  const {machine, pair} = system;
  const relative = system.epsilon / (1 + system.epsilon / 2), root = Math.sqrt(system.kappa);
  const products = Math.max(1, Math.ceil(0.5 * root * (Math.log(2 * root) - Math.log(relative))));
  const offers = [["LU inversion", data.inversion[machine][pair]]];
  if (!system.inversion) {
    const [once, each] = data.krylov;
    offers.splice(0, 1, ["Cholesky", data.direct[machine][pair]], ...[0, 1].map((solver) => {
      const stays = once[solver][machine][pair];
      return ["conjugate gradients", stays === null ? null : stays + products * each[solver][machine][pair]];
    }));
  }
  const known = offers.filter(([, seconds]) => seconds !== null);
  if (!known.length) return null;
  const [name, seconds] = known.reduce((least, other) => (other[1] < least[1] ? other : least));
  return {name, seconds: seconds / system.speed};
}
