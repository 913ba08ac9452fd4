// What a human decides on instances: an edit each, or none where it is open. Edits never change: each step makes a new
// one, so that undoing is going back to an older one.
//
// An edit: { state, class, moving, box, keys, frames }. `box` holds in all frames of what stands. Of what moves, `keys`
// maps numbers of frames to boxes that a human has set: between them, what differs from the labeler's way (or from
// `box`, where there is none) is interpolated.

const steps = { done: [], undone: [] };
const STATES = ["open", "accepted", "corrected", "rejected"];
const MOST_STEPS = 500;

/** Keep what the labeler said, under what a human will say. */
function rememberBase(sequence) {
  for (const instance of sequence.instances) {
    instance.key ??= String(instance.id);
    instance.edit ??= null;
    instance.baseClass ??= instance.class;
  }
  for (const row of sequence.rows) row.base ??= { box: row.box, iou: row.iou, doubt: row.doubt, disagreement: row.disagreement };
}

function stateOf(instance) {
  return instance.edit?.state ?? "open";
}

/** How many instances are in each state, those without anything to decide on left out. */
function reviewCounts(instances = allInstances) {
  const counts = Object.fromEntries(STATES.map((state) => [state, 0]));
  for (const instance of instances.filter(isReviewable)) counts[stateOf(instance)] += 1;
  return counts;
}

function isReviewable(instance) {
  return instance.edit !== null || instance.box !== null || instance.doubt > 1;
}

/** The edit that says what an instance's boxes are now. */
function editNow(instance, row) {
  const { edit } = instance;
  if (edit && edit.state !== "rejected") return edit;
  const boxes = new Set(instance.rows.map((one) => one.base.box).filter((box) => box));
  const moving = [...boxes].some((box) => box.is_moving);
  const box = row.base.box ?? describing(instance.rows.filter((one) => one.base.box).map((one) =>
    ({ ...one, box: one.base.box, confidence: one.base.box.confidence })));
  return { state: "accepted", class: instance.class, moving, box: box && plainBox(box), keys: {},
    frames: moving ? labelledFrames(instance) : editFrames(instance) };
}

function plainBox({ center, length, width, height, yaw_world }) {
  return { center: [...center], length, width, height, yaw_world };
}

/** The frames that an edit is for: those with a label, or with a mask that ought to have one. */
function editFrames(instance) {
  const rows = instance.rows.filter((row) => row.base.box || row.area >= row.frame.sequence.minArea);
  return (rows.length ? rows : instance.rows).map((row) => row.frame.number);
}

/** The frames in which the labeler has a box; of what it has nowhere, those of its masks. */
function labelledFrames(instance) {
  const rows = instance.rows.filter((row) => row.base.box);
  return rows.length ? rows.map((row) => row.frame.number) : editFrames(instance);
}

/** The box of an instance in a frame, by an edit. */
function boxIn(instance, edit, row) {
  if (!edit.moving) return edit.box;
  const numbers = Object.keys(edit.keys).map(Number).sort((a, b) => a - b);
  const way = referenceIn(instance, edit, row.frame.number);
  if (!numbers.length) return way;
  const size = edit.keys[numbers[0]];
  const after = numbers.findIndex((number) => number >= row.frame.number);
  const [low, high] = after < 0 ? [numbers.at(-1), numbers.at(-1)] : [numbers[Math.max(0, after - 1)], numbers[after]];
  const share = high === low || row.frame.number <= low ? 0 : (row.frame.number - low) / (high - low);
  const [a, b] = [low, high].map((number) => {
    const from = referenceIn(instance, edit, number);
    const key = edit.keys[number];
    return { center: key.center.map((value, axis) => value - from.center[axis]), turn: wrapped(key.yaw_world - from.yaw_world) };
  });
  return {
    center: way.center.map((value, axis) => value + a.center[axis] + share * (b.center[axis] - a.center[axis])),
    yaw_world: wrapped(way.yaw_world + a.turn + share * wrapped(b.turn - a.turn)),
    length: size.length, width: size.width, height: size.height,
  };
}

/** Where the labeler had an instance that moves in a frame: there, or in the nearest frame that it labelled. */
function referenceIn(instance, edit, number) {
  const labelled = instance.rows.filter((row) => row.base.box?.is_moving);
  if (!labelled.length) return edit.box;
  const distanceTo = (row) => Math.abs(row.frame.number - number);
  return labelled.reduce((best, row) => (distanceTo(row) < distanceTo(best) ? row : best)).base.box;
}

/** The edit with another box in the frame of a row. Of what moves, the size is the same in all frames. */
function withBox(edit, row, box) {
  const next = { ...edit, state: "corrected", box: edit.moving ? edit.box : plainBox(box) };
  if (!edit.moving) return next;
  const { length, width, height } = box;
  const keys = { ...edit.keys, [row.frame.number]: plainBox(box) };
  const sized = Object.entries(keys).map(([number, key]) => [number, { ...key, length, width, height }]);
  return { ...next, box: edit.box ?? plainBox(box), keys: Object.fromEntries(sized) };
}

/** The edit of what moves in place of what stands, or the other way round. */
function withMotion(instance, edit, row, moving) {
  const box = plainBox(boxIn(instance, edit, row));
  return { ...edit, state: "corrected", moving, box, keys: moving ? { [row.frame.number]: box } : {} };
}

/** Let an edit, or none, be an instance's, as a step that can be undone; steps of one drag or one key are one. */
function decide(instance, edit, { joins = null } = {}) {
  const last = steps.done.at(-1);
  if (joins !== null && last?.joins === joins && last.instance === instance) last.after = edit;
  else steps.done.push({ instance, before: instance.edit, after: edit, joins });
  steps.done.splice(0, steps.done.length - MOST_STEPS);
  steps.undone = [];
  apply(instance, edit);
  keepEdits();
}

/** Take back the last step, or with `again` the last that was taken back; the instance that it was of, or null. */
function undo({ again = false } = {}) {
  const [from, to] = again ? [steps.undone, steps.done] : [steps.done, steps.undone];
  const entry = from.pop();
  if (!entry) return null;
  to.push({ ...entry, joins: null });
  apply(entry.instance, again ? entry.after : entry.before);
  keepEdits();
  return entry.instance;
}

/** Show an instance as an edit says, or as the labeler did. */
function apply(instance, edit) {
  instance.edit = edit;
  instance.class = edit?.class ?? instance.baseClass;
  if (instance.isNew) placeNew(instance, edit);
  const frames = new Set(edit?.frames);
  const standing = edit && edit.box && !edit.moving ? labelOf(instance, edit, edit.box) : null;
  for (const row of instance.rows) {
    const { base } = row;
    const isOurs = edit !== null && frames.has(row.frame.number);
    if (!isOurs) Object.assign(row, base);
    else if (edit.state === "rejected") Object.assign(row, { box: null, iou: null, doubt: 0, disagreement: null });
    else {
      const box = standing ?? labelOf(instance, edit, boxIn(instance, edit, row));
      const isSame = edit.state === "accepted" && base.box;
      Object.assign(row, { box: isSame ? base.box : box, doubt: 0, iou: isSame ? base.iou : null,
        disagreement: isSame ? base.disagreement : disagreementOf(row, box) });
    }
    row.confidence = row.box ? row.box.confidence : null;
    row.range = row.box ? distance(row.box.center, row.frame.position) : null;
  }
  if (instance.rows.length) summarizeInstance(instance);
  for (const row of instance.rows) summarizeFrame(row.frame);
}

/** A label that a human has given: nobody measured how well it fits. */
function labelOf(instance, edit, box) {
  return { ...plainBox(box), instance, confidence: 1, is_moving: edit.moving, source: "human", mean_iou_2d: null,
    num_views: null, bearing_spread_deg: null, silhouette_loss: null, target_frame: null, velocity_x_world: null,
    velocity_y_world: null, group_id: null };
}

function disagreementOf(row, box) {
  const shown = projectedBox(row.frame, box);
  if (!row.maskBox || !shown) return null;
  const mask = [row.maskBox[0], row.maskBox[1], row.maskBox[2] + 1, row.maskBox[3] + 1];
  const area = ([left, top, right, bottom]) => Math.max(0, right - left) * Math.max(0, bottom - top);
  const both = area([0, 1, 2, 3].map((side) => (side < 2 ? Math.max : Math.min)(mask[side], shown[side])));
  return 1 - both / (area(mask) + area(shown) - both);
}

/** A badge that says what was decided on an instance; none of an open one. */
function stateBadge(instance) {
  const state = stateOf(instance);
  return state === "open" ? null : element("span", { class: `badge state ${state}` }, state);
}
