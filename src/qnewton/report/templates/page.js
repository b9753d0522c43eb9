// What a page does beside its charts: colors, explained terms, files to save, and loading again.

const root = document.documentElement;
const data = JSON.parse(document.getElementById("data").textContent);

// A page that loads itself again remembers what its reader chose; elsewhere nothing is kept.
const memory = {
  get: (name) => { try { return sessionStorage.getItem(name); } catch { return null; } },
  set: (name, value) => { try { sessionStorage.setItem(name, value); } catch { /* not allowed here */ } },
};

const isDark = () => {
  const asked = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  return asked === "dark";
};

function setTheme(theme) {
  if (theme) root.dataset.theme = theme;
  else delete root.dataset.theme;
  memory.set("theme", theme);
  document.dispatchEvent(new Event("colors"));
}

for (const choice of document.querySelectorAll("#theme input")) {
  choice.addEventListener("change", () => setTheme(choice.value));
  if (choice.value === memory.get("theme")) {
    choice.checked = true;
    setTheme(choice.value);
  }
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("colors")));

for (const term of document.querySelectorAll(".term")) {
  const meaning = document.getElementById(term.getAttribute("aria-controls"));
  term.addEventListener("click", () => {
    meaning.hidden = !meaning.hidden;
    term.setAttribute("aria-expanded", String(!meaning.hidden));
  });
}

// A link that saves a text as a file: nothing is fetched, the text is in the page.
function saving(name, type, text) {
  const link = document.createElement("a");
  link.className = "button";
  link.download = name;
  link.textContent = name;
  link.href = "#";
  link.addEventListener("click", () => { link.href = URL.createObjectURL(new Blob([text()], { type })); });
  return link;
}

const files = document.getElementById("files");
if (files) {
  const names = Object.keys(data.files);
  for (const name of names) files.append(saving(name, "text/csv", () => data.files[name]), " ");
  files.hidden = names.length === 0;
}

// While the run goes on.
if (document.body.dataset.live) {
  const follow = document.getElementById("follow");
  follow.checked = memory.get("follow") !== "no";
  follow.addEventListener("change", () => memory.set("follow", follow.checked ? "yes" : "no"));
  const timer = setInterval(async () => {
    if (!follow.checked) return;
    if (location.protocol !== "file:") {
      try { await fetch(location.href, { method: "HEAD" }); } catch {
        clearInterval(timer);
        follow.closest(".live").append("The training's own server has stopped; the page is in the run's folder.");
        return;
      }
    }
    location.reload();
  }, 4000);
}
