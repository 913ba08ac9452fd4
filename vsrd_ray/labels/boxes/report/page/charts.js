// Charts by plotly.js, in the colours of the page.

const CHART_SETTINGS = { responsive: true, displaylogo: false, showTips: false };

function themeColor(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** A plotly layout in the page's colours. */
function chartLayout(more = {}) {
  const [ink, line] = [themeColor("ink"), themeColor("line")];
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: ink, size: 13, family: getComputedStyle(document.body).fontFamily },
    margin: { l: 56, r: 16, t: 34, b: 46 }, hovermode: "closest",
    hoverlabel: { bgcolor: themeColor("surface"), bordercolor: line, font: { color: ink } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: themeColor("muted"), activecolor: ink },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    ...more,
    xaxis: chartAxis(more.xaxis), yaxis: chartAxis(more.yaxis),
    ...(more.yaxis2 ? { yaxis2: chartAxis(more.yaxis2) } : {}),
  };
}

function chartAxis({ title = "", ...more } = {}) {
  const line = themeColor("line");
  return {
    gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true,
    title: { text: title, standoff: 8, font: { size: 13 } }, ...more,
  };
}

/** Draw a chart into an element that stands in the page. */
function drawChart(place, traces, layout, more = {}) {
  return Plotly.newPlot(place, traces, chartLayout(layout), { ...CHART_SETTINGS, ...more });
}

/** An element that draws its chart once it stands in the page. */
function chart(name, traces, layout) {
  const place = element("div", { class: "chart", "data-chart": name });
  afterShowing(() => drawChart(place, traces(), layout, { displayModeBar: false }));
  return place;
}

function confidenceHistogram() {
  const confidences = known(allInstances.map((instance) => instance.confidence));
  const edges = Array.from({ length: 20 }, (_, k) => k / 20);
  const counts = edges.map((low, k) => confidences.filter((value) =>
    value >= low && (value < low + 0.05 || k === edges.length - 1)).length);
  const middles = edges.map((low) => low + 0.025);
  return [{
    type: "bar", x: middles, y: counts, width: 0.046, marker: { color: middles.map(valueColor) },
    hovertemplate: "%{y} instances with a confidence of about %{x:.2f}<extra></extra>",
  }];
}

/** The reliability diagram: how often labels of a confidence are good. */
function reliabilityTraces(entries) {
  const [accent, muted] = [themeColor("accent"), themeColor("muted")];
  const most = Math.max(...entries.map((entry) => entry.count));
  return [
    { type: "scatter", mode: "lines", x: [0, 1], y: [0, 1], name: "as it should be",
      line: { color: muted, dash: "dot", width: 1.5 }, hoverinfo: "skip" },
    { type: "scatter", mode: "lines+markers", name: "share over IoU3D 0.5",
      x: entries.map((entry) => entry.mean_confidence), y: entries.map((entry) => entry.share_good),
      text: entries.map((entry) => String(entry.count)), line: { color: accent }, cliponaxis: false,
      marker: { color: accent, size: entries.map((entry) => 7 + 13 * Math.sqrt(entry.count / most)) },
      hovertemplate: "confidence %{x:.2f}: %{y:.0%} of %{text} labels are good<extra></extra>" },
  ];
}

/** How precise the labels are that one keeps, against the share that one keeps. */
function precisionTraces(entries) {
  const color = themeColor("accent");
  const kept = [...entries].sort((a, b) => a.share - b.share);
  return [{
    type: "scatter", mode: "lines+markers", x: kept.map((entry) => entry.share),
    y: kept.map((entry) => entry.precision), text: kept.map((entry) => entry.confidence.toFixed(2)),
    line: { color }, marker: { color, size: 8 }, cliponaxis: false,
    hovertemplate: "confidence from %{text}: %{x:.0%} kept, %{y:.0%} of them good<extra></extra>",
  }];
}
