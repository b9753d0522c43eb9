// Going through the stages of an algorithm: buttons, arrow keys, and a list that names them all.

/** Shows one stage of a list at a time. `show(stage)` draws it. */
class Stepper {
  constructor(root, show) {
    this.root = root;
    this.show = show;
    this.items = [...root.querySelectorAll(".stages > li")];
    this.back = root.querySelector(".back");
    this.next = root.querySelector(".next");
    this.place = root.querySelector(".place");
    this.back.addEventListener("click", () => this.go(this.stage - 1));
    this.next.addEventListener("click", () => this.go(this.stage + 1));
    this.items.forEach((item, stage) => item.querySelector("button").addEventListener("click", () => this.go(stage)));
    root.addEventListener("keydown", (event) => this.key(event));
    root.classList.add("steps-one-by-one");
  }

  key(event) {
    // A slider and a choice have arrow keys of their own.
    if (event.target.matches("input") || event.altKey || event.ctrlKey || event.metaKey) return;
    const way = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (way === undefined) return;
    event.preventDefault();
    this.go(this.stage + way);
  }

  go(stage) {
    this.stage = Math.min(Math.max(stage, 0), this.items.length - 1);
    this.items.forEach((item, k) => {
      item.toggleAttribute("data-current", k === this.stage);
      const button = item.querySelector("button");
      if (k === this.stage) button.setAttribute("aria-current", "step");
      else button.removeAttribute("aria-current");
    });
    // A button that has the focus keeps it at the ends, and says that there is nothing beyond.
    this.back.setAttribute("aria-disabled", this.stage === 0);
    this.next.setAttribute("aria-disabled", this.stage === this.items.length - 1);
    this.place.textContent = `Step ${this.stage + 1} of ${this.items.length}`;
    this.show(this.stage);
  }
}

/** Write the outcome of a stop into its list of numbers, exactly for machines, rounded for people. */
function tell(root, outcome) {
  const words = { success: percent, queries: whole, expected: whole, off: (angle) => `${short(angle)}°` };
  for (const [name, said] of Object.entries(words)) {
    const place = root.querySelector(`data[data-name="${name}"]`);
    place.value = String(outcome[name]);
    place.textContent = said(outcome[name]);
  }
}

const chosenUnknowns = (root) => root.querySelector("input[type=radio]:checked").value;

/** Call `changed` whenever a choice or a slider within `root` is moved. */
function onControls(root, changed) {
  root.querySelectorAll("input").forEach((input) => input.addEventListener("input", changed));
}

/** Put a slider at a value, with words for it beside and for screen readers. */
function label(input, words) {
  input.closest(".control").querySelector("output").textContent = words;
  input.setAttribute("aria-valuetext", words);
}
