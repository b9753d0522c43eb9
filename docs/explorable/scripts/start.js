// The page begins: every section takes its part of the data.

const dataOf = (id) => JSON.parse(document.getElementById(id).textContent);
const systems = dataOf("systems");

document.querySelectorAll(".phase-legend").forEach(phaseLegend);
startOverview(dataOf("solves"));
startDamping(systems);
startHHL(systems);
startQSVT(systems);
startReadout(systems);

// Until the switch is used, the page follows the system.
const theme = document.getElementById("theme");
const preferred = matchMedia("(prefers-color-scheme: dark)");
const shown = () => document.documentElement.dataset.theme ?? (preferred.matches ? "dark" : "light");
const other = () => (shown() === "dark" ? "light" : "dark");
function nameTheme() {
  theme.textContent = other() === "dark" ? "Dark page" : "Light page";
}
theme.addEventListener("click", () => {
  document.documentElement.dataset.theme = other();
  nameTheme();
});
preferred.addEventListener("change", nameTheme);
nameTheme();
