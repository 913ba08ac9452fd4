// Snapping: size, place and heading near a rough box, by the outlines of its masks in all its views.
//
// A mask reaches so far in some directions of the image; so must a body that is as large as the box. Directions in which
// the mask ends at the picture's border or at another mask that stands nearer say nothing. The sum of squares, with
// outliers bounded, is brought down from where the box is by Levenberg and Marquardt's method.

const SNAP = {
  directions: 16, views: 10, steps: 25,
  pixels: 1, share: 0.015, // noise of an extent: px, and of the mask's size
  beyond: 0.7, within: 6, // outliers, in units of noise: a body may reach beyond its mask unseen, a mask not beyond its body
  size: [0.08, 0.06, 0.07], heading: 0.35, place: 1.5, // how far they may be off, relative, radians and metres
  near: 2, // px by which a mask that hides another one may be apart from it
  facing: 0.3, // cosine from which on a hidden stretch leaves a direction open
  reach: 0.1, // of the mask's size: a hidden stretch that reaches so nearly as far leaves a direction open
};

// A car in its box: ahead, to the left and upwards from -1 to 1, the left half of it.
const CAR_BODY = [
  [1, 0.45, -0.1], [0.97, 0.72, -0.1], [1, 0.45, -0.6], [0.97, 0.72, -0.6], [0.8, 1, 0], [0.8, 1, -0.6], [0.85, 0.9, 0.05],
  [0.5, 0.95, 0.25], [0.14, 0.72, 1], [-0.6, 0.72, 1], [-0.86, 0.9, 0.22], [-0.85, 1, 0.1], [-0.85, 1, -0.6],
  [-1, 0.5, 0.15], [-0.97, 0.78, 0.15], [-1, 0.5, -0.6], [-0.97, 0.78, -0.6],
  [0.75, 0.97, -1], [0.5, 0.97, -1], [-0.5, 0.97, -1], [-0.75, 0.97, -1],
];
const CAR_CLASSES = ["car"];

function bodyOf(className) {
  if (!CAR_CLASSES.includes(className)) return SIGNS.map((sign) => sign.map((value) => 0.98 * value));
  return CAR_BODY.flatMap(([ahead, left, up]) => [[ahead, left, up], [ahead, -left, up]]);
}

/** What the mask of a row says: how far it reaches in each direction, px, null where that is not known. */
function extentsOf(row) {
  const outline = maskOutline(row);
  if (!outline) return null;
  const { points, inset } = outline;
  const hidden = hiddenPoints(row, points);
  const reach = ({ at }, [cos, sin]) => at[0] * cos + at[1] * sin;
  const size = Math.max(...[0, 1].map((axis) => {
    const along = points.map(({ at }) => at[axis]);
    return Math.max(...along) - Math.min(...along);
  }));
  const extents = snapDirections().map((direction) => {
    const [cos, sin] = direction;
    const farthest = Math.max(...points.map((point) => reach(point, direction)));
    const isOpen = points.some((point, k) => hidden[k] && reach(point, direction) > farthest - SNAP.reach * size
      && point.normal[0] * cos + point.normal[1] * sin > SNAP.facing);
    return isOpen ? null : farthest + inset;
  });
  return { row, size, extents, known: extents.filter((value) => value !== null).length };
}

function snapDirections() {
  return Array.from({ length: SNAP.directions }, (_, k) => {
    const angle = 2 * Math.PI * k / SNAP.directions;
    return [Math.cos(angle), Math.sin(angle)];
  });
}

/** The outline of a row's mask as points px with outward normals, and how far the mask's edge lies beyond them. */
function maskOutline(row) {
  const ofFrame = row.frame.picture?.masks?.[row.instance.place];
  const polygons = ofFrame ?? row.instance.views.find((view) => view.row === row)?.mask;
  if (!polygons?.length) return null;
  return { points: polygons.flatMap(spreadPoints), inset: ofFrame ? 0.5 : 0.1 };
}

/** Points a few px apart on a polygon; the middles of its edges have their normals. */
function spreadPoints(values) {
  const corners = [];
  for (let k = 0; k < values.length; k += 2) corners.push([values[k] + 0.5, values[k + 1] + 0.5]);
  const edges = corners.map(([u, v], k) => {
    const next = corners[(k + 1) % corners.length];
    return { u, v, du: next[0] - u, dv: next[1] - v };
  });
  const turn = Math.sign(edges.reduce((sum, { u, v, du, dv }) => sum + u * dv - v * du, 0)) || 1;
  return edges.flatMap(({ u, v, du, dv }) => {
    const length = Math.hypot(du, dv) || 1;
    const parts = Math.max(1, Math.ceil(length / 3));
    const normal = [turn * dv / length, -turn * du / length];
    return Array.from({ length: parts }, (_, part) => ({ at: [u + du * part / parts, v + dv * part / parts], normal }));
  });
}

/** Which points of an outline lie at the picture's border, or at a mask that stands nearer: its foot is lower. */
function hiddenPoints(row, points) {
  const { width, height } = row.frame.sequence;
  const nearer = row.frame.rows.filter((other) => other !== row && other.maskBox && row.maskBox
    && other.maskBox[3] > row.maskBox[3] - 2 && boxesTouch(other.maskBox, row.maskBox)).flatMap((other) =>
    maskOutline(other)?.points ?? []);
  return points.map(({ at: [u, v] }) => u < 2 || v < 2 || u > width - 2 || v > height - 2
    || nearer.some(({ at: [x, y] }) => Math.abs(x - u) < SNAP.near && Math.abs(y - v) < SNAP.near));
}

function boxesTouch(a, b) {
  return a[0] < b[2] + SNAP.near && b[0] < a[2] + SNAP.near && a[1] < b[3] + SNAP.near && b[1] < a[3] + SNAP.near;
}

/** The views to snap to: those that know most, large ones first, from different places. */
function snapViews(rows) {
  const all = rows.filter((row) => row.area >= row.frame.sequence.minArea).map(extentsOf)
    .filter((view) => view && view.known >= 5);
  const largest = all.sort((a, b) => b.known * b.size - a.known * a.size).slice(0, 2 * SNAP.views);
  const inOrder = largest.sort((a, b) => a.row.frame.number - b.row.frame.number);
  const every = Math.max(1, inOrder.length / SNAP.views);
  return inOrder.filter((_, k) => Math.floor(k / every) !== Math.floor((k - 1) / every));
}

/** How far a body reaches beyond each mask, in units of noise. */
function outlineResiduals(box, body, views) {
  const [cos, sin] = [Math.cos(box.yaw_world), Math.sin(box.yaw_world)];
  const points = body.map(([ahead, left, up]) => {
    const [x, y] = [ahead * box.length / 2, left * box.width / 2];
    return [box.center[0] + cos * x - sin * y, box.center[1] + sin * x + cos * y, box.center[2] + up * box.height / 2];
  });
  const directions = snapDirections();
  return views.flatMap(({ row, size, extents }) => {
    const pixels = points.map((point) => {
      const [x, y, z] = toCamera(row.frame, point);
      return toPixel(row.frame.sequence, [x, y, Math.max(z, 0.5)]);
    });
    const noise = (SNAP.pixels + SNAP.share * size) * Math.sqrt(views.length);
    return directions.map(([c, s], k) => (extents[k] === null ? 0
      : (Math.max(...pixels.map(([u, v]) => u * c + v * s)) - extents[k]) / noise));
  });
}

/** Unknowns: shifts of the centre, turn, and logarithms of how the sizes change. */
function moved(box, x) {
  return { ...box, center: box.center.map((value, axis) => value + x[axis]), yaw_world: wrapped(box.yaw_world + x[3]),
    length: box.length * Math.exp(x[4]), width: box.width * Math.exp(x[5]), height: box.height * Math.exp(x[6]) };
}

/** The box near another one that fits the masks of some rows best; null where these say too little. */
function snapped(box, rows, { className, usual }) {
  const views = snapViews(rows);
  if (!views.length) return null;
  const body = bodyOf(className);
  const sizes = [box.length, box.width, box.height];
  const residuals = (x) => {
    const priors = [...x.slice(0, 3).map((value) => value / SNAP.place), x[3] / SNAP.heading,
      ...sizes.map((size, k) => Math.log(size * Math.exp(x[4 + k]) / usual[k]) / SNAP.size[k])];
    return { outlines: outlineResiduals(moved(box, x), body, views), priors };
  };
  const bounded = (value) => value * value / (1 + (value / outlierOf(value)) ** 2);
  const cost = ({ outlines, priors }) => outlines.reduce((sum, value) => sum + bounded(value), 0)
    + priors.reduce((sum, value) => sum + value * value, 0);
  let x = [0, 0, 0, 0, ...sizes.map((size, k) => Math.log(usual[k] / size))];
  let now = residuals(x);
  let damping = 0.01;
  for (let step = 0; step < SNAP.steps; step += 1) {
    const { A, b } = normalEquations(residuals, x, now);
    const next = x.map((value, k) => value - solved(A, b, damping)[k]);
    const there = residuals(next);
    if (cost(there) < cost(now)) [x, now, damping] = [next, there, damping / 3];
    else damping *= 5;
    if (damping > 1e6) break;
  }
  return { box: moved(box, x), cost: cost(now), views: views.length };
}

function outlierOf(residual) {
  return residual > 0 ? SNAP.beyond : SNAP.within;
}

function normalEquations(residuals, x, now) {
  const flat = ({ outlines, priors }) => [...outlines, ...priors];
  const start = flat(now);
  const weights = start.map((value, k) => (k < now.outlines.length ? 1 / (1 + (value / outlierOf(value)) ** 2) ** 2 : 1));
  const columns = x.map((value, k) => {
    const there = flat(residuals(x.with(k, value + 1e-4)));
    return there.map((one, m) => (one - start[m]) / 1e-4);
  });
  const product = (a, b) => a.reduce((sum, value, m) => sum + weights[m] * value * b[m], 0);
  return { A: columns.map((a) => columns.map((c) => product(a, c))), b: columns.map((a) => product(a, start)) };
}

/** The solution of damped normal equations, by elimination. */
function solved(A, b, damping) {
  const rows = A.map((row, k) => [...row.with(k, row[k] * (1 + damping)), b[k]]);
  rows.forEach((row, k) => {
    rows.slice(k + 1).forEach((other) => {
      const share = other[k] / row[k];
      for (let column = k; column < row.length; column += 1) other[column] -= share * row[column];
    });
  });
  const x = b.map(() => 0);
  for (let k = b.length - 1; k >= 0; k -= 1) {
    x[k] = (rows[k][b.length] - rows[k].slice(k + 1, b.length).reduce((sum, value, m) => sum + value * x[k + 1 + m], 0)) / rows[k][k];
  }
  return x;
}

function wrapped(angle) {
  return angle - 2 * Math.PI * Math.floor((angle + Math.PI) / (2 * Math.PI));
}
