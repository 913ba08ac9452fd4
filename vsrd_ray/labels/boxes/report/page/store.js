// Where edits are kept: in this browser, in a file that one saves, and where the report is served, in its run.

const STORE_FORMAT = { format: "vsrd-ray-corrections", version: 1 };
const store = { kept: "", isSaving: false, isWaiting: false, revision: null, error: null,
  token: location.protocol === "file:" ? null : new URLSearchParams(location.search).get("token") };
const SAVE_AFTER = 400; // milliseconds

/** The key under which a browser keeps edits: the run's settings and the content of its inputs, not their names. */
function storeKey() {
  const inputs = content.sequences.map((raw) => [raw.name, raw.camera, raw.editing?.fingerprint ?? raw.origin]);
  return `vsrd-ray-corrections:${JSON.stringify([content.run.config_hash, inputs])}`;
}

/** All decisions, as `vsrd-ray import --format report` reads them. */
function editsDocument() {
  const named = sequences.map((sequence) => {
    const decided = sequence.instances.filter((instance) => instance.edit && instance.edit.frames.length);
    return [sequence.name, { camera: sequence.camera, fingerprint: sequence.fingerprint,
      instances: { ...sequence.others, ...Object.fromEntries(decided.map((one) => [one.key, savedEdit(one)])) } }];
  });
  return { ...STORE_FORMAT, config_hash: content.run.config_hash, sequences: Object.fromEntries(named) };
}

function savedEdit(instance) {
  const { edit, sequence, rows } = instance;
  const saved = { state: edit.state, class_name: edit.class, moving: edit.moving, frames: edit.frames, box: null, boxes: {},
    keys: Object.keys(edit.keys).map(Number).sort((a, b) => a - b) };
  if (edit.state === "rejected") return { ...saved, keys: [] };
  const byFrame = new Map(rows.map((row) => [row.frame.number, row.box]));
  const boxes = edit.frames.map((number) => savedBox(byFrame.get(number) ?? edit.box, sequence));
  const isOne = boxes.every((box) => JSON.stringify(box) === JSON.stringify(boxes[0]));
  return isOne && !edit.moving ? { ...saved, box: boxes[0] }
    : { ...saved, boxes: Object.fromEntries(edit.frames.map((number, k) => [number, boxes[k]])) };
}

function savedBox(box, sequence) {
  const round = (value) => Math.round(value * 1e4) / 1e4;
  return { center: box.center.map((value, axis) => round(value + sequence.origin[axis])),
    size: [box.length, box.width, box.height].map(round), yaw: round(wrapped(box.yaw_world)) };
}

function openedBox({ center, size, yaw }, sequence) {
  return { center: center.map((value, axis) => value - sequence.origin[axis]),
    length: size[0], width: size[1], height: size[2], yaw_world: yaw };
}

/** Take over the decisions of a document on one sequence. What is of instances that the report left out is kept. */
function openEdits(sequence, saved) {
  sequence.others = {};
  const byKey = new Map(sequence.instances.map((instance) => [instance.key, instance]));
  for (const instance of sequence.instances) if (instance.edit && !saved?.instances?.[instance.key]) apply(instance, null);
  for (const [key, edit] of Object.entries(saved?.instances ?? {})) {
    const instance = byKey.get(key) ?? (key.startsWith("new-") ? newInstance(sequence, key) : null);
    if (!instance) sequence.others[key] = edit;
    else apply(instance, openedEdit(edit, sequence));
  }
}

function openedEdit(saved, sequence) {
  const boxes = Object.fromEntries(Object.entries(saved.boxes ?? {}).map(([number, box]) => [number, openedBox(box, sequence)]));
  const first = Object.values(boxes)[0] ?? null;
  return { state: saved.state, class: saved.class_name, moving: saved.moving, frames: saved.frames,
    box: saved.box ? openedBox(saved.box, sequence) : first,
    keys: Object.fromEntries((saved.keys ?? []).filter((number) => boxes[number]).map((number) => [number, boxes[number]])) };
}

/** Whether a text is a document of this run and these inputs. */
function readDocument(text) {
  try {
    const found = JSON.parse(text);
    const isOurs = found.format === STORE_FORMAT.format && found.version === STORE_FORMAT.version
      && found.config_hash === content.run.config_hash
      && sequences.every(({ name, fingerprint }) => !found.sequences[name] || found.sequences[name].fingerprint === fingerprint);
    return isOurs ? found : null;
  } catch {
    return null;
  }
}

/** Keep all decisions as they are now. */
function keepEdits() {
  store.kept = JSON.stringify(editsDocument());
  if (store.token) sendSoon();
  else {
    try {
      localStorage.setItem(storeKey(), store.kept);
      store.error = null;
    } catch {
      store.error = "this browser keeps nothing: save a file before you close the page";
    }
  }
  showStore();
}

function sendSoon() {
  store.isWaiting = true;
  clearTimeout(store.timer);
  store.timer = setTimeout(send, SAVE_AFTER);
}

/** Send the decisions to the run; one at a time. */
async function send() {
  if (store.isSaving) return;
  Object.assign(store, { isSaving: true, isWaiting: false });
  try {
    const answer = await fetch("/corrections", { method: "POST", body: store.kept,
      headers: { "Content-Type": "application/json", "X-Token": store.token, "X-Revision": store.revision } });
    const { revision, error, skipped } = await answer.json();
    Object.assign(store, { revision: answer.ok ? revision : store.revision, error: answer.ok ? null : error, skipped });
  } catch {
    store.error = "the server does not answer: start `vsrd-ray report --serve` again, or save a file";
  }
  store.isSaving = false;
  if (store.isWaiting && !store.error) sendSoon();
  showStore();
}

function saveFile() {
  const url = URL.createObjectURL(new Blob([JSON.stringify(editsDocument())], { type: "application/json" }));
  element("a", { href: url, download: "corrections.json" }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** What is said of frames that the run has not labelled as a whole: there nothing is taken over. */
function skippedWords() {
  return store.skipped ? `, but for ${countWords(store.skipped, "frame")} that a group failed to label` : "";
}

function isAllSaved() {
  return !store.token || (!store.isSaving && !store.isWaiting && !store.error);
}

/** How many instances are decided on, and where that is kept. */
function showStore() {
  const place = document.getElementById("review");
  const counts = reviewCounts();
  const decided = Object.entries(counts).filter(([state, count]) => state !== "open" && count);
  const [where, more] = store.error ? [`Not saved: ${store.error}`, ""] : !store.token ? ["kept here", "In this browser, until you save a file"]
    : isAllSaved() ? [`saved${skippedWords()}`, "In the run’s folder"] : ["saving …", ""];
  place.replaceChildren(...(decided.length || store.error ? [
    element("a", { href: "#instances/worst/up", class: "muted", title: more },
      `${decided.map(([state, count]) => `${count} ${state}`).join(", ")}${decided.length ? ` · ${counts.open} open` : ""}`),
    store.error ? element("span", { class: "bad", role: "alert" }, where) : element("span", { class: "muted where", title: more }, where),
    element("button", { id: "save", click: saveFile, title: "Save corrections as a file for vsrd-ray import --format report" },
      "Save file"),
  ] : []));
}

/** Take over what was decided earlier: of the run, and of this browser where it has decisions of this very run. */
function openStore() {
  content.sequences.forEach((raw, k) => {
    const sequence = sequences[k];
    const { fingerprint = null, decided = null, before = {}, new_ids: numbers = {} } = raw.editing ?? {};
    sequence.fingerprint = fingerprint;
    for (const [key, id] of Object.entries(numbers)) {
      const instance = sequence.instanceById.get(id);
      if (instance) instance.key = key;
    }
    openBefore(sequence, before);
    rememberBase(sequence);
    openEdits(sequence, decided && { instances: decided });
  });
  if (store.token) fetchEdits().then(openDocument).then(show);
  else {
    try {
      openDocument(readDocument(localStorage.getItem(storeKey()) ?? ""));
    } catch {
      openDocument(null); // a browser may refuse this to files
    }
  }
}

function openDocument(found) {
  if (found) for (const sequence of sequences) openEdits(sequence, found.sequences[sequence.name]);
  showStore();
}

async function fetchEdits() {
  try {
    const answer = await fetch("/corrections", { headers: { "X-Token": store.token } });
    const { revision, document: found, error } = await answer.json();
    Object.assign(store, { revision, error: answer.ok ? null : error });
    return answer.ok ? found : null;
  } catch {
    store.error = "the server does not answer: start `vsrd-ray report --serve` again";
    return null;
  }
}

/** The labeler's boxes where the report shows those of a human. */
function openBefore(sequence, before) {
  for (const [key, { box = null, boxes = {} }] of Object.entries(before)) {
    const instance = sequence.instances.find((one) => (one.key ?? String(one.id)) === key);
    const open = (values) => values && { ...labelOf(instance, { moving: values[8] === 1 },
      openedBox({ center: values.slice(0, 3), size: values.slice(3, 6), yaw: values[6] }, sequence)),
    confidence: values[7], source: "auto" };
    const one = open(box);
    for (const row of instance?.rows ?? []) {
      const own = one ?? open(boxes[row.frame.number]) ?? null;
      row.base = { box: own, iou: null, disagreement: own && disagreementOf(row, own),
        doubt: own ? 1 - own.confidence : row.area >= sequence.minArea ? 2 : 0 };
    }
  }
}

window.addEventListener("beforeunload", (event) => {
  if (!isAllSaved()) event.preventDefault();
});
