// The editor of one instance: its box from above and in several pictures, moved by mouse and keys, one for all of them.

const editor = { isOn: false, instance: null, number: null, views: [], plan: null, note: null };
const MOST_VIEWS = 4;
const STEP = { move: 0.05, far: 0.5, turn: Math.PI / 180, wide: Math.PI / 18, size: 0.05 };
const LEAST_SIZE = 0.2; // metres
const EDIT_KEYS = [
  [["c"], "correct this instance; again, Enter or Esc: done"], [["a"], "accept, and on to the next open one"],
  [["x"], "reject: there is no such object"], [["o"], "open again: the labeler’s box, not decided on"],
  [["z", "Z"], "undo, redo"], [["s"], "snap: place, size and heading near here, by the masks"],
  [["←", "↑", "→", "↓"], "move by 5 cm, with Shift by 50 cm"], [["q", "e"], "turn by 1°, with Shift by 10°"],
  [["f"], "turn round: front and rear change places"], [["l", "w", "h"], "longer, wider, higher by 5 cm; with Shift less"],
  [["PgUp", "PgDn"], "raise, lower by 5 cm"], [["t"], "next class"], [["m"], "parked or moving"],
  [[",", "."], "frame before, frame after: what moves is set in some, and interpolated between them"],
  [["n"], "on a frame’s page: add a box, by a click in each of two frames"],
];
const EDIT_MOUSE = "From above: drag the box to move it, a side to resize it, the round handle to turn it; the wheel turns too, "
  + "with Shift it makes the box longer, with Alt wider. In a picture: drag a face, with Shift the box over the ground.";

/** What was decided on an instance, what can be, and where it is corrected: pictures and a view from above. */
function editorSection(instance, row) {
  if (editor.instance !== instance) Object.assign(editor, { instance, views: [], note: null });
  editor.number = row.frame.number;
  const bar = reviewBar(instance, row);
  if (!editor.isOn || !editNow(instance, row).box) return [bar];
  if (!editor.views.length || editor.views[0].number !== editor.number) editor.views = editViews(instance, row);
  editor.plan = editPlan(instance);
  const drawings = editor.views.map((view) => element("figure", {}, view.drawing, view.caption));
  afterShowing(drawEditor);
  return [bar, element("section", { class: "panel editor" },
    element("figure", { class: "above" }, editor.plan.drawing,
      element("figcaption", { class: "muted" }, `from above, ${upWords(instance.sequence)}; lines bound the masks as the cameras saw them`)),
    element("div", { class: "views" }, drawings))];
}

function reviewBar(instance, row) {
  const state = stateOf(instance);
  const hasBox = editNow(instance, row).box !== null;
  const button = (key, text, action, more = {}) =>
    element("button", { title: `${text} (${key})`, "data-key": key, click: action, ...more }, text, element("kbd", {}, key));
  return element("div", { class: "toolbar review" },
    button("c", editor.isOn && hasBox ? "Done" : hasBox ? "Correct" : "Give it a box", toggleEditor, { class: editor.isOn ? "primary" : null }),
    button("a", "Accept", accept, { disabled: !instance.box && state !== "rejected", "aria-pressed": String(state === "accepted") }),
    button("x", "Reject", reject, { "aria-pressed": String(state === "rejected") }),
    button("o", "Open again", reopen, { disabled: state === "open" }),
    button("z", "Undo", () => goBack(), { disabled: !steps.done.length }),
    editor.isOn && hasBox ? editBar(instance, row, button) : null);
}

function editBar(instance, row, button) {
  const edit = editNow(instance, row);
  const classes = [...new Set([...content.run.classes, instance.class])].map((name) => [name, name]);
  return [button("s", "Snap", snapNow), button("f", "Turn round", () => change((box) => turnedRound(box))),
    select("Class", classes, instance.class, (value) => setClass(value)),
    button("m", edit.moving ? "Moving" : "Parked", toggleMotion, { "aria-pressed": String(edit.moving === true) }),
    edit.moving ? frameWalk(instance, edit) : null,
    element("output", { id: "sizes", class: "muted" })];
}

function frameWalk(instance, edit) {
  const isKey = edit.keys[editor.number] !== undefined;
  return element("span", { class: "muted" }, `frame ${editor.number}${isKey ? ", set here" : ""}; `
    + `set in ${countWords(Object.keys(edit.keys).length, "frame")}`);
}

function currentRow() {
  const rows = editor.instance?.rows ?? [];
  return rows.find((row) => row.frame.number === editor.number) ?? rows[0] ?? null;
}

/** The instance that the page shows, and that keys are for; null on other pages. */
function shownInstance() {
  const isShown = main.querySelector(".review") !== null;
  return isShown ? editor.instance : null;
}

/** Change the box of the frame that is shown; `joins` names steps that are undone together. */
function change(how, { joins = null, row = currentRow() } = {}) {
  const { instance } = editor;
  const edit = editNow(instance, row);
  const box = how(plainBox(boxIn(instance, edit, row)));
  for (const name of ["length", "width", "height"]) box[name] = Math.max(LEAST_SIZE, box[name]);
  const next = withBox(edit, row, { ...box, yaw_world: wrapped(box.yaw_world) });
  if (instance.isNew) next.frames = framesShowing(instance.sequence, box);
  if (!next.frames.length) next.frames = edit.frames;
  editor.note = null;
  decide(instance, next, { joins });
  drawEditor();
}

function turnedRound(box) {
  return { ...box, yaw_world: box.yaw_world + Math.PI };
}

function setClass(value) {
  const { instance } = editor;
  decide(instance, { ...editNow(instance, currentRow()), state: "corrected", class: value });
  show();
}

function nextClass() {
  const { classes } = content.run;
  setClass(classes[(classes.indexOf(editor.instance.class) + 1) % classes.length]);
}

function toggleMotion() {
  const { instance } = editor;
  const edit = editNow(instance, currentRow());
  decide(instance, withMotion(instance, edit, currentRow(), !edit.moving));
  show();
}

function toggleEditor() {
  const { instance } = editor;
  const row = currentRow();
  editor.isOn = !editor.isOn;
  if (editor.isOn && !editNow(instance, row).box) {
    const box = boxFromMasks(instance);
    if (box) decide(instance, withBox({ ...editNow(instance, row), moving: false }, row, box));
  }
  editor.views = [];
  show();
}

function accept() {
  const { instance } = editor;
  const edit = editNow(instance, currentRow());
  if (!edit.box) return;
  if (stateOf(instance) !== "corrected") decide(instance, { ...edit, state: "accepted", frames: labelledFrames(instance) });
  goOn();
}

function reject() {
  const { instance } = editor;
  const edit = editNow(instance, currentRow());
  decide(instance, { ...edit, state: "rejected" });
  goOn();
}

function reopen() {
  decide(editor.instance, null);
  editor.isOn = false;
  show();
}

/** On to the next instance of the list that is open; where a frame is shown, stay. */
function goOn() {
  editor.isOn = false;
  const place = walk.routes.indexOf(location.hash);
  const open = new Set(allInstances.filter((one) => isReviewable(one) && stateOf(one) === "open").map(instanceRoute));
  const next = walk.routes.slice(place + 1).find((route) => open.has(route));
  if (document.body.dataset.page === "instance" && next) location.hash = next;
  else show();
}

function goBack(again = false) {
  const instance = undo({ again });
  if (!instance) return;
  const isHere = instance === editor.instance && document.body.dataset.page !== "instances";
  if (isHere || !instance.rows.length) show();
  else location.hash = instanceRoute(instance);
}

/** Bring the box to where the masks say, and say how well they know. */
function snapNow() {
  const { instance } = editor;
  const row = currentRow();
  const edit = editNow(instance, row);
  const rows = edit.moving ? [row] : instance.rows;
  const usual = usualSize(instance.sequence, instance.class);
  const found = snapped(plainBox(boxIn(instance, edit, row)), rows, { className: instance.class, usual });
  if (found) change(() => found.box);
  editor.note = found ? `snapped to ${countWords(found.views, "mask")}` : "no mask says enough to snap to";
  drawEditor();
}

/** The frame before or after, of what is corrected. */
function otherFrame(by) {
  const { rows } = editor.instance;
  const place = rows.indexOf(currentRow()) + by;
  if (!rows[place]) return;
  if (document.body.dataset.page === "frame") location.hash = rowRoute(rows[place]);
  else {
    editor.number = rows[place].frame.number;
    editor.chosen = editor.number;
    show();
  }
}

function moveBy(x, y, step) {
  return (box) => ({ ...box, center: [box.center[0] + x * step, box.center[1] + y * step, box.center[2]] });
}

/** What a key does to the box that is being corrected; undefined where it does nothing. */
function boxKey({ key, shiftKey }) {
  const far = shiftKey ? STEP.far : STEP.move;
  const turn = shiftKey ? STEP.wide : STEP.turn;
  const grow = (name) => (box) => ({ ...box, [name]: box[name] + (shiftKey ? -STEP.size : STEP.size) });
  const raise = (by) => (box) => ({ ...box, center: [box.center[0], box.center[1], box.center[2] + by] });
  const known = { ArrowLeft: moveBy(-1, 0, far), ArrowRight: moveBy(1, 0, far), ArrowUp: moveBy(0, 1, far),
    ArrowDown: moveBy(0, -1, far), q: (box) => ({ ...box, yaw_world: box.yaw_world + turn }),
    e: (box) => ({ ...box, yaw_world: box.yaw_world - turn }), f: turnedRound, l: grow("length"), w: grow("width"),
    h: grow("height"), PageUp: raise(STEP.move), PageDown: raise(-STEP.move) };
  return known[key.length === 1 ? key.toLowerCase() : key];
}

/** Keys of reviewing and correcting; whether this was one. */
function onEditKey(event) {
  const { key } = event;
  const isUndo = (event.ctrlKey || event.metaKey) && ["z", "y", "Z"].includes(key);
  if (isUndo || (!event.ctrlKey && !event.metaKey && !event.altKey && ["z", "Z"].includes(key))) {
    goBack(key === "y" || event.shiftKey);
    return true;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  if (key === "n" && document.body.dataset.page === "frame") return startAdding() ?? true;
  if (!shownInstance()) return false;
  const review = { c: toggleEditor, a: accept, x: reject, o: reopen }[key];
  if (review) return review() ?? true;
  if (!editor.isOn || !main.querySelector(".editor")) return false;
  const how = boxKey(event);
  const more = { s: snapNow, t: nextClass, m: toggleMotion, Enter: toggleEditor, Escape: toggleEditor,
    ",": () => otherFrame(-1), ".": () => otherFrame(1) }[key];
  if (how) change(how, { joins: event.repeat ? `key ${key}` : null });
  else if (more) more();
  return Boolean(how ?? more);
}

/** Draw what changes: the box in all pictures and from above, its size, and what is decided. */
function drawEditor() {
  const { instance, plan } = editor;
  const row = currentRow();
  if (!plan?.drawing.isConnected || !row) return;
  const edit = editNow(instance, row);
  for (const view of editor.views) drawEditView(view, instance, edit);
  drawEditPlan(plan, instance, edit, row);
  const box = boxIn(instance, edit, row);
  const words = [`${sizeWords(box)} m`, `${fixed(box.yaw_world * 180 / Math.PI, 0)}°`, editor.note];
  document.getElementById("sizes").textContent = known(words).join(" · ");
  const badge = main.querySelector("h1 .state");
  const now = stateBadge(instance);
  if (badge && now) badge.replaceWith(now);
  else if (now) main.querySelector("h1").append(now);
  else badge?.remove();
  main.querySelector('.review [data-key="z"]').disabled = !steps.done.length;
  main.querySelector('.review [data-key="o"]').disabled = stateOf(instance) === "open";
}
