// New instances: a click on the same thing in two frames says where it is.

const adding = { isOn: false, first: null }; // of the first click: { frame, pixel }
const LEAST_PARALLAX = Math.PI / 180; // between two rays, radians
const SEEN_TO = 60; // metres, at most, at which a new box counts as seen
const USUAL_CAR = [4.3, 1.8, 1.5];

/** An instance that no mask has, in all frames that show its box. */
function newInstance(sequence, key) {
  const instance = { sequence, key, id: nextId(sequence), place: -1, class: "", baseClass: "", rows: [], truth: [], views: [],
    boxes: [], box: null, edit: null, isNew: true, doubt: 0, area: 0, confidence: null, iou: null, disagreement: null, range: null,
    corrected: 0 };
  sequence.instances.push(instance);
  sequence.instanceById.set(instance.id, instance);
  allInstances.push(instance);
  return instance;
}

/** Below 0: the run gives it its number when it is imported. */
function nextId(sequence) {
  return Math.min(0, ...sequence.instances.map((instance) => instance.id)) - 1;
}

function nextKey(sequence) {
  const numbers = sequence.instances.map(({ key }) => Number(/^new-(\d+)$/.exec(key)?.[1] ?? 0));
  return `new-${Math.max(0, ...numbers) + 1}`;
}

/** Let a new instance have rows in the frames that its edit is for, and in none without one. */
function placeNew(instance, edit) {
  const wanted = new Set(edit?.frames);
  if (wanted.size && wanted.size === instance.rows.length && instance.rows.every((row) => wanted.has(row.frame.number))) return;
  for (const row of instance.rows) row.frame.rows = row.frame.rows.filter((other) => other !== row);
  instance.rows = instance.sequence.frames.filter((frame) => wanted.has(frame.number)).map((frame) => {
    const row = { place: -1, frame, instance, area: 0, maskBox: null,
      base: { box: null, iou: null, doubt: 0, disagreement: null } };
    frame.rows.push(row);
    return row;
  });
  if (!instance.rows.length) {
    Object.assign(instance, { box: null, boxes: [], doubt: 0 });
    allInstances.splice(0, allInstances.length, ...allInstances.filter((other) => other !== instance));
    instance.sequence.instances = instance.sequence.instances.filter((other) => other !== instance);
    instance.sequence.instanceById.delete(instance.id);
  } else if (!instance.sequence.instanceById.has(instance.id)) {
    allInstances.push(instance);
    instance.sequence.instances.push(instance);
    instance.sequence.instanceById.set(instance.id, instance);
  }
}

/** The frames that show a box well enough to be labelled. */
function framesShowing(sequence, box) {
  return sequence.frames.filter((frame) => {
    const depth = toCamera(frame, box.center)[2];
    const sides = depth > 1 && depth < SEEN_TO ? projectedBox(frame, box) : null;
    return sides && (sides[2] - sides[0]) * (sides[3] - sides[1]) >= sequence.minArea;
  }).map((frame) => frame.number);
}

/** The ray through a pixel of a frame: where it starts, and its direction. */
function rayThrough(frame, [u, v]) {
  const [fx, skew, cx, , fy, cy] = frame.sequence.K;
  const y = (v - 0.5 - cy) / fy;
  const inCamera = [(u - 0.5 - cx - skew * y) / fx, y, 1];
  const length = Math.hypot(...inCamera);
  const R = frame.rotation;
  const direction = [0, 3, 6].map((row) => inCamera.reduce((sum, value, k) => sum + R[row + k] * value, 0) / length);
  return { origin: frame.position, direction };
}

/** The point between two rays where they are nearest; null where they are almost parallel, or meet behind a camera. */
function meeting(a, b) {
  const dot = (p, q) => p.reduce((sum, value, k) => sum + value * q[k], 0);
  const between = b.origin.map((value, k) => value - a.origin[k]);
  const cos = dot(a.direction, b.direction);
  const sin2 = 1 - cos * cos;
  if (sin2 < Math.sin(LEAST_PARALLAX) ** 2) return null;
  const [p, q] = [dot(between, a.direction), dot(between, b.direction)];
  const [s, t] = [(p - q * cos) / sin2, (p * cos - q) / sin2];
  if (s <= 0 || t <= 0) return null;
  return a.origin.map((value, k) => (value + s * a.direction[k] + b.origin[k] + t * b.direction[k]) / 2);
}

/** A box of its class's usual size at a point, headed as the camera looks. */
function startingBox(sequence, className, point, frame) {
  const [length, width, height] = usualSize(sequence, className);
  return { center: point, length, width, height, yaw_world: Math.atan2(frame.rotation[5], frame.rotation[2]) };
}

/** The median size of a class's boxes in a sequence. */
function usualSize(sequence, className) {
  const boxes = sequence.instances.filter((one) => one.baseClass === className).flatMap((one) =>
    known([one.rows.find((row) => row.base.box)?.base.box]));
  if (!boxes.length) return USUAL_CAR;
  return ["length", "width", "height"].map((name) => {
    const values = boxes.map((box) => box[name]).sort((a, b) => a - b);
    return values[Math.floor(values.length / 2)];
  });
}

/** Where the masks of an instance without a box say that it is: a box to begin with, or null. */
function boxFromMasks(instance) {
  const rows = instance.rows.filter((row) => row.maskBox).sort((a, b) => b.area - a.area);
  if (!rows.length) return null;
  const rayOf = (row) => rayThrough(row.frame, [0, 1].map((axis) => (row.maskBox[axis] + row.maskBox[axis + 2] + 1) / 2));
  const first = rayOf(rows[0]);
  const turn = ({ direction }) => direction.reduce((sum, value, k) => sum + value * first.direction[k], 0);
  const others = rows.slice(1).map(rayOf).sort((a, b) => turn(a) - turn(b));
  const point = others.map((other) => meeting(first, other)).find((one) => one)
    ?? pointOfHeight(instance, rows[0], first);
  const { sequence } = instance;
  const ahead = startingBox(sequence, instance.class, point, rows[0].frame);
  const fits = [ahead, { ...ahead, yaw_world: wrapped(ahead.yaw_world + Math.PI / 2) }].map((box) =>
    snapped(box, instance.rows, { className: instance.class, usual: usualSize(sequence, instance.class) }));
  return known(fits).sort((a, b) => a.cost - b.cost)[0]?.box ?? ahead;
}

/** Where an object of its class's height has to be to look as high as its mask. */
function pointOfHeight(instance, row, ray) {
  const pixels = row.maskBox[3] - row.maskBox[1] + 1;
  const depth = row.frame.sequence.K[4] * usualSize(instance.sequence, instance.class)[2] / pixels;
  return ray.origin.map((value, k) => value + depth * ray.direction[k]);
}

function startAdding() {
  Object.assign(adding, { isOn: !adding.isOn, first: null });
  show();
}

/** A click in the picture of a frame: the first says from where, the second makes the box. */
function clickToAdd(frame, pixel) {
  if (!adding.first || adding.first.frame.sequence !== frame.sequence) {
    adding.first = { frame, pixel };
    return show();
  }
  const { first } = adding;
  const point = meeting(rayThrough(first.frame, first.pixel), rayThrough(frame, pixel));
  if (!point) {
    adding.note = "These two clicks do not meet before the cameras: take a frame from farther away.";
    return show();
  }
  Object.assign(adding, { isOn: false, first: null, note: null });
  const { sequence } = frame;
  const className = content.run.classes[0] ?? "car";
  const box = startingBox(sequence, className, point, frame);
  const instance = newInstance(sequence, nextKey(sequence));
  const frames = framesShowing(sequence, box);
  decide(instance, { state: "corrected", class: className, moving: false, box, keys: {},
    frames: frames.length ? frames : [frame.number] });
  editor.isOn = true;
  location.hash = instanceRoute(instance);
}

/** What to do next while a box is being added. */
function addingWords() {
  if (!adding.isOn) return null;
  const { first, note } = adding;
  const words = first ? `Now go to another frame (→) and click the same place there. Frame ${first.frame.number} is the first.`
    : "Click the middle of the object in this picture.";
  return element("p", { class: "note" }, note ? `${note} ` : "", words, " ",
    element("button", { click: startAdding }, "Do not add"));
}
