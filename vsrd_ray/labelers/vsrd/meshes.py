"""Meshes of vehicles from OBJ and PLY files (ASCII or binary), as points on their surface in the unit box.

Shapes: V vertices, F triangles, P points. Axes of files: x forward, y left, z up; any unit, anywhere.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vsrd_ray.errors import InputError, one_line
from vsrd_ray.storage import Location

SUFFIXES = (".obj", ".ply")
_CONVENTION = "x forward, y left, z up"
# Vehicles are longer than wide, and neither flatter nor higher than this share of their length.
_MIN_HEIGHT_SHARE, _MAX_HEIGHT_SHARE = 0.15, 1.0
_PLY_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_PLY_ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True)
class TriangleMesh:
    """A surface of triangles."""

    vertices: np.ndarray  # [V, 3] float64
    triangles: np.ndarray  # [F, 3] int64


def mesh_files(place: Location) -> list[Location]:
    """A mesh file itself, or all those in a folder, by name.

    Raises:
        InputError: nothing is there, or no mesh.
    """
    if place.is_dir():
        files = sorted(
            (file for file in place.iterdir() if file.suffix.lower() in SUFFIXES), key=lambda file: file.name
        )
        if not files:
            raise InputError(f"{place}: no mesh in it: give a folder of {' or '.join(SUFFIXES)} files")
        return files
    if not place.exists():
        raise InputError(f"{place}: no such file: give a mesh, or a folder of meshes")
    if place.suffix.lower() not in SUFFIXES:
        raise InputError(f"{place}: not a mesh by its name: give {' or '.join(SUFFIXES)}")
    return [place]


def read_mesh(file: Location) -> TriangleMesh:
    """The surface in an OBJ or PLY file; polygons are cut into fans.

    Raises:
        InputError: it is cut off, or no such file by its content; or indices or coordinates are out of range.
    """
    try:
        content = file.read_bytes()
        mesh = _read_ply(content) if file.suffix.lower() == ".ply" else _read_obj(content.decode("utf-8", "replace"))
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise InputError(f"{file}: not a mesh that can be read ({one_line(error)}): write it again") from error
    vertices, triangles = mesh.vertices, mesh.triangles
    if not len(vertices) or not len(triangles):
        raise InputError(f"{file}: a mesh without faces: surfaces are needed, not points")
    if not np.isfinite(vertices).all():
        raise InputError(f"{file}: a vertex that is no number: write it again")
    if triangles.min() < 0 or triangles.max() >= len(vertices):
        raise InputError(f"{file}: a face of vertices that are not there: write it again")
    return mesh


def surface_points(
    mesh: TriangleMesh,
    *,
    count: int,
    seed: int,
    name: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Points [P, 3] spread evenly over a vehicle's surface, and its extents [3]: half width, height and length.

    Points are in the unit box of bodies: x right, y down, z forward.

    Args:
        mesh: of one vehicle.
        count: of points.
        seed: of where they lie.
        name: of the mesh, for errors.

    Raises:
        InputError: it has no extent, or proportions that no vehicle has along those axes.
    """
    used = mesh.vertices[np.unique(mesh.triangles)]
    low, high = used.min(axis=0), used.max(axis=0)
    length, width, height = (high - low).tolist()
    if min(length, width, height) <= 0:
        raise InputError(f"{name}: a flat mesh: a vehicle's body is needed")
    if not (width < length and _MIN_HEIGHT_SHARE * length <= height <= _MAX_HEIGHT_SHARE * length):
        raise InputError(
            f"{name}: {length:.3g} long, {width:.3g} wide and {height:.3g} high, which is no vehicle: "
            f"turn it so that its axes are {_CONVENTION}"
        )
    half = (high - low) / 2
    corners = mesh.vertices[mesh.triangles] - (low + half)  # [F, 3, 3], in the mesh's own proportions
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=-1)
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(areas), size=count, p=areas / areas.sum())
    u, v = rng.random((2, count, 1))
    fold = u + v > 1
    u, v = np.where(fold, 1 - u, u), np.where(fold, 1 - v, v)
    a, b, c = corners[chosen].transpose(1, 0, 2)
    x, y, z = ((a + u * (b - a) + v * (c - a)) / half).T
    return np.stack([-y, -z, x], axis=-1), half[[1, 2, 0]]


def _read_obj(text: str) -> TriangleMesh:
    """Vertices and faces of Wavefront OBJ; all else in it is passed over."""
    vertices: list[list[float]] = []
    triangles: list[tuple[int, int, int]] = []
    for line in text.splitlines():
        kind, *words = line.split() or [""]
        if kind == "v":
            x, y, z = (float(word) for word in words[:3])
            vertices.append([x, y, z])
        elif kind == "f":
            given = [int(word.split("/")[0]) for word in words]
            if not all(given):
                raise ValueError("face with a vertex 0, though they count from 1")
            triangles += _fan([one - 1 if one > 0 else len(vertices) + one for one in given])
    return _mesh(vertices, triangles)


def _read_ply(content: bytes) -> TriangleMesh:
    """Vertices and faces of a Stanford PLY."""
    header, mark, body = content.partition(b"end_header")
    lines = header.decode("ascii", "replace").split("\n")
    if lines[0].strip() != "ply" or not mark:
        raise ValueError("no header of PLY")
    body = body[body.index(b"\n") + 1 :]
    order, elements = "=", []
    is_ascii = True
    for words in (line.split() for line in lines[1:]):
        if words[:1] == ["format"]:
            order, is_ascii = _PLY_ORDERS[words[1]], words[1] == "ascii"
        elif words[:1] == ["element"]:
            elements.append((words[1], int(words[2]), []))
        elif words[:1] == ["property"]:
            elements[-1][2].append((words[-1], [order + _PLY_TYPES[word] for word in words[1:-1] if word != "list"]))
    read = _AsciiValues(body) if is_ascii else _BinaryValues(body)
    vertices: list[list[float]] = []
    triangles: list[tuple[int, int, int]] = []
    for name, count, properties in elements:
        for _ in range(count):
            row = {key: read.values(kinds) for key, kinds in properties}
            if name == "vertex":
                vertices.append([float(row[axis][0]) for axis in "xyz"])
            elif name == "face":
                indices = row["vertex_indices"] if "vertex_indices" in row else row["vertex_index"]
                triangles += _fan([int(index) for index in indices])
    return _mesh(vertices, triangles)


class _AsciiValues:
    """Numbers of a text, one after the other."""

    def __init__(self, content: bytes) -> None:
        self._words = iter(content.split())

    def values(self, kinds: list[str]) -> list[float]:
        """One value of one kind, or as many as the first of two kinds says."""
        count = 1 if len(kinds) == 1 else int(self._next())
        return [self._next() for _ in range(count)]

    def _next(self) -> float:
        try:
            return float(next(self._words))
        except StopIteration:
            raise ValueError("cut off") from None


class _BinaryValues:
    """Numbers of bytes, one after the other."""

    def __init__(self, content: bytes) -> None:
        self._content, self._place = content, 0

    def values(self, kinds: list[str]) -> list[float]:
        """One value of one kind, or as many as the first of two kinds says."""
        count = 1 if len(kinds) == 1 else int(self._take(kinds[0], 1)[0])
        return self._take(kinds[-1], count)

    def _take(self, kind: str, count: int) -> list[float]:
        if count < 0:
            raise ValueError("a list of less than no values")
        values = np.frombuffer(self._content, np.dtype(kind), count, self._place)
        self._place += values.nbytes
        return values.tolist()


def _fan(polygon: list[int]) -> list[tuple[int, int, int]]:
    if len(polygon) < 3:
        raise ValueError(f"face of {len(polygon)} vertices")
    return [(polygon[0], one, other) for one, other in pairwise(polygon[1:])]


def _mesh(vertices: list[list[float]], triangles: list[tuple[int, int, int]]) -> TriangleMesh:
    return TriangleMesh(
        np.array(vertices, dtype=np.float64).reshape(-1, 3), np.array(triangles, dtype=np.int64).reshape(-1, 3)
    )
