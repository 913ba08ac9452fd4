// The first page: how the run stands, how good it is where that is known, and what it was made with.

const STATUS_WORDS = {
  running: "running, or stopped before its end", complete: "complete",
  complete_with_failures: "complete but for what failed", failed: "failed",
};

function summaryPage() {
  const { run, groups, quality } = content;
  return [
    element("h1", {}, sequences.map((sequence) => sequence.name).join(", ")),
    element("p", { class: "muted" }, `Labels of ${(run.classes ?? []).join(", ")} in ${run.camera}. The run is `,
      element("b", {}, STATUS_WORDS[run.status] ?? "of unknown state"), "."),
    run.error ? element("p", { class: "bad" }, `The run ended with an error: ${run.error}`) : null,
    verdictSection(),
    groupWarnings(groups.counts),
    Object.entries(run.unusable_sequences).map(([name, error]) =>
      element("p", { class: "bad" }, `The run left ${name} out, which cannot be used: ${error}`)),
    Object.values(run.warnings).flat().map((warning) => element("p", { class: "bad" }, warning)),
    Object.entries(run.poses ?? {}).map(([name, said]) => element("p", { class: "muted" }, `Poses of ${name}: ${said}.`)),
    correctionWords(content.corrections),
    leftOutNote(),
    firstScreen(quality),
    summaryCharts(quality),
    quality ? qualitySection(quality)
      : element("p", { class: "muted" },
        "How good these labels are is not known: there is no ground truth of them, or it was not looked at."),
    element("h2", {}, "How this run was made"),
    settingsSection(run, groups),
  ];
}

/** Links to what has no labels: failed groups stand out, skipped ones do not. */
function groupWarnings(counts) {
  const { failed, skipped } = withoutLabels(counts);
  const link = (count, words, kind) =>
    element("a", { href: "#groups", class: kind }, `${countWords(count, "group")} ${words}`);
  if (!failed && !skipped) return null;
  return element("p", {}, failed ? link(failed, "failed", "bad") : null, failed && skipped ? ", " : null,
    skipped ? link(skipped, "skipped", "muted") : null);
}

/** How many groups failed, whatever a run calls it, and how many were skipped. */
function withoutLabels({ ok = 0, skipped = 0, ...others }) {
  return { skipped, failed: Object.values(others).reduce((sum, count) => sum + count, 0) };
}

function correctionWords({ frames, prefer }) {
  if (!frames) return null;
  const whose = prefer === "human" ? "shows the human’s boxes in them, and the labeler’s elsewhere"
    : "shows the labeler’s boxes in them all the same";
  return element("p", { class: "muted" }, `A human has corrected ${countWords(frames, "frame")}: this report ${whose} (`,
    element("code", {}, `--prefer ${prefer}`), ").");
}

/** What is said wherever instances may be missing. */
function leftOutNote() {
  if (!content.left_out) return null;
  const words = `To keep this file small, ${countWords(content.left_out, "instance")}, the least doubtful, and their labels `
    + "are not in it.";
  return element("p", { class: "muted" }, words,
    sequences.length > 1 ? [" A report of fewer sequences, by ", element("code", {}, "--sequence"), ", has them."] : null);
}

function countWords(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function figures(entries) {
  return element("div", { class: "figures" },
    entries.map(([name, value]) => element("div", { class: "panel" }, element("strong", {}, value), name)));
}

function countFigures() {
  const { labels, instances, moving } = content.counts;
  const groups = Object.values(content.groups.counts).reduce((sum, count) => sum + count, 0);
  return [
    ["frames", String(allFrames.length)], ["labels", String(labels)],
    [`instances, ${moving} moving`, String(instances)],
    [`of ${countWords(groups, "group")} done`, String(content.groups.counts.ok ?? 0)],
  ];
}

function summaryCharts(quality) {
  const charts = [];
  if (content.counts.instances) {
    charts.push(panelChart(`Confidence of ${content.left_out ? "the instances in this file" : "all instances"}, parked or moving`, "histogram",
      confidenceHistogram,
      { xaxis: { title: "confidence", range: [0, 1] }, yaxis: { title: "instances" }, bargap: 0 }));
  }
  if (quality?.reliability.length) {
    const share = { range: [-0.03, 1.05], tickformat: ".0%" };
    charts.push(panelChart("Do confidences mean what they say?", "reliability",
      () => reliabilityTraces(quality.reliability),
      { xaxis: { title: "confidence", range: [-0.03, 1.05] }, yaxis: { title: "good labels", ...share } }));
    if (quality.kept.length) {
      charts.push(panelChart("Keep the confident ones: how many, how good?", "precision",
        () => precisionTraces(quality.kept),
        { xaxis: { title: "labels kept", ...share }, yaxis: { title: "good among them", ...share } }));
    }
  }
  return element("div", { class: "columns" }, charts);
}

function panelChart(title, name, traces, layout) {
  return element("section", { class: "panel" }, element("b", {}, title), chart(name, traces, layout));
}

function qualitySection(quality) {
  return [
    element("h2", {}, "Against the ground truth, in detail"),
    element("p", { class: "muted" }, "Every true box in reach whose mask is large enough counts in every labelled "
      + "frame; a missing label counts as IoU 0. Errors are over labelled truth.", unknownTruthWords()),
    element("div", { class: "tables" }, sideBySide(quality.tables).map((column) => element("div", {},
      column.map((entry) => element("section", { class: "panel" },
        element("b", {}, entry.title), table(entry.columns, entry.rows)))))),
    element("details", {}, element("summary", {}, "What was compared"), factTable(quality.facts)),
  ];
}

/** Tables in two columns of about equal height. */
function sideBySide(tables) {
  const columns = [{ height: 0, tables: [] }, { height: 0, tables: [] }];
  for (const entry of tables) {
    const column = columns[columns[1].height < columns[0].height ? 1 : 0];
    column.tables.push(entry);
    column.height += entry.rows.length + 3; // its title, its head and its padding
  }
  return columns.filter((column) => column.tables.length).map((column) => column.tables);
}

function unknownTruthWords() {
  const unknown = sequences.filter((sequence) => !sequence.hasTruth).map((sequence) => sequence.name);
  return unknown.length ? ` There is no ground truth of ${unknown.join(", ")}, which does not count here.` : "";
}

function settingsSection(run, groups) {
  const pictures = allFrames.filter((frame) => frame.picture).length;
  const skipped = Object.entries(run.skipped_frames ?? {}).flatMap(([name, reasons]) =>
    Object.entries(reasons).map(([reason, frames]) => `${name}: ${reason} (${JSON.stringify(frames)})`));
  const facts = [
    ["configuration", run.config_hash], ["seed", run.seed],
    ["wall seconds", fixed(run.seconds?.wall, 1)], ["seconds of workers", fixed(run.seconds?.device, 1)],
    ["seconds of these groups", fixed(groups.seconds, 1)],
    ...Object.entries(run.versions ?? {}).map(([name, version]) => [name, version]),
    ["frames skipped", skipped.length ? skipped.join("; ") : "none"],
    ["pictures in this file", `${pictures} of ${allFrames.length} frames, `
      + `${allInstances.reduce((sum, instance) => sum + instance.views.length, 0)} close-ups`],
  ].map(([name, value]) => [name, value === null || value === undefined ? NONE : String(value)]);
  return [
    element("div", { class: "columns" }, inParts(facts, 3).map((part) => element("section", { class: "panel" }, factTable(part)))),
    element("details", {}, element("summary", {}, "All settings"),
      element("pre", {}, JSON.stringify(run.config ?? {}, null, 2))),
  ];
}

/** A list as some lists of about equal length. */
function inParts(list, count) {
  const size = Math.ceil(list.length / count);
  return Array.from({ length: Math.ceil(list.length / size) }, (_, k) => list.slice(k * size, (k + 1) * size));
}

/** Groups that are not ok: the failed with their errors, the skipped with their reasons. */
function groupsPage() {
  const { counts, not_ok: listed, left_out: leftOut } = content.groups;
  const [skipped, failed] = [true, false].map((wanted) => listed.filter(({ status }) => (status === "skipped") === wanted));
  const words = Object.entries(counts).map(([status, count]) => `${count} ${status}`).join(", ");
  const unlabelled = allInstances.filter((instance) => !instance.box && instance.doubt > 1);
  return [
    element("h1", {}, "What has no labels"),
    element("h2", {}, `Groups: ${words || "none yet"}`),
    failed.length ? groupSection("Failed", failed, "bad", "error") : element("p", {}, "No group has failed."),
    skipped.length ? groupSection("Skipped", skipped, "muted", "reason") : null,
    leftOut ? element("p", { class: "muted" }, `${leftOut} more are not listed here.`) : null,
    element("h2", {}, `Instances without a label in any frame: ${unlabelled.length}`),
    element("p", { class: "muted" }, `Those that show at least ${sequences[0].minArea} px of mask in a frame.`),
    unlabelled.length ? element("section", { class: "panel" }, unlabelledTable(unlabelled)) : null,
    unlabelledViews(),
  ];
}

/** Masks in single frames that ought to have a label, of instances that have some elsewhere. */
function unlabelledViews() {
  const views = allRows.filter((row) => row.doubt > 1 && row.instance.box);
  const words = "as large, in single frames, of instances that have a label in other frames.";
  return [
    element("h2", {}, `Further masks without a label: ${views.length}`),
    element("p", { class: "muted" }, `Those ${words}`,
      views.length ? [" They are among the first ", element("a", { href: "#gallery/boxes/worst/up" }, "boxes, worst first"), "."] : null),
  ];
}

function unlabelledTable(instances) {
  return table(["instance", ...sequenceHead(), "class", "frames", "largest mask"], instances.map((instance) => [
    instanceLink(instance), ...sequenceCell(instance.sequence.name), instance.class, String(instance.rows.length),
    `${instance.area} px`,
  ]));
}

/** A column for the sequence, in reports of several. */
function sequenceHead() {
  return sequences.length > 1 ? ["sequence"] : [];
}

function sequenceCell(name) {
  return sequences.length > 1 ? [name] : [];
}

function groupSection(title, groups, kind, why) {
  return element("section", { class: `panel groups ${title.toLowerCase()}` },
    element("b", { class: kind }, title), groupTable(groups, why));
}

/** Groups without labels; `why` heads the column that says why. */
function groupTable(groups, why) {
  const head = ["group", ...sequenceHead(), why, "target frame", "tries", "instances"];
  return table(head, groups.map((group) => [
    group.group_id, ...sequenceCell(group.sequence), group.error ?? NONE,
    findSequence(group.sequence)?.frameByNumber.has(group.target_frame)
      ? element("a", { href: routeOf("frame", group.sequence, group.target_frame) }, String(group.target_frame))
      : String(group.target_frame),
    String(group.attempts), (group.instance_ids ?? []).join(", "),
  ]), { texts: ["group", "sequence", "instances", why] });
}
