// The first screen: what the labels are worth, which are worst, how much work is left, and the figures that count most.

const GOOD = 0.5; // IoU3D with the truth or, without truth, confidence, from which a label is good in all its frames
const VERDICTS = ["good", "doubtful", "moving", "without a label"];
const MOST_WORST = 8;

/** Whether a row or an instance is worth a look: it has no label, or one that is not good. */
function isDoubtful(entry) {
  return entry.doubt > 1 - GOOD;
}

/** Which of `VERDICTS` an instance is; null where there is nothing to label. */
function verdictOn(instance) {
  if (!isReviewable(instance) || stateOf(instance) === "rejected") return null;
  if (!instance.box) return "without a label";
  if (isDoubtful(instance)) return "doubtful";
  return instance.box.is_moving ? "moving" : "good";
}

function verdictSection() {
  const found = allInstances.map(verdictOn);
  const counted = VERDICTS.map((verdict) => [verdict, found.filter((one) => one === verdict).length]);
  const isBad = (verdict) => verdict === "doubtful" || verdict === "without a label";
  const parts = counted.map(([verdict, count]) =>
    element("span", { class: count && isBad(verdict) ? "bad" : null }, `${count} ${verdict}`));
  const measure = hasTruth ? `an IoU3D with the truth (or, without truth, a confidence) of at least ${GOOD}` : `a confidence of at least ${GOOD}`;
  return [
    element("p", { class: "verdict" }, parts.flatMap((part, k) => (k ? [", ", part] : [part]))),
    element("p", { class: "muted" }, `Good and moving instances have ${measure} in all frames, or were accepted or corrected by hand. The others are doubtful.`),
  ];
}

/** The worst instances that are open, as a list that `j` and `k` walk through. */
function worstSection() {
  const open = sorted(allInstances.filter((instance) => isReviewable(instance) && stateOf(instance) === "open"), "worst", false);
  remember("open instances, worst first", open.map(instanceRoute));
  if (!open.length) return element("p", { class: "muted" }, "No instance waits for a decision.");
  return [
    element("div", { class: "heading" }, element("h2", {}, "Look at these first"), viewLegend()),
    element("div", { class: "tiles worst" }, open.slice(0, MOST_WORST).map(instanceTile)),
  ];
}

/** How much is left to review, and the way there. */
function workSection() {
  const counts = reviewCounts();
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  if (!total) return null;
  const go = (state) => {
    reviewShown.state = state;
    location.hash = GO.w;
  };
  return element("section", { class: "panel work" },
    element("b", {}, `Work left: ${counts.open} of ${countWords(total, "instance")}`),
    element("div", { class: "progress", "aria-hidden": "true" }, STATES.slice(1).map((state) =>
      element("i", { class: state, style: `width:${100 * counts[state] / total}%` }))),
    element("div", { class: "actions states" }, STATES.map((state) =>
      element("button", { click: () => go(state) }, `${state} ${counts[state]}`))));
}

/** The figures that count most, all objects first. */
function headlineSection(headline) {
  if (!headline) return null;
  return element("section", { class: "panel headline" }, element("b", {}, "Against the ground truth"),
    table(headline.columns, headline.rows));
}

function firstScreen(quality) {
  return element("div", { class: "first" },
    element("section", {}, worstSection()),
    element("section", { class: "beside" }, workSection(), headlineSection(quality?.headline), figures(countFigures())));
}
