// One frame: its picture, its surroundings from above, and what is known of each instance in it.

/** #frame/<sequence>/<number>/<instance id or nothing> */
function framePage(name, number, id = null) {
  const sequence = findSequence(name);
  const frame = sequence?.frameByNumber.get(Number(number));
  if (!frame) return notFound(`frame ${number} of ${name}`);
  const chosen = id === null ? null : sequence.instanceById.get(Number(id)) ?? null;
  const inOrder = chosen ? chosen.rows.map(rowRoute) : sequence.frames.map(frameRoute);
  walkUnless(chosen ? rowRoute({ frame, instance: chosen }) : frameRoute(frame),
    { words: chosen ? "frames of this instance" : "frames", routes: inOrder, back: "#gallery" });
  return [
    element("div", { class: "title" },
      element("div", {}, element("h1", {}, `Frame ${frame.number}`, chosen ? [": ", instanceLink(chosen)] : null),
        element("div", { class: "muted" }, sequence.name)),
      walkButtons()),
    element("div", { class: "toolbar" }, layerToggles(true),
      chosen ? element("a", { href: frameRoute(frame) }, "show all instances") : null,
      pictureWords(frame)),
    element("div", { class: "stack" },
      frameDrawing(frame, { named: true, only: chosen }), planDrawing(frame, { only: chosen })),
    element("h2", {}, "Instances"), leftOutNote(),
    frame.rows.length
      ? element("section", { class: "panel" }, rowTable(frame.rows.filter((row) => !chosen || row.instance === chosen)))
      : element("p", { class: "muted" }, "None is to be seen in this frame."),
  ];
}

function pictureWords(frame) {
  if (!frame.picture) {
    return element("span", { class: "muted" },
      "This frame's picture and mask outlines were left out to keep the file small: dashed are the masks' boxes.");
  }
  return frame.picture.image ? null : element("span", { class: "muted" }, "The dataset has no image of this frame.");
}

function layerToggles(withNames) {
  const words = [["masks", "Masks"], ["labels", "Boxes"]];
  if (hasTruth) words.push(["truth", "Truth"]);
  if (withNames) words.push(["names", "Ids"]);
  return element("span", { class: "actions", role: "group", "aria-label": "What is drawn" },
    element("span", { class: "muted" }, "Draw:"), words.map(([key, text]) =>
    toggle(text, layers[key], () => { layers[key] = !layers[key]; show(); })));
}

function rowTable(rows) {
  const head = ["instance", "class", "confidence", ...(hasTruth ? ["IoU3D"] : []), "mask against box", "range", "mask",
    "l × w × h, m", "heading °", ""];
  return table(head, rows.map((row) => [
    instanceLink(row.instance), row.instance.class, fixed(row.confidence), ...(hasTruth ? [fixed(row.iou)] : []),
    fixed(row.disagreement), metres(row.range), `${row.area} px`, row.box ? sizeWords(row.box) : NONE,
    row.box ? fixed(row.box.yaw_world * 180 / Math.PI, 0) : NONE,
    row.box ? boxBadges(row.box) : row.doubt > 1 ? badge("no label", true) : "small, no label",
  ]));
}

function sizeWords(box) {
  return [box.length, box.width, box.height].map((value) => fixed(value)).join(" × ");
}

function boxBadges(box) {
  return element("span", {},
    box.is_moving ? badge("moving") : null, box.source === "human" ? badge("corrected") : null);
}

/** Keep the list that one came from, if the place is in it; else walk through a plain one. */
function walkUnless(route, { words, routes, back }) {
  const isFromMap = document.body.dataset.page === "map"; // the page that is left
  if (!walk.routes.includes(route)) Object.assign(walk, { words, routes, back: isFromMap ? walk.back : back });
}

function walkButtons() {
  const place = walk.routes.indexOf(location.hash);
  return element("div", { class: "actions" },
    element("span", { class: "muted count" }, place < 0 ? "" : `${place + 1} of ${walk.routes.length} ${walk.words}`),
    element("button", { id: "previous", title: "Previous (←, k)", disabled: place <= 0, click: () => step(-1) },
      "← Previous"),
    element("button", { id: "next", title: "Next (→, j)", disabled: place < 0 || place + 1 >= walk.routes.length,
      click: () => step(1) }, "Next →"),
    element("a", { href: walk.back }, walk.back.startsWith("#map") ? "Back to the map" : "Back to the list"));
}

function notFound(words) {
  return [element("h1", {}, "Not in this report"), element("p", {}, `There is no ${words} here. `,
    element("a", { href: "#summary" }, "To the summary"))];
}
