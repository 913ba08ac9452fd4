// Boxes in cameras and from above. Corners are in the order of the package: 0-3 the top, from front left clockwise,
// 4-7 below them.

const SIGNS = [[1, 1, 1], [1, -1, 1], [-1, -1, 1], [-1, 1, 1], [1, 1, -1], [1, -1, -1], [-1, -1, -1], [-1, 1, -1]];
const EDGES = [[0, 1], [1, 2], [2, 3], [3, 0], [4, 5], [5, 6], [6, 7], [7, 4], [0, 4], [1, 5], [2, 6], [3, 7]];
const FRONT_FACE = [0, 1, 5, 4];
const NEAR = 0.05; // metres before the camera at which boxes are cut

/** The eight corners of a box, metres from the sequence's origin. */
function corners(box) {
  const [cos, sin] = [Math.cos(box.yaw_world), Math.sin(box.yaw_world)];
  return SIGNS.map(([forward, left, up]) => {
    const [x, y] = [forward * box.length / 2, left * box.width / 2];
    const [cx, cy, cz] = box.center;
    return [cx + cos * x - sin * y, cy + sin * x + cos * y, cz + up * box.height / 2];
  });
}

/** A point in a frame's camera: x right, y down, z ahead. */
function toCamera(frame, point) {
  const offset = point.map((value, axis) => value - frame.position[axis]);
  const R = frame.rotation;
  return [0, 1, 2].map((axis) => R[axis] * offset[0] + R[axis + 3] * offset[1] + R[axis + 6] * offset[2]);
}

/** Pixel of a point before the camera; the picture's left edge is 0, so the first pixel's centre is at a half. */
function toPixel(sequence, point) {
  const K = sequence.K;
  const [u, v] = [0, 1].map((axis) => {
    const sum = K[3 * axis] * point[0] + K[3 * axis + 1] * point[1] + K[3 * axis + 2] * point[2];
    return sum / point[2] + 0.5;
  });
  return [u, v];
}

/** The part of a polygon, or with `open` of a line, that lies before the camera. */
function cutNear(points, open = false) {
  const kept = [];
  const last = open ? points.length - 1 : points.length;
  points.forEach((start, k) => {
    const end = points[(k + 1) % points.length];
    if (start[2] >= NEAR) kept.push(start);
    if (k < last && (start[2] >= NEAR) !== (end[2] >= NEAR)) {
      const share = (start[2] - NEAR) / (start[2] - end[2]);
      kept.push(start.map((value, axis) => value + share * (end[axis] - value)));
    }
  });
  return kept;
}

/** SVG paths of a box in a frame: `edges`, and `front`, its front face; empty where it is behind the camera. */
function wireframe(frame, box) {
  const inCamera = corners(box).map((point) => toCamera(frame, point));
  const path = (points, close) => {
    if (points.length < 2) return "";
    const pixels = points.map((point) => toPixel(frame.sequence, point).map((value) => value.toFixed(1)).join(" "));
    return `M${pixels.join("L")}${close ? "Z" : ""}`;
  };
  return {
    edges: EDGES.map(([a, b]) => path(cutNear([inCamera[a], inCamera[b]], true), false)).join(""),
    front: path(cutNear(FRONT_FACE.map((corner) => inCamera[corner])), true),
  };
}

/** The sides [left, top, right, bottom] px of what a frame's picture shows of a box; null where that is nothing. */
function projectedBox(frame, box) {
  const inCamera = corners(box).map((point) => toCamera(frame, point));
  const ends = EDGES.flatMap(([a, b]) => cutNear([inCamera[a], inCamera[b]], true));
  const pixels = ends.map((point) => toPixel(frame.sequence, point));
  const { width, height } = frame.sequence;
  const [left, top] = [0, 1].map((axis) => Math.max(0, Math.min(...pixels.map((pixel) => pixel[axis]))));
  const right = Math.min(width, Math.max(...pixels.map(([u]) => u)));
  const bottom = Math.min(height, Math.max(...pixels.map(([, v]) => v)));
  return left < right && top < bottom ? [left, top, right, bottom] : null;
}

/** Metres ahead of a frame's camera and to its left, of a point seen from above. */
function aheadLeft(frame, point) {
  const [x, y] = [frame.rotation[2], frame.rotation[5]];
  const length = Math.hypot(x, y) || 1;
  const [dx, dy] = [point[0] - frame.position[0], point[1] - frame.position[1]];
  return [(dx * x + dy * y) / length, (dy * x - dx * y) / length];
}

/** Footprint of a box, and its heading mark, through a map from points to a plan's coordinates. */
function footprint(box, place) {
  const [a, b, c, d] = corners(box).slice(0, 4).map(place);
  const between = (p, q, share) => [p[0] + share * (q[0] - p[0]), p[1] + share * (q[1] - p[1])];
  return { outline: [a, b, c, d], mark: [between(a, d, 0.3), between(a, b, 0.5), between(b, c, 0.3)] };
}
