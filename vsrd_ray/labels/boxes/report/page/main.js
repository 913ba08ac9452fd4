// Which page is shown: the address after # says, so that a place in the report can be shared.

const PAGES = {
  summary: summaryPage, map: mapPage, gallery: galleryPage, instances: instancesPage, groups: groupsPage,
  frame: framePage, instance: instancePage,
};
const NAVIGATION = [
  ["summary", "Summary"], ["map", "Map"], ["gallery", "Gallery"], ["instances", "Instances"],
  ["groups", "Without labels"],
];
const PARENTS = { frame: "gallery", instance: "instances" };
const HINTS = [ // keys that are for every page; those of correcting are EDIT_KEYS
  [["→", "j"], "next"], [["←", "k"], "previous"], [["Esc"], "back"], [["w"], "worst first"], [["m"], "map"], [["g"], "gallery"],
  [["i"], "instances"], [["s"], "summary"], [["t"], "light or dark"], [["?"], "keys"],
];
const GO = { w: "#instances/worst/up", m: "#map", g: "#gallery", i: "#instances", s: "#summary" };
const TITLE = document.title;
const main = document.getElementById("main");
const places = new Map(); // how far each list was scrolled
let pending = []; // what has to wait until the page stands
let current = "";
let goesToFirst = false; // whether the list that is about to be shown is walked from its first tile

/** Call something when the page that is being made stands. */
function afterShowing(action) {
  pending.push(action);
}

/** Show the page that the address names. */
function show() {
  const isSame = current === location.hash;
  places.set(current, window.scrollY);
  const [name, ...parts] = location.hash.slice(1).split("/").map(readable);
  const known = Object.hasOwn(PAGES, name) ? name : "summary";
  for (const old of main.querySelectorAll(".js-plotly-plot")) Plotly.purge(old);
  pending = [];
  const focused = document.body.dataset.page === known ? controls().indexOf(document.activeElement) : -1;
  main.replaceChildren(...PAGES[known](...parts).flat(3).filter((part) => part));
  for (const action of pending) action();
  for (const link of document.querySelectorAll("#navigation a")) {
    const isHere = link.hash === `#${PARENTS[known] ?? known}`;
    if (isHere) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "nearest" }); // on a phone it may be beyond the edge
    } else link.removeAttribute("aria-current");
  }
  const keepsPlace = isSame || PARENTS[known] === undefined;
  const control = controls()[focused];
  const listed = [...main.querySelectorAll("a.tile")];
  const tile = isSame ? null : listed.find(({ hash }) => hash === current); // the one that one comes back from
  const first = goesToFirst ? listed[0] : null;
  goesToFirst = false;
  (first ?? (control && !control.disabled ? control : tile ?? main)).focus({ preventScroll: true });
  document.title = titleOf(known);
  window.scrollTo(0, keepsPlace ? places.get(location.hash) ?? 0 : 0);
  current = location.hash;
  document.body.dataset.page = known;
}

/** What the window is called: the page's heading without its badges, then the report. */
function titleOf(page) {
  if (page === "summary") return TITLE;
  const parts = [...main.querySelector("h1").childNodes].filter((part) => ["#text", "A"].includes(part.nodeName));
  return `${parts.map((part) => part.textContent).join("")} – ${TITLE}`;
}

/** The most doubtful instances, from the first on. */
function goToWorst() {
  goesToFirst = true;
  if (location.hash === GO.w) show();
  else location.hash = GO.w;
}

/** What of the page can be pressed or filled in, in its order. */
function controls() {
  return [...main.querySelectorAll("button, select, input")];
}

function readable(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Go on in the list: to the next place in it, or where a list is shown, to the next tile. */
function step(by) {
  const place = walk.routes.indexOf(location.hash);
  if (place >= 0) {
    const route = walk.routes[place + by];
    if (route) location.hash = route;
    return;
  }
  const all = [...main.querySelectorAll("a.tile")];
  const focused = all.indexOf(document.activeElement);
  all[Math.min(all.length - 1, Math.max(0, focused < 0 ? 0 : focused + by))]?.focus();
}

function back() {
  const isDetail = PARENTS[document.body.dataset.page] !== undefined;
  location.hash = isDetail ? walk.back : "#summary";
}

function onKey(event) {
  const inField = ["INPUT", "SELECT", "TEXTAREA"].includes(event.target.tagName);
  if (inField && event.key === "Escape") main.focus({ preventScroll: true }); // where keys are for the page again
  if (!inField && !document.getElementById("keys").open && onEditKey(event)) {
    event.preventDefault();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || inField || document.getElementById("keys").open) return;
  const actions = { ArrowRight: () => step(1), j: () => step(1), ArrowLeft: () => step(-1), k: () => step(-1),
    Escape: back, t: switchTheme, "?": showKeys, w: goToWorst };
  const action = actions[event.key] ?? (GO[event.key] && (() => { location.hash = GO[event.key]; }));
  if (action && !(event.target.closest?.(".js-plotly-plot") && event.key.startsWith("Arrow"))) {
    event.preventDefault();
    action();
  }
}

function keyElements(keys) {
  return element("span", {}, keys.map((key) => element("kbd", {}, key)));
}

function hintElements() {
  return HINTS.map(([keys, words]) => element("span", {}, keyElements(keys), ` ${words}   `));
}

function showKeys() {
  const dialog = document.getElementById("keys");
  dialog.replaceChildren(element("h2", { style: "margin-top:0" }, "Keys"),
    table(["", ""], HINTS.map(([keys, words]) => [keyElements(keys), words])),
    element("h2", {}, "Review and correct"), table(["", ""], EDIT_KEYS.map(([keys, words]) => [keyElements(keys), words])),
    element("p", { class: "muted" }, EDIT_MOUSE),
    element("button", { click: () => dialog.close() }, "Close"));
  dialog.showModal();
  dialog.scrollTop = 0; // the button that has the focus is below
}

function storedTheme() {
  try {
    return localStorage.getItem("vsrd-ray-theme");
  } catch {
    return null; // a browser may refuse this to files
  }
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
}

function switchTheme() {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  setTheme(theme);
  try {
    localStorage.setItem("vsrd-ray-theme", theme);
  } catch {
    // it holds until the page is closed
  }
  show();
}

function start() {
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  setTheme(storedTheme() ?? (prefersDark.matches ? "dark" : "light"));
  prefersDark.addEventListener("change", (event) => {
    if (!storedTheme()) {
      setTheme(event.matches ? "dark" : "light");
      show();
    }
  });
  const links = NAVIGATION.map(([name, words]) => element("a", { href: `#${name}` }, words));
  document.getElementById("navigation").append(...links);
  document.getElementById("hints").append(...hintElements());
  document.getElementById("worst").addEventListener("click", goToWorst);
  document.getElementById("theme").addEventListener("click", switchTheme);
  document.getElementById("help").addEventListener("click", showKeys);
  window.addEventListener("hashchange", show);
  document.addEventListener("keydown", onKey);
  openStore();
  show();
}

start();
