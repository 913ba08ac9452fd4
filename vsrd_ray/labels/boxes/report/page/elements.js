// Elements of the page. Text from data becomes text nodes and attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";
const GOLDEN_RATIO = 0.6180339887498949;
const SCALE = [ // values, and their red, green and blue
  [0, [178, 24, 43]], [0.35, [239, 138, 72]], [0.6, [247, 211, 100]], [0.8, [103, 169, 207]], [1, [33, 102, 172]],
];
const NONE = "–";
const NO_VALUE_COLOR = "rgb(140, 140, 140)";

/** An element with attributes (functions become listeners) and children (text, elements, lists of them, or null). */
function element(name, attributes = {}, ...children) {
  return dressed(document.createElement(name), attributes, children);
}

function svgElement(name, attributes = {}, ...children) {
  return dressed(document.createElementNS(SVG, name), attributes, children);
}

function dressed(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    const isAbsent = value === null || value === undefined || value === false;
    if (typeof value === "function") made.addEventListener(name, value);
    else if (!isAbsent) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** A table; cells are text or elements, and those of columns named in `texts` are flush left. */
function table(head, rows, { texts = [] } = {}) {
  const kind = (column) => ({ class: texts.includes(head[column]) ? "text" : null });
  const cell = (value, column) => element("td", kind(column), value ?? NONE);
  const names = element("tr", {}, head.map((name, column) => element("th", kind(column), name)));
  return element("div", { class: "scrolled" }, element("table", {},
    head.some((name) => name) ? element("thead", {}, names) : null,
    element("tbody", {}, rows.map((row) => element("tr", {}, row.map(cell))))));
}

/** A table of names and values. */
function factTable(facts) {
  const made = table(["", ""], facts);
  made.firstChild.className = "facts";
  return made;
}

function toggle(text, pressed, onclick, title = null) {
  return element("button", { "aria-pressed": String(pressed), click: onclick, title }, text);
}

function select(label, options, chosen, onchange) {
  const made = options.map(([value, text]) => element("option", { value, selected: value === chosen }, text));
  const change = (event) => onchange(event.target.value);
  return element("label", {}, `${label} `, element("select", { change }, made));
}

function fixed(value, decimals = 2) {
  return value === null || value === undefined ? NONE : value.toFixed(decimals);
}

function percent(value) {
  return value === null || value === undefined ? NONE : `${(100 * value).toFixed(0)}\u00a0%`;
}

function metres(value, decimals = 1) {
  return value === null || value === undefined ? NONE : `${value.toFixed(decimals)} m`;
}

/** The colour of an instance, the same as in the pictures of `visualize`. */
function instanceColor(id, alpha = 1) {
  const hue = (id * GOLDEN_RATIO) % 1;
  const channel = (shift) => {
    const k = (shift + hue * 6) % 6;
    return Math.round(255 * (0.95 - 0.95 * 0.85 * Math.max(0, Math.min(k, 4 - k, 1))));
  };
  return `rgb(${channel(5)} ${channel(3)} ${channel(1)} / ${alpha})`;
}

/** A colour for a value in 0..1, red where it is low and blue where it is high, to be told apart by everyone. */
function valueColor(value) {
  if (value === null || value === undefined) return NO_VALUE_COLOR;
  const x = Math.min(1, Math.max(0, value));
  const k = Math.max(1, SCALE.findIndex(([end]) => x <= end));
  const [[low, from], [high, to]] = [SCALE[k - 1], SCALE[k]];
  const mixed = from.map((channel, c) => Math.round(channel + (x - low) / (high - low) * (to[c] - channel)));
  return `rgb(${mixed.join(", ")})`;
}

function dot(color) {
  return element("span", { class: "dot", style: `background:${color}` });
}

function instanceLink(instance) {
  const href = routeOf("instance", instance.sequence.name, instance.id);
  return element("a", { href }, dot(instanceColor(instance.id)), String(instance.id));
}

function badge(text, isBad = false) {
  return element("span", { class: isBad ? "badge bad" : "badge muted" }, text);
}

/** The address of a place in the report. */
function routeOf(...parts) {
  return `#${parts.map((part) => encodeURIComponent(part)).join("/")}`;
}
