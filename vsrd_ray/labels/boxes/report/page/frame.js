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
  const row = chosen && frame.rows.find((one) => one.instance === chosen);
  const editing = row ? editorSection(chosen, row) : [addButton()];
  return [
    element("div", { class: "title" },
      element("div", {}, element("h1", {}, `Frame ${frame.number}`, chosen ? [": ", instanceLink(chosen), stateBadge(chosen)] : null),
        element("div", { class: "muted" }, sequence.name)),
      walkButtons()),
    element("div", { class: "toolbar" }, layerToggles(true),
      chosen ? element("a", { href: frameRoute(frame) }, "show all instances") : null,
      pictureWords(frame)),
    editing, addingWords(),
    element("div", { class: "stack" },
      clickable(frame, frameDrawing(frame, { named: true, only: chosen })), planDrawing(frame, { only: chosen })),
    element("h2", {}, "Instances"), leftOutNote(),
    frame.rows.length
      ? element("section", { class: "panel" }, rowTable(frame.rows.filter((row) => !chosen || row.instance === chosen)))
      : element("p", { class: "muted" }, "None is to be seen in this frame."),
  ];
}

function addButton() {
  return element("div", { class: "toolbar review-frame" },
    element("button", { title: "Add a box (n)", "aria-pressed": String(adding.isOn), click: startAdding }, "Add a box", element("kbd", {}, "n")),
    element("span", { class: "muted more" }, "Click an object in the picture to look at it, and to correct it; its id shows where the mouse is, those of the doubtful always."));
}

/** A frame's drawing in which a click chooses an instance, or says where one is that is being added. */
function clickable(frame, drawing) {
  drawing.classList.add("clickable");
  drawing.addEventListener("pointermove", (event) => {
    const row = rowAt(frame, placeIn(drawing, event));
    for (const name of drawing.querySelectorAll(".name")) name.classList.toggle("on", name.dataset.row === String(row?.place));
  });
  drawing.addEventListener("click", (event) => {
    const pixel = placeIn(drawing, event);
    if (adding.isOn) return clickToAdd(frame, pixel);
    const row = rowAt(frame, pixel);
    if (row && location.hash !== rowRoute(row)) location.hash = rowRoute(row);
  });
  return drawing;
}

/** The row whose mask's or box's sides a pixel is within, the smallest of them; null where there is none. */
function rowAt(frame, [u, v]) {
  const sidesOf = (row) => row.maskBox ?? (row.box && projectedBox(frame, row.box));
  const area = ([left, top, right, bottom]) => (right - left) * (bottom - top);
  const under = frame.rows.map((row) => ({ row, sides: sidesOf(row) })).filter(({ sides }) => sides
    && u >= sides[0] && v >= sides[1] && u <= sides[2] + 1 && v <= sides[3] + 1);
  return under.sort((a, b) => area(a.sides) - area(b.sides))[0]?.row ?? null;
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
  if (withNames) words.push(["names", "All ids"]);
  return element("span", { class: "actions", role: "group", "aria-label": "What is drawn" },
    element("span", { class: "muted" }, "Draw:"), words.map(([key, text]) =>
    toggle(text, layers[key], () => { layers[key] = !layers[key]; show(); })));
}

function rowTable(rows) {
  const head = ["instance", "class", "confidence", ...(hasTruth ? ["IoU3D"] : []), "box on mask", "range", "mask",
    "length × width × height, m", "heading, °", ""];
  return table(head, rows.map((row) => [
    instanceLink(row.instance), row.instance.class, fixed(row.confidence), ...(hasTruth ? [fixed(row.iou)] : []),
    overlapWords(row), metres(row.range), `${row.area} px`, row.box ? sizeWords(row.box) : NONE,
    row.box ? fixed(row.box.yaw_world * 180 / Math.PI, 0) : NONE,
    row.box ? boxBadges(row.box) : row.doubt > 1 ? badge("no label", true) : "small, no label",
  ]));
}

function sizeWords(box) {
  return [box.length, box.width, box.height].map((value) => fixed(value)).join(" × ");
}

function boxBadges(box) {
  return element("span", {},
    box.is_moving ? badge("moving") : null, box.source === "human" && stateOf(box.instance) === "open" ? badge("corrected") : null);
}

/** Keep the list that one came from, if the place is in it; else walk through a plain one. */
function walkUnless(route, { words, routes, back }) {
  const isFromMap = document.body.dataset.page === "map"; // the page that is left
  if (!walk.routes.includes(route)) Object.assign(walk, { words, routes, back: isFromMap ? walk.back : back });
}

function walkButtons() {
  const place = walk.routes.indexOf(location.hash);
  return element("div", { class: "actions" },
    element("span", { class: "muted count" }, place < 0 ? null : [`${place + 1} of ${walk.routes.length}`, element("span", { class: "more" }, ` ${walk.words}`)]),
    element("button", { id: "previous", title: "Previous (←, k)", disabled: place <= 0, click: () => step(-1) },
      "←", element("span", { class: "more" }, " Previous")),
    element("button", { id: "next", title: "Next (→, j)", disabled: place < 0 || place + 1 >= walk.routes.length,
      click: () => step(1) }, element("span", { class: "more" }, "Next "), "→"),
    element("a", { href: walk.back }, `Back to the ${["map", "summary"].find((page) => walk.back.startsWith(`#${page}`)) ?? "list"}`));
}

function notFound(words) {
  return [element("h1", {}, "Not in this report"), element("p", {}, `There is no ${words} here. `,
    element("a", { href: "#summary" }, "To the summary"))];
}
