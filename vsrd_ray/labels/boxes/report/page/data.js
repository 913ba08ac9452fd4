// The numbers of the report, from columns to objects that the pages use.

const content = JSON.parse(document.getElementById("content").textContent);

const BOX_COLUMNS = [
  "length", "width", "height", "yaw_world", "confidence", "mean_iou_2d", "num_views", "bearing_spread_deg",
  "silhouette_loss", "target_frame", "is_moving", "velocity_x_world", "velocity_y_world", "group_id", "source",
];

/** Boxes: centre and extents in metres from the sequence's origin, and the figures of their fit. */
function openBoxes(columns, instances) {
  return columns.instance.map((place, k) => {
    const box = { instance: instances[place], center: columns.center.slice(3 * k, 3 * k + 3) };
    for (const name of BOX_COLUMNS) box[name] = columns[name][k];
    return box;
  });
}

/** True boxes, by instance id; each has the frame that it holds for, -1 for all. */
function openTruth(columns) {
  const byInstance = new Map();
  if (!columns) return byInstance;
  columns.id.forEach((id, k) => {
    const [length, width, height] = columns.size.slice(3 * k, 3 * k + 3);
    const center = columns.center.slice(3 * k, 3 * k + 3);
    const box = { center, length, width, height, yaw_world: columns.yaw_world[k], frame: columns.frame[k] };
    byInstance.set(id, [...(byInstance.get(id) ?? []), box]);
  });
  return byInstance;
}

/** Rows: an instance in a frame, with its mask, its label or both. */
function openRows(columns, frames, instances, boxes) {
  return columns.frame.map((place, k) => {
    const box = columns.box[k] < 0 ? null : boxes[columns.box[k]];
    const maskBox = columns.mask_box.slice(4 * k, 4 * k + 4);
    const frame = frames[place];
    const row = {
      place: k, frame, instance: instances[columns.instance[k]], box, area: columns.area[k],
      maskBox: maskBox[0] === null ? null : maskBox,
      disagreement: columns.iou_2d[k] === null ? null : 1 - columns.iou_2d[k],
      iou: columns.iou_3d[k], doubt: columns.doubt[k], confidence: box ? box.confidence : null,
      range: box ? distance(box.center, frame.position) : null,
    };
    frame.rows.push(row);
    row.instance.rows.push(row);
    return row;
  });
}

function distance(a, b) {
  return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

function openSequence(raw) {
  const sequence = {
    name: raw.name, camera: raw.camera, K: raw.K, origin: raw.origin, minArea: raw.min_area,
    width: raw.image_size[0], height: raw.image_size[1], hasTruth: raw.truth !== null, hasTimes: raw.has_times,
    isGeographic: raw.is_geographic,
  };
  sequence.frames = raw.frames.map((number, place) => ({
    sequence, number, place, rows: [],
    rotation: raw.rotations.slice(9 * place, 9 * place + 9), // camera to world, row by row
    position: raw.positions.slice(3 * place, 3 * place + 3),
    picture: raw.pictures[place] ?? null,
  }));
  sequence.frameByNumber = new Map(sequence.frames.map((frame) => [frame.number, frame]));
  const truth = openTruth(raw.truth);
  sequence.instances = raw.instances.id.map((id, place) => ({
    sequence, id, place, class: raw.instances.class[place], rows: [], truth: truth.get(id) ?? [],
  }));
  sequence.instanceById = new Map(sequence.instances.map((instance) => [instance.id, instance]));
  const boxes = openBoxes(raw.boxes, sequence.instances);
  sequence.rows = openRows(raw.rows, sequence.frames, sequence.instances, boxes);
  for (const instance of sequence.instances) {
    const views = raw.views[instance.place] ?? [];
    instance.views = views.map((view) => ({ ...view, row: sequence.rows[view.row] }));
    summarizeInstance(instance);
  }
  for (const frame of sequence.frames) summarizeFrame(frame);
  return sequence;
}

/** What lists sort an instance by: figures over all its frames. */
function summarizeInstance(instance) {
  const rows = instance.rows;
  const labelled = rows.filter((row) => row.box);
  instance.boxes = [...new Set(labelled.map((row) => row.box))];
  instance.box = describing(labelled);
  instance.corrected = labelled.filter((row) => row.box.source === "human").length;
  instance.confidence = instance.box ? instance.box.confidence : null;
  instance.iou = mean(rows.map((row) => row.iou));
  instance.disagreement = mean(rows.map((row) => row.disagreement));
  instance.range = least(rows.map((row) => row.range));
  instance.doubt = most((labelled.length ? labelled : rows).map((row) => row.doubt)) ?? 0;
  instance.area = most(rows.map((row) => row.area));
}

/** The box that stands for an instance: the most confident one of the fit, and of what moves the one in the target
 * frame; a human's only where there is no other. Null without a row that has a label. */
function describing(labelled) {
  const fitted = labelled.filter((row) => row.box.source !== "human");
  const rows = fitted.length ? fitted : labelled;
  const highest = most(rows.map((row) => row.confidence));
  const best = rows.filter((row) => row.confidence === highest);
  return (best.find((row) => row.frame.number === row.box.target_frame) ?? best[0] ?? rows[0])?.box ?? null;
}

/** What lists sort a frame by: the figure of the row that stands out. */
function summarizeFrame(frame) {
  const rows = frame.rows;
  frame.confidence = least(rows.map((row) => row.confidence));
  frame.iou = least(rows.map((row) => row.iou));
  frame.disagreement = most(rows.map((row) => row.disagreement));
  frame.range = least(rows.map((row) => row.range));
  frame.doubt = most(rows.map((row) => row.doubt)) ?? 0;
  frame.instance = rows.find((row) => row.box)?.instance ?? rows[0]?.instance ?? null;
}

function known(values) {
  return values.filter((value) => value !== null && value !== undefined);
}

function mean(values) {
  const all = known(values);
  return all.length ? all.reduce((sum, value) => sum + value, 0) / all.length : null;
}

function least(values) {
  return known(values).reduce((low, value) => (low === null || value < low ? value : low), null);
}

function most(values) {
  return known(values).reduce((high, value) => (high === null || value > high ? value : high), null);
}

/** The true box of an instance in a frame, or null. */
function truthIn(instance, frame) {
  return instance.truth.find((box) => box.frame === frame.number)
    ?? instance.truth.find((box) => box.frame === -1) ?? null;
}

/** The true box that an instance's label is held against: of a moving one, that in the frame that the label was fitted
 * to, else that in the frame of its largest mask. Null where there is none. */
function truthAtLabel(instance) {
  const at = (number) => instance.truth.find((box) => box.frame === number);
  const largestFirst = [...instance.rows].sort((a, b) => b.area - a.area).map((row) => at(row.frame.number));
  return at(instance.box?.target_frame) ?? largestFirst.find((box) => box) ?? instance.truth[0] ?? null;
}

/** Where a moving instance truly was, frame by frame: the centres of its boxes; nothing for a parked one. */
function truthWay(instance) {
  const boxes = instance.truth.filter((box) => box.frame !== -1).sort((a, b) => a.frame - b.frame);
  return boxes.map((box) => box.center);
}

const sequences = content.sequences.map(openSequence);
const allFrames = sequences.flatMap((sequence) => sequence.frames);
const allRows = sequences.flatMap((sequence) => sequence.rows);
const allInstances = sequences.flatMap((sequence) => sequence.instances);
const hasTruth = sequences.some((sequence) => sequence.hasTruth);

function findSequence(name) {
  return sequences.find((sequence) => sequence.name === name) ?? null;
}
