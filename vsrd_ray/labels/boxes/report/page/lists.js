// Lists that can be sorted: frames, boxes in frames, and instances. A list is also what "next" and "previous" walk.

// `ends`: what comes first in the order as it is, and what in the reversed one.
const ORDERS = {
  worst: { words: "worst first", ends: ["worst first", "best first"],
    value: (entry) => [-entry.doubt, -(entry.disagreement ?? 0)] },
  frame: { words: "frame", ends: ["first frame first", "last frame first"],
    value: (entry) => placeInRun(entry.frame ?? entry) },
  confidence: { words: "confidence", ends: ["lowest first", "highest first"], value: (entry) => [entry.confidence] },
  iou: { words: "IoU3D with the truth", ends: ["lowest first", "highest first"], value: (entry) => [entry.iou] },
  disagreement: { words: "box on mask", ends: ["most different first", "most alike first"],
    value: (entry) => [negative(entry.disagreement)] },
  range: { words: "range", ends: ["nearest first", "farthest first"], value: (entry) => [entry.range] },
  instance: { words: "instance", ends: ["lowest number first", "highest number first"],
    value: (entry) => [entry.instance ? entry.instance.id : entry.id ?? null] },
};
const BATCH = 36; // tiles that are added at a time
const galleryState = { picturesOnly: false };
const tileCounts = new Map(); // how many tiles each list had, by its address
const reviewShown = { state: "" };
const walk = { words: "", back: "#summary", routes: [] };

/** A frame's sequence, then its place therein. */
function placeInRun(frame) {
  return [sequences.indexOf(frame.sequence), frame.place];
}

/** How far the sides of mask and box agree, of a row, or on the whole of an instance or a frame. */
function overlapWords({ disagreement }) {
  return percent(disagreement === null ? null : 1 - disagreement);
}

function negative(value) {
  return value === null ? null : -value;
}

/** Entries in an order, those without its figure last. */
function sorted(entries, order, isDescending) {
  const value = ORDERS[order].value;
  const keyed = entries.map((entry, place) => ({ entry, place, keys: value(entry) }));
  keyed.sort((a, b) => compareKeys(a.keys, b.keys, isDescending) || a.place - b.place);
  return keyed.map(({ entry }) => entry);
}

function compareKeys(a, b, isDescending) {
  for (let k = 0; k < a.length; k += 1) {
    if (a[k] !== b[k]) {
      if (a[k] === null) return 1;
      if (b[k] === null) return -1;
      return (a[k] < b[k]) === isDescending ? 1 : -1;
    }
  }
  return 0;
}

function remember(words, routes) {
  Object.assign(walk, { words, routes, back: location.hash || "#summary" });
}

/** Tiles that are made when one comes near them; a list that one comes back to has as many as it had. */
function tiles(entries, make, className = "tiles") {
  if (!entries.length) return element("p", { class: "muted" }, "There is nothing of this kind to show.");
  const grid = element("div", { class: className });
  const sentinel = element("div", { class: "sentinel" });
  const route = location.hash;
  let shown = 0;
  const add = (count = BATCH) => {
    grid.append(...entries.slice(shown, shown + count).map(make));
    shown = Math.min(shown + count, entries.length);
    tileCounts.set(route, shown);
    if (shown === entries.length) watcher.disconnect();
  };
  const onSeen = (seen) => seen.some((entry) => entry.isIntersecting) && add();
  const watcher = new IntersectionObserver(onSeen, { rootMargin: "800px" });
  add(Math.max(BATCH, tileCounts.get(route) ?? 0));
  if (shown < entries.length) watcher.observe(sentinel);
  return [grid, sentinel];
}

/** #gallery/<frames|boxes>/<order>/<up|down>/<instance id or nothing>/<sequence or nothing> */
function galleryPage(kind = "frames", order = "frame", direction = "up", only = "", name = "") {
  const isBoxes = kind === "boxes";
  const chosenOrder = Object.hasOwn(ORDERS, order) ? order : "frame";
  const id = Number.parseInt(only, 10);
  const holds = (row) => Number.isNaN(id) || row.instance.id === id;
  const isShown = (frame) => (!name || frame.sequence.name === name)
    && (!galleryState.picturesOnly || frame.picture !== null);
  const rows = allRows.filter((row) => holds(row) && isShown(row.frame) && (row.box || row.doubt > 1));
  const frames = allFrames.filter((frame) => isShown(frame) && (Number.isNaN(id) || frame.rows.some(holds)));
  const entries = sorted(isBoxes ? rows : frames, chosenOrder, direction === "down");
  const routes = entries.map(isBoxes ? rowRoute : frameRoute);
  remember(`${isBoxes ? "boxes" : "frames"} by ${ORDERS[chosenOrder].words}`, routes);
  return [
    element("h1", {}, "Gallery"),
    galleryToolbar({ kind: isBoxes ? "boxes" : "frames", order: chosenOrder, direction, only, name }, entries.length),
    leftOutNote(),
    tiles(entries, isBoxes ? boxTile : frameTile, isBoxes ? "tiles close" : "tiles"),
  ];
}

function galleryToolbar(chosen, count) {
  const { kind, order, direction, only, name } = chosen;
  const go = (changes) => {
    const next = { ...chosen, ...changes };
    location.hash = routeOf("gallery", next.kind, next.order, next.direction, next.only, next.name).replace(/\/+$/, "");
  };
  const orders = Object.entries(ORDERS).filter(([key]) => key !== "iou" || hasTruth);
  return element("div", { class: "toolbar" },
    toggle("Frames", kind === "frames", () => go({ kind: "frames" })),
    toggle("Boxes", kind === "boxes", () => go({ kind: "boxes" })),
    toggle("Worst first", order === "worst", () => go({ order: "worst", direction: "up" }), worstWords()),
    select("Sort by", orders.map(([key, entry]) => [key, entry.words]), order, (value) => go({ order: value })),
    turnButton(order, direction, (turned) => go({ direction: turned })),
    sequences.length > 1 ? select("Sequence", [["", "every one"], ...sequenceOptions()], name,
      (value) => go({ name: value })) : null,
    element("label", {}, "Instance ", element("input", { type: "number", value: only, placeholder: "every one",
      change: (event) => go({ only: event.target.value }) })),
    element("span", { class: "muted" }, `${count} ${kind}`), layerToggles(false),
    allFrames.some((frame) => frame.picture === null) ? toggle("With pictures alone", galleryState.picturesOnly, () => {
      galleryState.picturesOnly = !galleryState.picturesOnly;
      show();
    }, "This file holds pictures of chosen frames, to stay small") : null);
}

/** Says what comes first, and turns that round. */
function turnButton(order, direction, turn) {
  const [asItIs, reversed] = ORDERS[order].ends;
  const [now, next] = direction === "down" ? [reversed, asItIs] : [asItIs, reversed];
  return element("button", { class: "turn", title: `Turn the order round: ${next}`,
    click: () => turn(direction === "down" ? "up" : "down") }, `⇅ ${now}`);
}

function worstWords() {
  return "masks of a fair size without a label, then boxes with the lowest IoU with the truth; without truth, with the "
    + "lowest confidence";
}

function frameRoute(frame) {
  return routeOf("frame", frame.sequence.name, frame.number);
}

function rowRoute(row) {
  return routeOf("frame", row.frame.sequence.name, row.frame.number, row.instance.id);
}

function frameTile(frame) {
  return element("a", { class: "tile", href: frameRoute(frame) }, frameDrawing(frame), planDrawing(frame),
    element("div", { class: "caption" }, element("b", {}, `frame ${frame.number}`), sequenceWords({ frame }),
      element("div", { class: "muted" }, frame.rows.some((row) => row.box)
        ? `confidence ≥ ${fixed(frame.confidence)}${frame.iou === null ? "" : ` · IoU3D ≥ ${fixed(frame.iou)}`}`
          + ` · box on mask ≥ ${overlapWords(frame)} · nearest ${metres(frame.range)}`
        : frame.rows.length ? "no labels" : "nothing to label")));
}

function boxTile(row) {
  return element("a", { class: "tile", href: rowRoute(row) }, rowCloseUp(row),
    element("div", { class: "caption" }, dot(instanceColor(row.instance.id)), element("b", {}, String(row.instance.id)),
      ` in frame ${row.frame.number}`, sequenceWords(row), row.box ? null : badge("no label", true),
      element("div", { class: "muted" }, rowWords(row))));
}

function sequenceOptions() {
  return sequences.map(({ name }) => [name, name]);
}

function sequenceWords({ frame }) {
  return sequences.length > 1 ? ` of ${frame.sequence.name}` : null;
}

function rowWords(row) {
  if (!row.box) return `${row.area} px of mask`;
  return `confidence ${fixed(row.confidence)}${row.iou === null ? "" : ` · IoU3D ${fixed(row.iou)}`}`
    + ` · box on mask ${overlapWords(row)} · ${metres(row.range)}`;
}

/** #instances/<order>/<up|down> */
function instancesPage(order = "worst", direction = "up") {
  const chosenOrder = Object.hasOwn(ORDERS, order) ? order : "worst";
  const reviewable = allInstances.filter(isReviewable);
  const seen = reviewable.filter((instance) => !reviewShown.state || stateOf(instance) === reviewShown.state);
  const entries = sorted(seen, chosenOrder, direction === "down");
  remember(`instances by ${ORDERS[chosenOrder].words}`, entries.map(instanceRoute));
  const go = (next, way) => { location.hash = routeOf("instances", next, way); };
  const orders = Object.entries(ORDERS).filter(([key]) => key !== "frame" && (key !== "iou" || hasTruth));
  return [
    element("h1", {}, chosenOrder === "worst" && direction === "up" ? "Instances, worst first" : "Instances"),
    element("p", { class: "muted" }, `Worst first: ${worstWords()}. “Box on mask” is the IoU of the `
      + "mask's sides and those of the projected box, the mean over an instance's frames: 100 % is agreement; a car that is "
      + "partly hidden has less."),
    element("div", { class: "toolbar" },
      select("Sort by", orders.map(([key, entry]) => [key, entry.words]), chosenOrder, (value) => go(value, "up")),
      turnButton(chosenOrder, direction, (turned) => go(chosenOrder, turned)),
      reviewFilter(reviewable), viewLegend()),
    leftOutNote(),
    tiles(entries, instanceTile, "tiles close"),
  ];
}

/** Which states of review a list shows, with how many instances are in each. */
function reviewFilter(instances) {
  const counts = reviewCounts(instances);
  const words = [["", `All ${instances.length}`], ...STATES.map((state) => [state, `${state} ${counts[state]}`])];
  return element("span", { class: "actions states", role: "group", "aria-label": "Which are shown" },
    words.map(([state, text]) => toggle(text, reviewShown.state === state, () => {
      reviewShown.state = state;
      show();
    })));
}

function instanceRoute(instance) {
  return routeOf("instance", instance.sequence.name, instance.id);
}

function instanceTile(instance) {
  const largest = instance.rows.reduce((best, row) => (row.area > best.area ? row : best));
  const [view] = sortedViews(instance);
  return element("a", { class: "tile", href: instanceRoute(instance) },
    view ? fitted(closeUp(view)) : rowCloseUp(largest),
    element("div", { class: "caption" },
      dot(instanceColor(instance.id)), element("b", {}, `${instance.class} ${instance.id}`),
      sequenceWords(instance.rows[0]), instance.box ? boxBadges(instance.box) : stateOf(instance) === "rejected" ? null : badge("no label", true),
      stateBadge(instance),
      element("div", { class: "muted" }, instanceWords(instance))));
}

function instanceWords(instance) {
  const frames = `${instance.rows.length} frames`;
  if (!instance.box) return `largest mask ${instance.area} px · ${frames}`;
  return `confidence ${fixed(instance.confidence)}${instance.iou === null ? "" : ` · IoU3D ${fixed(instance.iou)}`}`
    + ` · box on mask ${overlapWords(instance)} · from ${metres(instance.range)} · ${frames}`;
}

/** A drawing in a frame of the tiles' shape, whatever its own. */
function fitted(drawing) {
  drawing.style.aspectRatio = "1.8";
  return drawing;
}
