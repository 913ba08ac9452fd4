// The drawings of the editor: boxes over pictures, whose faces can be dragged, and the box from above.

const FACES = [ // corners, the axis of the box that the face stands on, and its side
  { corners: [0, 1, 5, 4], axis: "length", side: 1 }, { corners: [3, 2, 6, 7], axis: "length", side: -1 },
  { corners: [0, 3, 7, 4], axis: "width", side: 1 }, { corners: [1, 2, 6, 5], axis: "width", side: -1 },
  { corners: [0, 1, 2, 3], axis: "height", side: 1 }, { corners: [4, 5, 6, 7], axis: "height", side: -1 },
];
const PLAN_REACH = 6.5; // metres around the box
const HANDLE = 0.9; // metres from the front to the handle that turns a box
const SIDE_REACH = 9; // px on the screen from a side at which it is grabbed
const STEEP = 0.25; // of a metre's usual length in a picture: a face's way looks shorter than that only from its front

/** Pictures in which an instance is corrected: the frame that is shown, then those that show it large. */
function editViews(instance, row) {
  const shown = instance.rows.filter((one) => one === row || one.frame.picture?.image || one.instance.views.some((view) => view.row === one));
  const largest = [...shown].sort((a, b) => b.area - a.area);
  const apart = instance.rows.length / 6;
  const chosen = [row];
  for (const one of largest) {
    const isApart = chosen.every((other) => Math.abs(instance.rows.indexOf(one) - instance.rows.indexOf(other)) >= apart);
    if (chosen.length < MOST_VIEWS && isApart) chosen.push(one);
  }
  return chosen.map((one) => editView(instance, one));
}

function editView(instance, row) {
  const { width, height } = row.frame.sequence;
  const view = instance.views.find((some) => some.row === row);
  const box = boxIn(instance, editNow(instance, row), row);
  const window = windowAround([row.maskBox, projectedBox(row.frame, box)], row.frame.sequence);
  const [left, top, w, h] = window;
  const whole = row.frame.picture?.image;
  const place = view && { x: view.window[0], y: view.window[1], width: view.window[2], height: view.window[3] };
  const image = whole ? svgElement("image", { href: whole, width, height, preserveAspectRatio: "none" })
    : view?.image ? svgElement("image", { href: view.image, ...place, preserveAspectRatio: "none" }) : null;
  const overlay = svgElement("g", {});
  const drawing = svgElement("svg", { class: "picture edit", viewBox: `${left} ${top} ${w} ${h}`, role: "img",
    "data-frame": row.frame.number, "aria-label": `The box in frame ${row.frame.number}` }, image, overlay);
  drawing.addEventListener("pointerdown", (event) => grabFace(event, drawing, row.frame.number));
  const caption = element("figcaption", {}, element("a", { href: rowRoute(row) }, `frame ${row.frame.number}`));
  return { number: row.frame.number, drawing, overlay, caption };
}

/** The part of a picture around some sides, with room to drag. */
function windowAround(parts, { width, height }, shape = 1.8) {
  const sides = parts.filter((part) => part);
  const shown = sides.length ? sides : [[0, 0, width, height]];
  const [left, top] = [0, 1].map((side) => Math.min(...shown.map((part) => part[side])));
  const [right, bottom] = [2, 3].map((side) => Math.max(...shown.map((part) => part[side])));
  const w = Math.min(width, shape * height, Math.max(1.6 * (right - left), 1.6 * shape * (bottom - top), 60));
  const h = w / shape;
  const start = (middle, size, whole) => Math.min(Math.max(middle - size / 2, 0), whole - size);
  return [start((left + right) / 2, w, width), start((top + bottom) / 2, h, height), w, h];
}

function rowIn(number) {
  return editor.instance.rows.find((row) => row.frame.number === number) ?? null;
}

function drawEditView({ number, overlay }, instance, edit) {
  const row = rowIn(number);
  if (!row) return overlay.replaceChildren();
  const polygons = row.frame.picture?.masks?.[instance.place] ?? instance.views.find((view) => view.row === row)?.mask;
  const { edges, front } = wireframe(row.frame, boxIn(instance, edit, row));
  const color = BODY_COLOR;
  overlay.replaceChildren(...[
    polygons ? svgElement("path", { class: "outline", d: polygonPath(polygons),
      style: `stroke:${MASK_COLOR};stroke-width:2;fill:${MASK_COLOR};fill-opacity:.14` }) : null,
    svgElement("path", { d: front, style: `fill:${color};fill-opacity:.22` }),
    svgElement("path", { class: "wire", d: edges, style: `stroke:${color};stroke-width:2` }),
  ].filter((part) => part));
}

/** The place of a pointer in a drawing, in its own units. */
function placeIn(drawing, { clientX, clientY }) {
  const { x, y } = new DOMPoint(clientX, clientY).matrixTransform(drawing.getScreenCTM().inverse());
  return [x, y];
}

/** Call `move` with the places of a pointer until it is let go. */
function follow(event, drawing, move) {
  event.preventDefault();
  drawing.setPointerCapture(event.pointerId);
  const onMove = (next) => move(placeIn(drawing, next), next);
  const end = () => {
    drawing.removeEventListener("pointermove", onMove);
    for (const name of ["pointerup", "pointercancel"]) drawing.removeEventListener(name, end);
  };
  drawing.addEventListener("pointermove", onMove);
  for (const name of ["pointerup", "pointercancel"]) drawing.addEventListener(name, end);
}

let drags = 0;

/** Drag the face of a box that is under a pointer, or with Shift the box over the ground. */
function grabFace(event, drawing, number) {
  const row = rowIn(number);
  if (!row || event.button !== 0) return;
  const start = placeIn(drawing, event);
  const before = plainBox(boxIn(editor.instance, editNow(editor.instance, row), row));
  const joins = `drag ${drags += 1}`;
  if (event.shiftKey) {
    const from = onGround(row.frame, start, before);
    if (!from) return;
    follow(event, drawing, (at) => {
      const to = onGround(row.frame, at, before);
      if (to) change(() => moveBy(to[0] - from[0], to[1] - from[1], 1)(before), { joins, row });
    });
    return;
  }
  const face = faceAt(row.frame, before, start);
  if (!face) return;
  const way = pixelsAMetre(row.frame, before, face);
  const squared = way[0] ** 2 + way[1] ** 2;
  const usual = row.frame.sequence.K[0] / Math.max(1, distance(before.center, row.frame.position));
  const least = (STEEP * usual) ** 2;
  follow(event, drawing, (at) => {
    const metresOut = ((at[0] - start[0]) * way[0] + (at[1] - start[1]) * way[1]) / Math.max(squared, least);
    change(() => withSide(before, face, metresOut), { joins, row });
  });
}

/** Where the ray through a pixel meets the ground below a box; null at the horizon and above it. */
function onGround(frame, pixel, box) {
  const { origin, direction } = rayThrough(frame, pixel);
  const along = (box.center[2] - box.height / 2 - origin[2]) / direction[2];
  return along > 0 && along < 150 ? origin.map((value, k) => value + along * direction[k]) : null;
}

/** The face of a box that a pixel shows, or null. */
function faceAt(frame, box, pixel) {
  const all = corners(box);
  const found = FACES.filter((face) => {
    const middle = [0, 1, 2].map((axis) => face.corners.reduce((sum, corner) => sum + all[corner][axis] / 4, 0));
    const outward = outwardOf(box, face);
    return outward.reduce((sum, value, k) => sum + value * (frame.position[k] - middle[k]), 0) > 0
      && isInside(cutNear(face.corners.map((corner) => toCamera(frame, all[corner]))).map((point) => toPixel(frame.sequence, point)), pixel);
  });
  return found[0] ?? null;
}

function outwardOf(box, { axis, side }) {
  const [cos, sin] = [Math.cos(box.yaw_world), Math.sin(box.yaw_world)];
  return { length: [cos, sin, 0], width: [-sin, cos, 0], height: [0, 0, 1] }[axis].map((value) => side * value);
}

function isInside(polygon, [u, v]) {
  let inside = false;
  polygon.forEach(([x, y], k) => {
    const [nx, ny] = polygon[(k + 1) % polygon.length];
    if ((y > v) !== (ny > v) && u < x + (v - y) / (ny - y) * (nx - x)) inside = !inside;
  });
  return inside;
}

/** How far, and where to, the middle of a face goes in the picture for each metre outwards. */
function pixelsAMetre(frame, box, face) {
  const outward = outwardOf(box, face);
  const middle = box.center.map((value, k) => value + outward[k] * box[face.axis] / 2);
  const [a, b] = [0, 0.1].map((far) => {
    const [x, y, z] = toCamera(frame, middle.map((value, k) => value + far * outward[k]));
    return toPixel(frame.sequence, [x, y, Math.max(z, NEAR)]);
  });
  return [(b[0] - a[0]) / 0.1, (b[1] - a[1]) / 0.1];
}

/** A box one side of which is farther out; the opposite side stays. */
function withSide(box, face, metresOut) {
  const by = Math.max(metresOut, LEAST_SIZE - box[face.axis]);
  const outward = outwardOf(box, face);
  return { ...box, [face.axis]: box[face.axis] + by, center: box.center.map((value, k) => value + outward[k] * by / 2) };
}

/** The box from above, y upwards, with the lines that bound its masks. */
function editPlan(instance) {
  const row = currentRow();
  const { center } = boxIn(instance, editNow(instance, row), row);
  const [x, y] = [center[0], -center[1]];
  const overlay = svgElement("g", {});
  const drawing = svgElement("svg", { class: "plan edit", role: "img", "aria-label": "The box from above",
    viewBox: `${x - PLAN_REACH} ${y - PLAN_REACH} ${2 * PLAN_REACH} ${2 * PLAN_REACH}` },
    metreGrid(x, y), overlay);
  drawing.addEventListener("pointerdown", (event) => grabFromAbove(event, drawing));
  drawing.addEventListener("wheel", onWheel, { passive: false });
  return { drawing, overlay };
}

function metreGrid(x, y) {
  const lines = [];
  for (let k = Math.ceil(-2 * PLAN_REACH); k < 2 * PLAN_REACH; k += 1) {
    const [u, v] = [Math.round(x) + k, Math.round(y) + k];
    const style = (value) => `stroke-opacity:${value % 5 === 0 ? 1 : 0.45}`;
    lines.push(svgElement("path", { class: "grid", d: `M${u} ${y - 20}v40`, style: style(u) }),
      svgElement("path", { class: "grid", d: `M${x - 20} ${v}h40`, style: style(v) }));
  }
  return lines;
}

const yUp = (point) => [point[0], -point[1]];

function drawEditPlan({ overlay }, instance, edit, row) {
  const box = boxIn(instance, edit, row);
  const others = row.frame.rows.filter((other) => other !== row && other.box);
  const grip = gripOf(box);
  const rows = edit.moving ? [row] : editor.views.map((view) => rowIn(view.number)).filter((one) => one);
  overlay.replaceChildren(...[
    rows.flatMap(sightLines),
    others.map((other) => svgElement("path", { class: "footprint other", d: linePath(footprint(other.box, yUp).outline, true) })),
    edit.moving ? svgElement("path", { class: "way", d: linePath(instance.rows.map((one) =>
      yUp(boxIn(instance, edit, one).center)), false) }) : null,
    svgElement("path", { class: "footprint", d: linePath(footprint(box, yUp).outline, true),
      style: `stroke:${BODY_COLOR};fill:${BODY_COLOR};fill-opacity:.25;stroke-width:2` }),
    svgElement("path", { class: "footprint", d: `${linePath(footprint(box, yUp).mark, false)}M${yUp(box.center).join(" ")}L${grip.join(" ")}`,
      style: `stroke:${BODY_COLOR};stroke-width:1.5` }),
    svgElement("circle", { class: "grip", cx: grip[0], cy: grip[1], r: 0.28 }),
  ].flat(2).filter((part) => part));
}

/** Where the handle is that turns a box. */
function gripOf(box) {
  const reach = box.length / 2 + HANDLE;
  return yUp([box.center[0] + reach * Math.cos(box.yaw_world), box.center[1] + reach * Math.sin(box.yaw_world)]);
}

/** From the camera through the left and the right end of a row's mask. */
function sightLines(row) {
  if (!row.maskBox) return [];
  const { width } = row.frame.sequence;
  const middle = (row.maskBox[1] + row.maskBox[3] + 1) / 2;
  return [row.maskBox[0], row.maskBox[2] + 1].filter((u) => u > 1 && u < width - 1).map((u) => {
    const { origin, direction } = rayThrough(row.frame, [u, middle]);
    const end = origin.map((value, k) => value + 80 * direction[k]);
    return svgElement("path", { class: "way sight", d: linePath([yUp(origin), yUp(end)], false) });
  });
}

function grabFromAbove(event, drawing) {
  if (event.button !== 0) return;
  const row = currentRow();
  const before = plainBox(boxIn(editor.instance, editNow(editor.instance, row), row));
  const start = placeIn(drawing, event);
  const joins = `drag ${drags += 1}`;
  const unit = (2 * PLAN_REACH) / drawing.getBoundingClientRect().width * SIDE_REACH; // metres
  const act = (how) => follow(event, drawing, (at) => change(() => how(at), { joins, row }));
  const grip = gripOf(before);
  if (Math.hypot(start[0] - grip[0], start[1] - grip[1]) < Math.max(0.35, unit)) {
    act(([x, y]) => ({ ...before, yaw_world: Math.atan2(-y - before.center[1], x - before.center[0]) }));
    return;
  }
  const [ahead, left] = inBox(before, start);
  const [beyond, beside] = [Math.abs(ahead) - before.length / 2, Math.abs(left) - before.width / 2];
  if (Math.max(beyond, beside) > unit) return;
  const inner = Math.min(unit, 0.2 * before.width);
  if (Math.max(beyond, beside) > -inner) {
    const face = beyond > beside ? { axis: "length", side: Math.sign(ahead) } : { axis: "width", side: Math.sign(left) };
    const along = (place) => inBox(before, place)[face.axis === "length" ? 0 : 1] * face.side;
    act((at) => withSide(before, face, along(at) - along(start)));
  } else act((at) => moveBy(at[0] - start[0], start[1] - at[1], 1)(before));
}

/** Metres ahead of a box's centre and to its left, of a place from above. */
function inBox(box, [x, y]) {
  const [dx, dy] = [x - box.center[0], -y - box.center[1]];
  const [cos, sin] = [Math.cos(box.yaw_world), Math.sin(box.yaw_world)];
  return [cos * dx + sin * dy, cos * dy - sin * dx];
}

function onWheel(event) {
  event.preventDefault();
  const by = -Math.sign(event.deltaY || event.deltaX);
  const how = event.shiftKey ? (box) => ({ ...box, length: box.length + by * STEP.size })
    : event.altKey ? (box) => ({ ...box, width: box.width + by * STEP.size })
      : (box) => ({ ...box, yaw_world: box.yaw_world + by * STEP.turn });
  if (by) change(how, { joins: `wheel ${event.shiftKey} ${event.altKey}` });
}
