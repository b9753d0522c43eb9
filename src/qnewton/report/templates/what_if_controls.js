// What panels share: their controls, the texts beside them, and one drawing per frame.
function controlsOf(root) {
  const control = (name) => root.querySelector(`[data-control="${name}"]`);
  return {
    control,
    part: (name) => root.querySelector(`[data-part="${name}"]`),
    number: (name) => Number(control(name).value),
    showValue(name, text) {
      root.querySelector(`output[for="${control(name).id}"]`).textContent = text;
      control(name).setAttribute("aria-valuetext", text);
    },
    showMeanings() {
      for (const choice of root.querySelectorAll("select")) {
        const said = root.querySelector(`#${choice.getAttribute("aria-describedby")}`);
        said.textContent = choice.selectedOptions[0].dataset.said;
      }
    },
    choose(values) {
      for (const [name, value] of Object.entries(values)) control(name).value = value;
    },
  };
}

function startDrawing(root, chart, show) {
  let waiting = false;
  const later = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; show(); });
  };
  root.addEventListener("input", later);
  new ResizeObserver(later).observe(chart);
}

function dataOf(root) {
  return JSON.parse(root.querySelector('script[type="application/json"]').textContent);
}

function bytesOf(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
