// One instance: its best views, its silhouette against its mask, the numbers of its fit, and where it was seen from.

const VIEW_WORDS = { target: "the frame that the box was fitted in", large: "large in the image", worst: "mask and box differ most" };

/** #instance/<sequence>/<id> */
function instancePage(name, id) {
  const instance = findSequence(name)?.instanceById.get(Number(id));
  if (!instance) return notFound(`instance ${id} of ${name}`);
  const others = sorted(allInstances.filter(isReviewable), "worst", false);
  walkUnless(instanceRoute(instance),
    { words: "instances, worst first", routes: others.map(instanceRoute), back: "#instances" });
  const { box } = instance;
  const largest = largestWhole(instance);
  const row = instance.rows.find((one) => editor.instance === instance && one.frame.number === editor.chosen) ?? largest;
  const editing = editorSection(instance, row);
  return [
    element("div", { class: "title" },
      element("div", {}, element("h1", {}, dot(instanceColor(instance.id)), `${instance.class} ${instance.id}`,
        box ? boxBadges(box) : stateOf(instance) === "rejected" ? null : badge("no label", true), stateBadge(instance)),
        element("div", { class: "muted" }, instance.sequence.name)),
      walkButtons()),
    editing,
    editing.length > 1 ? null : element("div", { class: "instance" },
      element("section", { class: "panel facts-of" }, factTable(instanceFacts(instance)),
        box ? [element("h2", {}, "How it was fitted"), factTable(fitFacts(instance))] : null),
      element("div", {}, viewSection(instance), surroundingsSection(instance), courseSection(instance))),
  ];
}

/** The row with the largest mask, of those that do not end at the picture's border where there are some. */
function largestWhole({ rows }) {
  const isWhole = ({ maskBox, frame: { sequence } }) => maskBox && maskBox[0] > 1 && maskBox[1] > 1
    && maskBox[2] < sequence.width - 2 && maskBox[3] < sequence.height - 2;
  const whole = rows.filter(isWhole);
  return (whole.length ? whole : rows).reduce((best, row) => (row.area > best.area ? row : best));
}

/** What a labeller asks of an instance. */
function instanceFacts(instance) {
  const { box, rows } = instance;
  const seen = [
    ["frames", element("a", { href: routeOf("gallery", "frames", "frame", "up", instance.id, instance.sequence.name) },
      `${rows.length}: ${rows[0].frame.number} … ${rows[rows.length - 1].frame.number}`)],
    ["largest mask", `${instance.area} px`],
  ];
  if (!box) return seen;
  return [
    ["confidence, 0 to 1",
      element("b", { style: `border-bottom:3px solid ${valueColor(box.confidence)}` }, fixed(box.confidence))],
    ...(hasTruth ? [["IoU3D with the truth, mean", instance.iou === null ? "no truth" : fixed(instance.iou)]] : []),
    ["box on mask, mean IoU", overlapWords(instance)],
    ["parked or moving", movingWords(box, instance.sequence)],
    ["length × width × height, m", sizeWords(box)],
    ...truthSize(instance),
    ["heading, from x to the left", `${fixed(box.yaw_world * 180 / Math.PI, 1)}°`],
    ["centre in the world, m", box.center.map((value, axis) => fixed(value + instance.sequence.origin[axis])).join(", ")],
    ["nearest to the camera", metres(instance.range)],
    ...seen,
    ["corrected by a human", instance.corrected ? `in ${instance.corrected} of ${rows.length} frames` : "in no frame"],
  ];
}

/** What the fit of its box went by. */
function fitFacts(instance) {
  const { box } = instance;
  const value = (figure, words) => (figure === null ? NONE : words);
  return [
    ["frame it was fitted in", value(box.target_frame, String(box.target_frame))],
    ["frames used", value(box.num_views, String(box.num_views))],
    ["angle between the views", value(box.bearing_spread_deg, `${fixed(box.bearing_spread_deg, 1)}°`)],
    ["box on mask in them, mean IoU", percent(box.mean_iou_2d)],
    ["outline error, no unit", value(box.silhouette_loss, fixed(box.silhouette_loss, 3))],
    ["different boxes", instance.boxes.length > 1 ? `${instance.boxes.length}; ${boxWords(box)} is described` : "1"],
    ["group of the run", box.group_id ?? NONE],
  ];
}

/** Which of an instance's boxes is described. */
function boxWords(box) {
  return box.is_moving && box.velocity_x_world !== null ? "that of the frame it was fitted in" : "the most confident of the fit";
}

/** Whether an object moves, and how fast where that is known. */
function movingWords(box, sequence) {
  if (!box.is_moving) return box.is_moving === null ? NONE : "parked";
  if (box.velocity_x_world === null || box.velocity_y_world === null) return "moving, speed unknown";
  const speed = fixed(Math.hypot(box.velocity_x_world, box.velocity_y_world), 1);
  return `moving, ${speed} ${sequence.hasTimes ? "m/s" : "m per frame"}`;
}

function truthSize(instance) {
  const truth = truthAtLabel(instance);
  return truth ? [["true size, m", sizeWords(truth)]] : [];
}

/** Close-ups, the one in which mask and box differ most last. */
function sortedViews(instance) {
  const ranks = { target: 0, large: 1, worst: 2 };
  return [...instance.views].sort((a, b) => ranks[a.kind] - ranks[b.kind] || b.row.area - a.row.area);
}

function viewLegend() {
  return element("span", { class: "legend" },
    [[MASK_COLOR, "mask"], [BODY_COLOR, "fitted body (box, where none is known)"]].map(([color, words]) =>
      element("span", {}, element("span", { class: "key", style: `border-color:${color}` }), words)));
}

function viewSection(instance) {
  const views = sortedViews(instance);
  if (!views.length) {
    const largest = instance.rows.reduce((best, row) => (row.area > best.area ? row : best));
    return element("section", { class: "panel" },
      element("p", { class: "muted" },
        "Close-ups of this instance were left out to keep the file small. Its largest mask:"),
      element("a", { href: rowRoute(largest) }, rowCloseUp(largest, 3)));
  }
  return element("section", { class: "panel" }, viewLegend(),
    element("div", { class: "views", style: "margin-top:8px" }, views.map((view) => element("figure", {},
      element("a", { href: rowRoute(view.row) }, fitted(closeUp(view))),
      element("figcaption", {}, element("a", { href: rowRoute(view.row) }, `frame ${view.row.frame.number}`),
        `, ${kindWords(view)}`, element("div", { class: "muted" }, viewWords(view)))))));
}

function kindWords(view) {
  return view.kind === "target" && view.row.box?.source === "human" ? "corrected by a human" : VIEW_WORDS[view.kind];
}

function viewWords(view) {
  if (stateOf(view.row.instance) === "corrected") return `${metres(view.row.range)} away`;
  if (view.overlap === null) return `${view.row.area} px of mask`;
  return `body covers ${percent(view.covered)} of the mask, IoU of the two ${percent(view.overlap)}`
    + `, ${metres(view.row.range)} away`;
}

/** The box from above, and where it was seen from. */
function surroundingsSection(instance) {
  if (!instance.box) return null;
  const place = (point) => [point[0], -point[1]];
  const [x, y] = place(instance.box.center);
  const cameras = instance.rows.map((row) => place(row.frame.position));
  const places = instance.rows.map((row) => place((row.box ?? instance.box).center));
  const near = [...cameras.filter(([cx, cy]) => Math.hypot(cx - x, cy - y) < 45), ...places];
  const range = (middle, values) => [Math.min(middle - 6, ...values) - 2, Math.max(middle + 6, ...values) + 2];
  const [left, right] = range(x, near.map(([cx]) => cx));
  const [top, bottom] = range(y, near.map(([, cy]) => cy));
  const ray = ([cx, cy], to) => ({ class: "way", style: "stroke-opacity:.35", d: `M${to.join(" ")}L${cx} ${cy}` });
  return element("section", { class: "panel", style: "margin-top:14px" },
    element("b", {}, "From above"),
    element("div", { class: "muted" }, `${upWords(instance.sequence)}; lines go to where the camera stood`
      + truthWords(instance)),
    svgElement("svg", { class: "plan", style: "margin-top:8px;max-height:340px", role: "img",
      viewBox: `${left} ${top} ${right - left} ${bottom - top}`, "aria-label": "The instance from above" },
      cameras.map((camera, k) => svgElement("path", ray(camera, places[k]))),
      cameras.map(([cx, cy]) => svgElement("circle", { class: "camera", cx, cy, r: (right - left) / 220 })),
      instance.boxes.map((box) => labelFootprint(box, instance, place)),
      truthWayDrawing(instance, place), truthFootprint(truthAtLabel(instance), place)));
}

/** Which way is up in views from above. */
function upWords(sequence) {
  return sequence.isGeographic ? "north upwards" : "the world’s y upwards";
}

function truthWords(instance) {
  if (!instance.truth.length) return "";
  return truthWay(instance).length ? "; the thin outline is the truth in the label’s frame, on its dotted way"
    : "; the thin outline is the truth";
}

function truthWayDrawing(instance, place) {
  const way = truthWay(instance);
  return way.length ? svgElement("path", { class: "truth way", d: linePath(way.map(place), false) }) : null;
}

/** Range, and how far mask and box agree, over the frames. */
function courseSection(instance) {
  const rows = instance.rows.filter((row) => row.box);
  if (rows.length < 2) return null;
  const frames = rows.map((row) => row.frame.number);
  const traces = () => [
    { type: "scatter", mode: "lines+markers", name: "box on mask",
      x: frames, y: rows.map((row) => (row.disagreement === null ? null : 1 - row.disagreement)), line: { color: themeColor("bad") },
      hovertemplate: "frame %{x}: %{y:.2f}<extra></extra>" },
    { type: "scatter", mode: "lines", name: "range, m (right)", x: frames, y: rows.map((row) => row.range), yaxis: "y2",
      line: { color: themeColor("accent"), dash: "dot" }, hovertemplate: "frame %{x}: %{y:.1f} m<extra></extra>" },
  ];
  const layout = { xaxis: { title: "frame" }, yaxis: { range: [0, 1.02], title: "IoU" },
    margin: { l: 56, r: 50, t: 34, b: 46 },
    yaxis2: { overlaying: "y", side: "right", rangemode: "tozero", showgrid: false, tickmode: "auto", nticks: 6 } };
  return element("section", { class: "panel", style: "margin-top:14px" }, element("b", {}, "Over its frames"),
    chart("course", traces, layout));
}
