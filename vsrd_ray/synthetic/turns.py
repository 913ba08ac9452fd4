"""What one turn of a LiDAR meets, exactly: four virtual views of a quarter turn each, sampled where its rays go.

Shapes: C columns (azimuths), E rings (elevations), F faces. In a view, the rays of one column lie on a straight line,
so that a flat convex face covers one run of rings in each column. Nothing is sampled between the rays.
"""

from dataclasses import dataclass

import numpy as np

from vsrd_ray.geometry import polygons
from vsrd_ray.synthetic.rasterizer import NEAR, crossings, edge_lines, facing
from vsrd_ray.synthetic.spans import expand, low_and_high

# Rows: up, right and forward of four views that look ahead, right, back and left; the sensor has x forward, y left.
_VIEWS = np.array(
    [
        [[0, 0, 1], [0, -1, 0], [1, 0, 0]],
        [[0, 0, 1], [-1, 0, 0], [0, -1, 0]],
        [[0, 0, 1], [0, 1, 0], [-1, 0, 0]],
        [[0, 0, 1], [1, 0, 0], [0, 1, 0]],
    ],
    dtype=np.float64,
)

_MARGIN = 1e-6  # tangents, by which views are widened before faces are left out


@dataclass(frozen=True)
class Turn:
    """What the rays of one turn meet first."""

    face: np.ndarray  # [C, E] int64, index in the mesh; -1 where there is none
    distance: np.ndarray  # [C, E] float64 metres; infinite where there is none


def directions(azimuths: np.ndarray, elevations: np.ndarray) -> np.ndarray:
    """Unit vectors [C, E, 3] of rays with azimuths [C] (radians, positive to the left) and elevations [E]."""
    azimuths, elevations = azimuths[:, None], elevations[None, :]
    parts = (np.cos(elevations) * np.cos(azimuths), np.cos(elevations) * np.sin(azimuths), np.sin(elevations))
    return np.stack(np.broadcast_arrays(*parts), axis=-1)


def cast_turn(
    faces_sensor: np.ndarray,  # [F, 4, 3] metres, counter-clockwise seen from outside; backs are not met
    azimuths: np.ndarray,  # [C] radians about z, 0 ahead
    elevations: np.ndarray,  # [E] radians above the sensor's xy plane, ascending
) -> Turn:
    """What the rays of all azimuths and elevations from the sensor's origin meet first."""
    shape = (len(azimuths), len(elevations))
    turn = Turn(np.full(shape, -1), np.full(shape, np.inf))
    quarter = np.rint(-azimuths / (np.pi / 2)).astype(int) % 4
    for view, rotation in enumerate(_VIEWS):
        columns = np.flatnonzero(quarter == view)
        tangents = np.tan(-azimuths[columns] - view * np.pi / 2)
        columns, tangents = columns[np.argsort(tangents)], np.sort(tangents)
        if len(columns) > 0:
            found = _cast_view(faces_sensor @ rotation.T, tangents, np.tan(elevations))
            turn.face[columns], turn.distance[columns] = found
    return turn


def _cast_view(faces: np.ndarray, tangents: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Faces and distances [C, E] of rays in columns with ascending tangents [C] and rings with ascending slopes [E]."""
    stretch = np.sqrt(1 + tangents**2)  # a ring's height in the view, in each column, over that in the middle
    index, planes, uv = _in_view(faces, (tangents[0], tangents[-1]), (slopes * stretch[:, None]))
    first, last = low_and_high(uv[..., 1])
    column, item = expand(np.searchsorted(tangents, first, side="left"), np.searchsorted(tangents, last, side="right"))
    low, high = crossings(*edge_lines(uv), item, tangents[column])
    ring, pair = expand(
        np.searchsorted(slopes, low / stretch[column], side="left"),
        np.searchsorted(slopes, high / stretch[column], side="right"),
    )
    column, item = column[pair], item[pair]
    u = slopes[ring] * stretch[column]
    inverse_depth = planes[item, 0] * u + planes[item, 1] * tangents[column] + planes[item, 2]
    face, nearest = _nearest(column * len(slopes) + ring, inverse_depth, index[item], len(tangents) * len(slopes))
    u, v = slopes * stretch[:, None], tangents[:, None]
    shape = (len(tangents), len(slopes))
    distance = np.sqrt(1 + u**2 + v**2) / np.where(face < 0, 1, nearest).reshape(shape)
    return face.reshape(shape), np.where(face.reshape(shape) < 0, np.inf, distance)


def _in_view(
    faces: np.ndarray,  # [F, 4, 3] metres, view
    breadth: tuple[float, float],  # first and last tangent of the columns
    heights: np.ndarray,  # [C, E] of the rays
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The faces that turn to the sensor within a view: index [N], planes [N, 3] of inverse depth, corners [N, M, 2]."""
    lowest, highest = float(heights.min()), float(heights.max())
    front, normals, distances = facing(
        faces, np.array([lowest, breadth[0]]) - _MARGIN, np.array([highest, breadth[1]]) + _MARGIN
    )
    corners = polygons.clip(faces[front], faces[front, :, 2] - NEAR)
    uv = corners[..., :2] / corners[..., 2:]
    low, high = low_and_high(uv)
    inside = (low[:, 1] <= breadth[1]) & (high[:, 1] >= breadth[0])
    inside &= (low[:, 0] <= highest) & (high[:, 0] >= lowest)
    return front[inside], normals[inside] / distances[inside, None], uv[inside]


def _nearest(
    ray: np.ndarray,  # [P] int64
    inverse_depth: np.ndarray,  # [P] 1/m
    face: np.ndarray,  # [P]
    count: int,  # of rays
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest face [count] of every ray, -1 where it meets none, and its inverse depth [count]."""
    nearest = np.zeros(count)
    np.maximum.at(nearest, ray, inverse_depth)
    best = np.flatnonzero(inverse_depth == nearest[ray])[::-1]  # where two are equal, the first one stays
    result = np.full(count, -1)
    result[ray[best]] = face[best]
    return result, nearest
