"""The road: a curving, sloping centreline that everything on the street is placed along.

A place on the street is (station, lateral): metres along the centreline, and metres to its left (negative: right).
The street's frame is the world's, moved to the first station.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

_STEP = 0.25  # m between the tabulated points of the centreline


@dataclass(frozen=True)
class Road:
    """A centreline whose curvature and height are smooth waves of the station."""

    start: float  # station, m
    end: float  # station, m
    heading: float  # radians about z at station 0
    curvature: float  # 1/m, largest
    curve_length: float  # m, a full left and right turn
    curve_phase: float  # radians
    slope: float  # mean rise over run
    wave_height: float  # m
    wave_length: float  # m
    wave_phase: float  # radians

    @classmethod
    def random(cls, rng: np.random.Generator, *, start: float, end: float) -> "Road":
        """A gentle road: curves of 80 to 150 m radius, slopes of a few per cent."""
        return cls(
            start=start,
            end=end,
            heading=rng.uniform(-np.pi, np.pi),
            curvature=1 / rng.uniform(80.0, 150.0),
            curve_length=rng.uniform(150.0, 220.0),
            curve_phase=rng.uniform(-np.pi, np.pi),
            slope=rng.choice([-1.0, 1.0]) * rng.uniform(0.01, 0.025),
            wave_height=rng.uniform(0.05, 0.12),
            wave_length=rng.uniform(60.0, 90.0),
            wave_phase=rng.uniform(-np.pi, np.pi),
        )

    def heading_at(self, stations: np.ndarray | float) -> np.ndarray:
        """Direction of the centreline, radians about z."""
        rate = 2 * np.pi / self.curve_length
        turned = np.cos(self.curve_phase) - np.cos(rate * np.asarray(stations) + self.curve_phase)
        return self.heading + self.curvature / rate * turned

    def curvature_at(self, stations: np.ndarray | float) -> np.ndarray:
        """Signed curvature, 1/m; positive turns left."""
        return self.curvature * np.sin(2 * np.pi / self.curve_length * np.asarray(stations) + self.curve_phase)

    def slope_at(self, stations: np.ndarray | float) -> np.ndarray:
        """Rise over run; positive is uphill."""
        rate = 2 * np.pi / self.wave_length
        return self.slope + self.wave_height * rate * np.cos(rate * np.asarray(stations) + self.wave_phase)

    def height_at(self, stations: np.ndarray | float) -> np.ndarray:
        """Height of the carriageway, metres; it is level from side to side."""
        rate = 2 * np.pi / self.wave_length
        wave = np.sin(rate * np.asarray(stations) + self.wave_phase) - np.sin(self.wave_phase)
        return self.slope * np.asarray(stations) + self.wave_height * wave

    def points(self, stations: np.ndarray | float, laterals: np.ndarray | float) -> np.ndarray:
        """Points [..., 3] of the carriageway's surface, metres, from stations and laterals [...] that broadcast."""
        stations, laterals = np.broadcast_arrays(stations, laterals)
        table_stations, table_xy = self._centreline
        heading = self.heading_at(stations)
        x = np.interp(stations, table_stations, table_xy[:, 0]) - np.sin(heading) * laterals
        y = np.interp(stations, table_stations, table_xy[:, 1]) + np.cos(heading) * laterals
        return np.stack([x, y, self.height_at(stations)], axis=-1)

    def dropped(self, points: np.ndarray) -> np.ndarray:
        """Points [P, 3] moved up or down onto the carriageway's surface, metres."""
        table_stations, table_xy = self._centreline
        nearest = np.argmin(((points[:, None, :2] - table_xy) ** 2).sum(axis=-1), axis=1)
        heading = self.heading_at(table_stations[nearest])
        ahead = points[:, :2] - table_xy[nearest]
        stations = table_stations[nearest] + ahead[:, 0] * np.cos(heading) + ahead[:, 1] * np.sin(heading)
        return np.concatenate([points[:, :2], self.height_at(stations)[:, None]], axis=-1)

    @cached_property
    def _centreline(self) -> tuple[np.ndarray, np.ndarray]:
        """Stations [P] and points [P, 2] of the centreline, integrated with the midpoint rule."""
        steps = np.arange(np.floor(self.start / _STEP), np.ceil(self.end / _STEP) + 1)
        stations = steps * _STEP
        headings = self.heading_at(stations[:-1] + _STEP / 2)
        moves = _STEP * np.stack([np.cos(headings), np.sin(headings)], axis=-1)
        xy = np.concatenate([np.zeros((1, 2)), np.cumsum(moves, axis=0)])
        return stations, xy - xy[np.searchsorted(stations, 0.0)]
