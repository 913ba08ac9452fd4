// Drawings: frames with masks and boxes, their surroundings from above, and close-ups of instances.

const layers = { masks: true, labels: true, truth: true, names: false }; // names: also of what is not doubtful
const MASK_COLOR = "#ffb000";
const BODY_COLOR = "#00c8ff";
const PLAN = { behind: 6, ahead: 50, side: 9.5 }; // metres that are shown around the camera

function polygonPath(polygons) {
  return polygons.map((values) => {
    const points = [];
    for (let k = 0; k < values.length; k += 2) points.push(`${values[k] + 0.5} ${values[k + 1] + 0.5}`);
    return `M${points.join("L")}Z`;
  }).join("");
}

/** A frame's picture with what is drawn over it.
 *
 * `only`: the instance to show alone; `window`: the part [left, top, width, height] px to show; `named`: write ids, those that are not
 * doubtful where the pointer is, or where all are wanted.
 */
function frameDrawing(frame, { only = null, window = null, named = false } = {}) {
  const { width, height } = frame.sequence;
  const [left, top, w, h] = window ?? [0, 0, width, height];
  const shown = frame.rows.filter((row) => !only || row.instance === only);
  const farthestFirst = [...shown].sort((a, b) => (b.range ?? 1e9) - (a.range ?? 1e9));
  const image = frame.picture?.image;
  return svgElement("svg", { class: "picture", viewBox: `${left} ${top} ${w} ${h}`, role: "img",
    "aria-label": `Frame ${frame.number} with masks and boxes` },
    image ? svgElement("image", { href: image, width, height, preserveAspectRatio: "none" }) : null,
    layers.masks ? farthestFirst.map((row) => maskShape(row)) : null,
    layers.truth ? shown.map((row) => truthShape(row)) : null,
    layers.labels ? farthestFirst.map((row) => labelShape(row)) : null,
    named ? farthestFirst.map((row) => nameOf(row, Math.max(w / 95, 4))) : null);
}

function maskShape(row) {
  const color = instanceColor(row.instance.id);
  const polygons = row.frame.picture?.masks?.[row.instance.place];
  if (polygons) {
    return svgElement("path", { class: "outline", d: polygonPath(polygons),
      style: `fill:${color};fill-opacity:.25;stroke:${color};stroke-width:1` });
  }
  if (!row.maskBox) return null;
  const [left, top, right, bottom] = row.maskBox;
  return svgElement("rect", { class: "outline", x: left, y: top, width: right - left + 1, height: bottom - top + 1,
    style: `stroke:${color};stroke-width:1.2;stroke-dasharray:4 3` });
}

function labelShape(row) {
  if (!row.box) return null;
  const color = instanceColor(row.instance.id);
  const { edges, front } = wireframe(row.frame, row.box);
  return [
    svgElement("path", { d: front, style: `fill:${color};fill-opacity:.22` }),
    svgElement("path", { class: "wire", d: edges, style: `stroke:${color};stroke-width:1.8` }),
  ];
}

function truthShape(row) {
  const truth = row.area >= row.frame.sequence.minArea ? truthIn(row.instance, row.frame) : null;
  if (!truth) return null;
  const { edges } = wireframe(row.frame, truth);
  return [
    svgElement("path", { class: "wire", d: edges, style: "stroke:#000;stroke-width:2.6;stroke-opacity:.55" }),
    svgElement("path", { class: "wire", d: edges, style: "stroke:#fff;stroke-width:1.1" }),
  ];
}

function nameOf(row, size) {
  if (!row.maskBox || !row.box) return null;
  const isQuiet = !layers.names && !isDoubtful(row);
  return svgElement("text", { class: isQuiet ? "name quiet" : "name", "data-row": row.place, x: row.maskBox[0], y: Math.max(row.maskBox[1] - size / 3, size),
    "font-size": size, "stroke-width": size / 5 }, String(row.instance.id));
}

/** The surroundings of a frame's camera from above; it looks to the right. */
function planDrawing(frame, { only = null } = {}) {
  const { behind, ahead, side } = PLAN;
  const place = (point) => {
    const [x, y] = aheadLeft(frame, point);
    return [x, -y];
  };
  const view = Math.atan(frame.sequence.width / 2 / frame.sequence.K[0]);
  const [reach, spread] = [2 * ahead, 2 * ahead * Math.tan(view)];
  return svgElement("svg", { class: "plan", viewBox: `${-behind} ${-side} ${behind + ahead} ${2 * side}`, role: "img",
    "aria-label": `Surroundings of frame ${frame.number} from above` },
    planGrid(ahead, side),
    svgElement("path", { class: "view", d: `M0 0L${reach} ${-spread}L${reach} ${spread}Z` }),
    svgElement("path", { class: "camera", d: "M.9 0L-.6 .6L-.3 0L-.6 -.6Z" }),
    frame.rows.filter((row) => !only || row.instance === only).map((row) => [
      layers.labels && row.box ? labelFootprint(row.box, row.instance, place) : null,
      layers.truth && row.area >= frame.sequence.minArea ? truthFootprint(truthIn(row.instance, frame), place) : null,
    ]));
}

/** Lines every ten metres; they go on beyond what has to be seen, for elements of another shape. */
function planGrid(ahead, side) {
  const lines = [];
  for (let x = -ahead; x < 2 * ahead; x += 10) {
    lines.push(svgElement("path", { class: "grid", d: `M${x} ${-ahead}V${ahead}` }));
    const place = { class: "scale", x: x + 0.25, y: side - 0.35, "font-size": 0.95 };
    if (x > 0 && x <= ahead) lines.push(svgElement("text", place, `${x} m`));
  }
  for (let y = -ahead; y <= ahead; y += 10) {
    lines.push(svgElement("path", { class: "grid", d: `M${-ahead} ${y}H${2 * ahead}` }));
  }
  return lines;
}

function linePath(points, close) {
  return `M${points.map(([x, y]) => `${x.toFixed(2)} ${y.toFixed(2)}`).join("L")}${close ? "Z" : ""}`;
}

function labelFootprint(box, instance, place) {
  const color = instanceColor(instance.id);
  const { outline, mark } = footprint(box, place);
  return [
    svgElement("path", { class: "footprint", d: linePath(outline, true),
      style: `fill:${color};fill-opacity:.35;stroke:${color};stroke-width:1.8` }),
    svgElement("path", { class: "footprint", d: linePath(mark, false), style: `stroke:${color};stroke-width:1.2` }),
  ];
}

function truthFootprint(box, place) {
  if (!box) return null;
  const { outline, mark } = footprint(box, place);
  const style = "stroke:var(--ink);stroke-width:1.1";
  const lines = [linePath(outline, true), linePath(mark, false)];
  return lines.map((d) => svgElement("path", { class: "footprint", d, style }));
}

/** An instance close up: its picture, the outline of its mask and that of its fitted body. */
function closeUp(view) {
  const [left, top, width, height] = view.window;
  const place = { x: left, y: top, width, height, preserveAspectRatio: "none" };
  return svgElement("svg", { class: "picture", viewBox: `${left} ${top} ${width} ${height}`, role: "img",
    "aria-label": `Instance ${view.row.instance.id} in frame ${view.row.frame.number}` },
    view.image ? svgElement("image", { href: view.image, ...place }) : null,
    svgElement("path", { class: "outline", d: polygonPath(view.mask),
      style: `stroke:${MASK_COLOR};stroke-width:2;fill:${MASK_COLOR};fill-opacity:.12` }),
    svgElement("path", { class: "outline", d: bodyPath(view), style: `stroke:${BODY_COLOR};stroke-width:2` }));
}

/** The outline of the fitted body; of what a human has corrected, the box: its body is not known. */
function bodyPath({ row, body }) {
  const state = stateOf(row.instance);
  if (state === "corrected") return row.box ? wireframe(row.frame, row.box).edges : "";
  return state === "rejected" ? "" : polygonPath(body);
}

/** A row close up, out of its frame's picture, for instances that have no close-up of their own. */
function rowCloseUp(row, shape = 1.8) {
  const { width, height } = row.frame.sequence;
  const parts = [row.maskBox, row.box && projectedBox(row.frame, row.box)].filter((part) => part);
  const shown = parts.length ? parts : [[0, 0, width, height]];
  const [left, top] = [0, 1].map((side) => Math.min(...shown.map((part) => part[side])));
  const [right, bottom] = [2, 3].map((side) => Math.max(...shown.map((part) => part[side])));
  const w = Math.min(width, shape * height, Math.max(1.7 * (right - left), 1.7 * shape * (bottom - top), 60));
  const h = w / shape;
  const start = (middle, size, whole) => Math.min(Math.max(middle - size / 2, 0), whole - size);
  const window = [start((left + right) / 2, w, width), start((top + bottom) / 2, h, height), w, h];
  return frameDrawing(row.frame, { window, only: row.instance });
}
