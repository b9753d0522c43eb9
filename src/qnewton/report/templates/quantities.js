// Numbers as qnewton.report.quantities writes them: three digits, a unit, powers of ten.
const SUPERSCRIPTS = {"-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹"};

function powerText(exponent) {
  return "10" + [...String(exponent)].map((digit) => SUPERSCRIPTS[digit]).join("");
}

function numberText(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size === 0 || (size >= 1e-3 && size < 1e4)) {
    return size < 1000 ? String(Number(value.toPrecision(3))) : value.toFixed(0);
  }
  const [mantissa, exponent] = value.toExponential(2).split("e");
  return `${Number(mantissa)}·${powerText(Number(exponent))}`;
}

const LONGER = [[31557600, "years"], [86400, "days"], [3600, "h"], [60, "min"]];
const SHORTER = [[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"], [1e-12, "ps"], [1e-15, "fs"], [1e-18, "as"]];

function secondsText(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  for (const [size, unit] of LONGER) {
    if (seconds >= 2 * size) return `${numberText(seconds / size)} ${unit}`;
  }
  for (const [size, unit] of SHORTER) {
    // Rounded first, so that 999.9 ns reads 1 µs.
    if (Number(seconds.toPrecision(3)) >= size) return `${numberText(seconds / size)} ${unit}`;
  }
  return `${numberText(seconds)} s`;
}

// Gate times below a picosecond have units that few know.
function gateText(seconds) {
  return seconds < 1e-12 ? `${numberText(seconds)} s` : secondsText(seconds);
}
