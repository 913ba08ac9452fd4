// The whole sequence from above: the way of the camera, and every instance's most confident box, coloured by a figure.

const MAP_COLORS = [
  ["confidence", "confidence", (instance) => instance.confidence],
  ["iou", "IoU3D with the truth", (instance) => instance.iou],
  ["overlap", "IoU of box and mask", (instance) => (instance.disagreement === null ? null : 1 - instance.disagreement)],
];
const MAP_STEPS = 10; // colours that boxes are sorted into
const LEAST = { length: 7, width: 5 }; // pixels of a box, which is drawn larger than it is where it would be smaller
const MARGIN = { least: 10, share: 0.04 }; // metres around the drive, and their share of its extent
const TRUTH_LINE = 1.3; // pixels
const EDGE_LINE = 0.7; // pixels, which part neighbours of one colour
const MOST_EDGED = 2000; // boxes that have an edge: those of ten thousand take a third longer to draw
const MAP_BUTTONS = [["zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]];
const WRONG = 0.5; // IoU3D with the truth below which a line leads from a label to its truth
// Of the axes: `ranges` by sequence, where one has moved or zoomed, and `turn`, the world's angle on the map, radians.
const mapState = { color: null, ranges: new Map(), turn: 0 };

function mapPage(name) {
  const sequence = findSequence(name) ?? sequences[0];
  const colors = MAP_COLORS.filter(([key]) => key !== "iou" || sequence.hasTruth);
  const chosen = colors.find(([key]) => key === mapState.color) ?? colors[0];
  const place = element("div", { class: "map", id: "map", role: "figure", "aria-label": `Map of ${sequence.name}` });
  const worstFirst = sorted(sequence.instances.filter((instance) => instance.box), "worst", false);
  remember("instances on the map, worst first", worstFirst.map(instanceRoute));
  afterShowing(() => drawMap(place, sequence, chosen));
  return [
    element("h1", {}, "Map"),
    element("div", { class: "toolbar" },
      sequences.length > 1 ? select("Sequence", sequenceOptions(), sequence.name,
        (value) => { location.hash = routeOf("map", value); }) : null,
      element("span", { class: "muted" }, "Colour:"),
      colors.map(([key, words]) => toggle(words, key === chosen[0], () => { mapState.color = key; show(); })),
      element("span", { class: "muted" }, "A click on a box opens its instance, one on the way its frame.")),
    leftOutNote(),
    sequence.instances.some((instance) => instance.box) ? null
      : element("p", { class: "muted" }, "This sequence has no labels: the map shows the way of the camera, and known truth."),
    element("section", { class: "panel" }, mapLegend(sequence, chosen), place),
  ];
}

/** What is on the map, in words; it wraps where there is little room. */
function mapLegend(sequence, [, words]) {
  const { parked, moving } = truthOnMap(sequence);
  const labelled = sequence.instances.filter((instance) => instance.box);
  const key = (style, text) => element("span", {}, element("span", { class: "key", style }), text);
  return element("div", { class: "legend" },
    labelled.length ? element("span", {}, `labels, by ${words}: 0 `,
      element("span", { class: "gradient", style: `background:linear-gradient(to right, ${SCALE.map(([end]) =>
        `${valueColor(end)} ${100 * end}%`).join(", ")})` }), " 1") : null,
    key("border-color:var(--muted);border-width:2px", "way of the camera"),
    parked.length ? key("border-color:var(--ink);border-width:2px", "truth, parked") : null,
    moving.length ? key("border-color:var(--moving);border-top-style:dotted", "truth, moving: its way, and its box in the label’s frame") : null,
    wrongOnMap(labelled).length ? key("border-color:var(--bad);border-width:2px", `from a label to its truth, where IoU3D is below ${WRONG}`) : null);
}

/** Labels that are far from their truth. */
function wrongOnMap(instances) {
  return instances.filter((instance) => instance.iou !== null && instance.iou < WRONG && truthAtLabel(instance));
}

// Each mark and each line would be an element of the page, and ten thousand of them take seconds to draw. All boxes of a
// colour are therefore one filled shape, made anew for each scale, and what answers the pointer has no marks at all.
function drawMap(place, sequence, color) {
  let scale = 0; // metres in a pixel
  const isWide = place.clientWidth >= place.clientHeight;
  mapState.turn = sequence.isGeographic ? 0 : turnOf(sequence.frames, isWide);
  const axes = sequence.isGeographic ? ["east, m", "north, m"] : isWide ? ["along the drive, m", "to the left, m"]
    : ["to the right, m", "along the drive, m"];
  const axis = (k) => ({ title: axes[k], zeroline: false, autorangeoptions: { include: withMargin(sequence.frames, k) } });
  const layout = {
    margin: { l: 56, r: 10, t: 12, b: 44 }, dragmode: "pan", showlegend: false,
    xaxis: axis(0), yaxis: { ...axis(1), scaleanchor: "x" },
  };
  const fit = () => {
    const next = metresPerPixel(place);
    if (Math.abs(next - scale) < 0.02 * scale) return;
    scale = next;
    Plotly.react(place, mapTraces(sequence, color, scale), place.layout);
  };
  drawChart(place, mapTraces(sequence, color, scale), layout, { scrollZoom: true, modeBarButtons: MAP_BUTTONS });
  moveBack(place, mapState.ranges.get(sequence.name));
  fit();
  place.on("plotly_relayout", () => {
    keepRanges(place, sequence);
    fit();
  });
  place.on("plotly_click", ({ points }) => {
    const target = points.map((point) => point.customdata).find((data) => data);
    if (target) location.hash = target;
  });
}

/** Remember which part of the map one looks at. */
function keepRanges({ layout: { xaxis, yaxis } }, sequence) {
  if (xaxis.autorange) mapState.ranges.delete(sequence.name);
  else mapState.ranges.set(sequence.name, [xaxis.range, yaxis.range]);
}

/** Look at that part again; the map's button for the whole of it still shows all, since that was drawn first. */
function moveBack({ layout: { xaxis, yaxis } }, ranges) {
  if (!ranges) return;
  Object.assign(xaxis, { range: [...ranges[0]], autorange: false });
  Object.assign(yaxis, { range: [...ranges[1]], autorange: false });
}

/** The angle by which the world turns on the map, so that the drive lies along its longer side. */
function turnOf(frames, isWide) {
  const [x, y] = [0, 1].map((axis) => mean(frames.map((frame) => frame.position[axis])));
  const spread = (a, b) => mean(frames.map(({ position }) => a(position) * b(position)));
  const [dx, dy] = [(position) => position[0] - x, (position) => position[1] - y];
  const angle = Math.atan2(2 * spread(dx, dy), spread(dx, dx) - spread(dy, dy)) / 2;
  const [first, last] = [frames[0].position, frames.at(-1).position];
  const goesBack = (last[0] - first[0]) * Math.cos(angle) + (last[1] - first[1]) * Math.sin(angle) < 0;
  return (isWide ? 0 : Math.PI / 2) - angle + (goesBack ? Math.PI : 0);
}

/** Where a point of the world is on the map, metres from the drive's middle. */
function onMap([x, y]) {
  const [cos, sin] = [Math.cos(mapState.turn), Math.sin(mapState.turn)];
  return [cos * x - sin * y, sin * x + cos * y];
}

/** Where the drive begins and ends along an axis of the map, with some room around it. */
function withMargin(frames, axis) {
  const values = frames.map((frame) => onMap(frame.position)[axis]);
  const [low, high] = [least(values), most(values)];
  const margin = Math.max(MARGIN.least, MARGIN.share * (high - low));
  return [low - margin, high + margin];
}

function metresPerPixel(place) {
  const [left, right] = place.layout.xaxis.range;
  return (right - left) / place.querySelector(".nsewdrag").getBoundingClientRect().width;
}

function mapTraces(sequence, [, , value], scale) {
  const shown = sequence.instances.filter((instance) => instance.box);
  return [
    wayTrace(sequence), ...boxTraces(shown, value, scale), ...truthTraces(sequence, scale), wrongTrace(shown),
    centerTrace(shown),
  ];
}

function wayTrace(sequence) {
  const way = sequence.frames.map((frame) => onMap(frame.position));
  return {
    type: "scatter", mode: "lines", name: "way of the camera", x: way.map(([x]) => x), y: way.map(([, y]) => y),
    customdata: sequence.frames.map((frame) => routeOf("frame", sequence.name, frame.number)),
    text: sequence.frames.map((frame) => `frame ${frame.number}`), hovertemplate: "%{text}<extra></extra>",
    line: { color: themeColor("muted"), width: 2 },
  };
}

/** Several polygons or lines, each a list of points of the map, as one with gaps. */
function joined(lines) {
  const points = lines.flatMap((line) => [...line, [null, null]]);
  return { x: points.map(([x]) => x), y: points.map(([, y]) => y) };
}

function shapeTrace(polygons, fillcolor, more) {
  return { type: "scatter", mode: "none", fill: "toself", hoverinfo: "skip", fillcolor, ...joined(polygons), ...more };
}

function fromAbove(box) {
  return footprint(box, onMap).outline;
}

/** Boxes sorted by colour: a trace for each step of the scale that has any, and one for those without a figure. */
function boxTraces(instances, value, scale) {
  const steps = new Map();
  for (const instance of instances) {
    const step = stepOf(value(instance));
    if (!steps.has(step)) steps.set(step, []);
    steps.get(step).push(instance.box);
  }
  const edge = instances.length > MOST_EDGED ? {} : { mode: "lines", line: { color: themeColor("surface"), width: EDGE_LINE } };
  const worstLast = [...steps].sort(([a], [b]) => (b ?? MAP_STEPS) - (a ?? MAP_STEPS)); // over their neighbours
  return worstLast.map(([step, boxes]) => {
    const color = valueColor(step === null ? null : (step + 0.5) / MAP_STEPS);
    return shapeTrace(boxes.map((box) => fromAbove(enlarged(box, scale))), color,
      { name: step === null ? "no figure" : `from ${step / MAP_STEPS}`, opacity: 0.8, ...edge });
  });
}

function stepOf(figure) {
  return figure === null ? null : Math.min(MAP_STEPS - 1, Math.max(0, Math.floor(figure * MAP_STEPS)));
}

/** A box that is large enough to be seen, whatever the scale. */
function enlarged(box, scale) {
  const [length, width] = [Math.max(box.length, LEAST.length * scale), Math.max(box.width, LEAST.width * scale)];
  return { ...box, length, width };
}

/** Truth whose mask is large enough: boxes that are parked, and instances that move. */
function truthOnMap(sequence) {
  const seen = sequence.instances.filter((instance) => instance.area >= sequence.minArea);
  return { parked: seen.flatMap((instance) => instance.truth.filter((box) => box.frame === -1)),
    moving: seen.filter((instance) => instance.truth.some((box) => box.frame !== -1)) };
}

/** Outlines of parked truth; of what moves its way, and its box in one frame. */
function truthTraces(sequence, scale) {
  const { parked, moving } = truthOnMap(sequence);
  const [still, driving] = [themeColor("ink"), themeColor("moving")];
  const rings = (boxes) => boxes.flatMap((box) => ring(box, scale));
  const traces = parked.length ? [shapeTrace(rings(parked), still, { name: "truth, parked" })] : [];
  if (!moving.length) return traces;
  return [...traces,
    { type: "scatter", mode: "lines", name: "way of moving truth", ...joined(moving.map((instance) => truthWay(instance).map(onMap))),
      hoverinfo: "skip", line: { color: driving, width: 1.5, dash: "dot" } },
    shapeTrace(rings(moving.map(truthAtLabel)), driving, { name: "truth, moving" })];
}

/** A line from each label that is wrong to where its object is. */
function wrongTrace(instances) {
  const lines = wrongOnMap(instances).map((instance) => [instance.box, truthAtLabel(instance)].map((box) => onMap(box.center)));
  return { type: "scatter", mode: "lines", name: "wrong", ...joined(lines), hoverinfo: "skip",
    line: { color: themeColor("bad"), width: 2 } };
}

/** An outline as a shape: the inner polygon goes the other way round, which makes it a hole. */
function ring(box, scale) {
  const [length, width] = [box.length, box.width].map((side) => Math.max(0, side - 2 * TRUTH_LINE * scale));
  return [fromAbove(box), fromAbove({ ...box, length, width }).reverse()];
}

/** Centres of the boxes, which are not drawn and answer the pointer. */
function centerTrace(instances) {
  const centers = instances.map((instance) => onMap(instance.box.center));
  return {
    type: "scatter", mode: "none", hoveron: "points", name: "labels",
    x: centers.map(([x]) => x), y: centers.map(([, y]) => y),
    customdata: instances.map((instance) => routeOf("instance", instance.sequence.name, instance.id)),
    text: instances.map((instance) => `${instance.class} ${instance.id}<br>confidence ${fixed(instance.confidence)}`
      + `${instance.iou === null ? "" : `<br>IoU3D ${fixed(instance.iou)}`}`),
    hovertemplate: "%{text}<extra></extra>",
  };
}
