"""Which bodies move, and how: cars that drive by hand, seen by a camera that drives too.

All scenes are of one camera's way, so that the bodies of all can be fitted at once.
"""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from builders import with_maps
from hand_made import Thing, make_scenes
from hand_made_bodies import CONFIG, SETTINGS, SOFTNESS
from hand_made_drives import POSES, SHARP, TIMES, car, driven, motions_of, observed, road, scenes_of, speeds_of

from vsrd_ray.geometry.boxes import wrap_angle
from vsrd_ray.labelers.vsrd import movers
from vsrd_ray.labelers.vsrd.bodyfit import fit_bodies
from vsrd_ray.labelers.vsrd.movers import (
    Motions,
    _driven,
    _first_places,
    _roughness,
    _starts,
    _suspects,
    common_inset,
    find_road,
    fit_motions,
)
from vsrd_ray.labelers.vsrd.observations import stacked

DRIVING = {
    "drives ahead": driven(car(12, 0.3, 0.02), speed=7),
    "comes along": driven(car(48, 3.4, np.pi - 0.03, 1), speed=8),
    "turns": driven(car(24, -5, 0.9, 2), speed=4, curvature=0.06),
    "brakes": driven(car(10, 0.2, 0.0, 3), speed=9, braking=4.0),
    "backs out": driven(car(26, -2, 1.4), speed=-2.5),
    "comes from afar": driven(car(62, 3.4, np.pi, 1), speed=10),
}
SLAB = Thing(12001, (17.5, 2.6, 1.0), 0.0, (0.3, 0.7, 2.0))
PARKED = {
    "stands": scenes_of(car(24, 3, 0.1, 1)),
    "stands behind a slab": scenes_of(car(24, 3, 0.1, 1), SLAB),
    "stands across": scenes_of(car(27, -4.5, 1.5, 4)),
    "stands with a ragged mask": scenes_of(car(24, 3, 0.1, 1)),
}
NAMES = [*DRIVING, *PARKED]


def ragged(maps, *, most=2):
    """Rows of instance maps [V, H, W] moved by some pixels each, as bad masks are."""
    rng = np.random.default_rng(0)
    return np.stack([[np.roll(row, rng.integers(-most, most + 1)) for row in instances] for instances in maps])


def observations_of(name):
    if name in DRIVING:
        return observed(scenes_of(DRIVING[name]))
    group = make_scenes(PARKED[name], POSES, labelled=(26001,), times_s=TIMES, **SHARP)
    if "ragged" in name:
        group = with_maps(group, ragged(group.instance_maps))
    return observed(None, group=group)


@dataclass(frozen=True)
class Found:
    """All scenes, and what comes of them at once."""

    observations: object
    expectations: object
    standing: object
    motions: Motions
    T_world_ref: np.ndarray

    def row(self, name):
        return self.motions.places.tolist().index(NAMES.index(name))

    def in_world(self, name):
        """Centres [V, 3], yaws [V] and velocities [V, 3] of one that moves."""
        centers, yaws, velocities = self.motions.at(self.row(name), TIMES)
        R_world_ref = self.T_world_ref[:3, :3]
        forward = np.stack([np.sin(yaws), np.zeros_like(yaws), np.cos(yaws)], axis=-1) @ R_world_ref.T
        yaws = np.arctan2(forward[:, 1], forward[:, 0])
        return centers @ R_world_ref.T + self.T_world_ref[:3, 3], yaws, velocities @ R_world_ref.T


@pytest.fixture(scope="module")
def found():
    built = [observations_of(name) for name in NAMES]
    observations, expectations = (stacked(parts) for parts in list(zip(*built, strict=True))[:2])
    motions, standing = motions_of(observations, expectations, road())
    return Found(observations, expectations, standing, motions, built[0][2])


def alone(found, name, **settings):
    """The motions of one scene by itself."""
    n = NAMES.index(name)
    parts = (found.observations, found.expectations, found.standing)
    return fit_motions(
        *(rows.part(slice(n, n + 1)) for rows in parts),
        ground=road(),
        inset=0.0,
        start=SETTINGS,
        settings=CONFIG.motion.model_copy(update=settings),
        softness=SOFTNESS,
    )


@pytest.mark.parametrize(
    ("name", "metres", "degrees", "speed"),
    [
        ("drives ahead", 0.6, 2, 0.4),
        ("comes along", 1.0, 3, 0.6),
        ("turns", 0.6, 9, 0.6),
        ("brakes", 1.0, 3, 1.0),
        ("backs out", 0.7, 4, 0.5),
        ("comes from afar", 3.5, 4, 1.2),
    ],
)
def test_cars_that_drive_are_followed(found, name, metres, degrees, speed):
    """At all times that show them: where they are, where they head, how fast they are, and how large."""
    truth, seen = DRIVING[name], found.observations.seen[NAMES.index(name)].numpy()
    centers, yaws, velocities = found.in_world(name)
    distances = np.linalg.norm(centers - [thing.center_world for thing in truth], axis=-1)
    turns = np.rad2deg(np.abs(wrap_angle(yaws - np.array([thing.yaw_world for thing in truth]))))
    off = np.linalg.norm(velocities[:, :2] - speeds_of(truth), axis=-1)
    assert distances[seen].max() < metres
    assert turns[seen].max() < degrees  # front and rear are told apart
    assert off[seen].max() < speed
    half_extents = found.motions.fit.half_extents[found.row(name)]
    np.testing.assert_allclose(2 * half_extents[[2, 0, 1]], truth[0].dimensions_lwh, atol=0.55)
    assert found.motions.fit.misfits[found.row(name)] < CONFIG.motion.max_misfit / 2


@pytest.mark.parametrize("name", PARKED)
def test_cars_that_stand_are_not_given_a_motion(found, name):
    """Not even if all are tried as if they had fitted badly."""
    assert NAMES.index(name) not in found.motions.places
    assert alone(found, name, min_misfit=0.0).places.tolist() == []


def test_ragged_and_hidden_masks_are_what_they_say(found):
    free, hidden, uneven = (
        NAMES.index(name) for name in ("stands", "stands behind a slab", "stands with a ragged mask")
    )
    assert found.observations.hidden[hidden].float().mean() > 0.05 > found.observations.hidden[free].float().mean()
    assert found.standing.misfits[uneven] > 1.3 * found.standing.misfits[free]


def test_what_brakes_comes_to_a_stop(found):
    _, _, velocities = found.in_world("brakes")
    speeds = np.linalg.norm(velocities[:, :2], axis=-1)
    assert speeds[0] > 7.5 and speeds[-1] < 1


def test_what_backs_out_heads_against_its_way(found):
    _, yaws, velocities = found.in_world("backs out")
    along = velocities[:, 0] * np.cos(yaws) + velocities[:, 1] * np.sin(yaws)
    assert along.max() < -1.5


def test_motions_are_those_of_the_fit_in_the_middle(found):
    """Places and headings are told of the middle of the time that shows a body."""
    for row, place in enumerate(found.motions.places.tolist()):
        times = found.observations.times[place][found.observations.seen[place]]
        (center,), (yaw,), _ = found.motions.at(row, np.array([float(times.min() + times.max()) / 2]))
        np.testing.assert_allclose(center, found.motions.fit.locations[row], atol=1e-4)
        assert yaw == pytest.approx(found.motions.fit.yaws[row].item(), abs=1e-5)


@pytest.mark.parametrize("name", ["drives ahead", "backs out"])
def test_motions_are_independent_of_their_company(found, name):
    ours, row = alone(found, name), found.row(name)
    assert ours.places.tolist() == [0]
    for values, others in zip(ours.at(0, TIMES), found.motions.at(row, TIMES), strict=True):
        np.testing.assert_allclose(values, others, rtol=0, atol=5e-3)
    assert ours.fit.costs[0].item() == pytest.approx(found.motions.fit.costs[row].item(), rel=1e-3)


def test_two_fits_are_equal_to_the_last_bit(found):
    first, again = (alone(found, "turns") for _ in range(2))
    assert torch.equal(first.places, again.places)
    for rows in ("fit", "timeline"):
        pairs = zip(getattr(first, rows).tensors(), getattr(again, rows).tensors(), strict=True)
        assert all(torch.equal(*pair) for pair in pairs)


@pytest.mark.parametrize("views", [0, 1])
def test_what_has_a_view_or_none_is_left_alone(found, views):
    n = NAMES.index("drives ahead")
    observations = found.observations.part(slice(n, n + 1))
    seen = torch.zeros_like(observations.seen)
    seen[:, 3 : 3 + views] = True
    observations = replace(observations, seen=seen, sampled=observations.sampled & seen[..., None])
    motions, standing = motions_of(observations, found.expectations.part(slice(n, n + 1)), road())
    assert motions.places.tolist() == []
    standing = replace(standing, misfits=torch.full_like(standing.misfits, 9.0))
    assert _suspects(observations, standing, road(), SETTINGS, CONFIG.motion).tolist() == []


def test_an_empty_group_has_no_motions(found):
    none = (rows.part(slice(0)) for rows in (found.observations, found.expectations, found.standing))
    motions = fit_motions(*none, ground=road(), inset=0.0, start=SETTINGS, settings=CONFIG.motion, softness=SOFTNESS)
    assert len(motions.places) == 0 and motions.to("cpu").fit.locations.shape == (0, 3)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("max_misfit", 0.01), ("min_gain", 1e4), ("min_ratio", 1e4), ("min_way", 100.0), ("min_speed", 99.0)],
)
def test_each_setting_can_keep_a_body_still(found, setting, value):
    assert alone(found, "turns", **{setting: value}).places.tolist() == []


def test_bodies_are_tried_that_fit_badly_or_stand_off_the_road(found):
    """What comes along looks much like a car that stands nearer, up in the air."""
    standing, n = found.standing, NAMES.index("comes along")
    height, _, _ = road().at(standing.locations[:, [0, 2]])
    above = height - standing.locations[:, 1] - standing.half_extents[:, 1]
    assert above[n] > 0.6
    for metres, min_misfit, expected in ((above, 100.0, []), (above - 0.4, 100.0, [0]), (above, 0.0, [0])):
        lowered = standing.locations + metres[:, None] * torch.tensor([0.0, 1.0, 0.0])
        moved = replace(found, standing=replace(standing, locations=lowered))
        assert alone(moved, "comes along", min_misfit=min_misfit).places.tolist() == expected


def test_first_places_are_near(found):
    observations, expectations = found.observations, found.expectations
    places, spreads = _first_places(observations, expectations, road())
    for name, things in DRIVING.items():
        n = NAMES.index(name)
        truth = np.array([thing.center_world for thing in things]) - found.T_world_ref[:3, 3]
        truth = truth @ found.T_world_ref[:3, :3]
        seen = (observations.seen[n] & observations.trusted_sides[n].all(dim=-1)).numpy()
        off = np.linalg.norm(places[n].numpy() - truth, axis=-1)[seen]
        distances = np.linalg.norm(truth - road().way[1:-1].numpy()[: len(truth)], axis=-1)[seen]
        assert (off < 0.4 + 0.05 * distances).all(), name
        assert (spreads[n].numpy()[seen] < 0.3 * distances).all(), name


def test_first_motions_are_forwards_and_backwards_along_the_way(found):
    """Of what turns left: its speed is 4 m/s, its curvature .06 / m, and its heading in the middle .9 + .36."""
    n = NAMES.index("turns")
    parts = [rows.part(slice(n, n + 1)) for rows in (found.observations, found.expectations)]
    timeline = found.motions.timeline.part(slice(found.row("turns"), found.row("turns") + 1))
    forwards, backwards = _starts(*parts, road(), timeline, SETTINGS)[:, 0]
    knots = timeline.hats.shape[-1]
    speeds, curvatures, slopes = forwards[-3 * knots :].chunk(3)
    assert (speeds - 4).abs().max() < 1.5
    assert (curvatures + 0.06).abs().max() < 0.06  # which is negative where yaws are about y, down
    assert torch.equal(backwards[-3 * knots :], -forwards[-3 * knots :]) and (slopes == 0).all()
    yaw = forwards[-3 * knots - 1].item()
    assert abs(wrap_angle(yaw - (np.pi / 2 - 1.26 - np.pi / 2))) < 0.25
    assert backwards[-3 * knots - 1].item() == pytest.approx(yaw + np.pi)


def test_speeds_and_curvatures_of_a_circle():
    """8 m/s around 20 m to the right, told from velocities at five knots in 4 s."""
    angles = 0.4 * torch.linspace(-2, 2, 5) + 0.3
    velocities = 8 * torch.stack([angles.sin(), torch.zeros(5), angles.cos()], dim=-1)
    speeds, yaw, curvatures = _driven(velocities, 4.0)
    torch.testing.assert_close(speeds, torch.full((5,), 8.0))
    assert yaw.item() == pytest.approx(0.3)
    torch.testing.assert_close(curvatures, torch.full((5,), 0.05))


def test_what_hardly_moves_turns_no_tighter_than_cars_can():
    velocities = torch.tensor([[0.01, 0.0, 0.0], [0.0, 0.0, 0.01], [-0.01, 0.0, 0.0]])
    _, _, curvatures = _driven(velocities, 3.0)
    assert curvatures.abs().max() <= 0.15


def test_the_road_is_found_by_the_feet_of_those_that_are_trusted(found):
    """All cars by hand stand on one plane, 1.6 m below the camera; those that fit none are not asked."""
    way = road().way[1:-1] - torch.tensor([0.0, 1.6, 0.0])
    stands = torch.tensor([name in PARKED for name in NAMES])
    ground = find_road(found.standing, trusted=stands, way=way)
    height, _, spread = ground.at(torch.tensor([0.0, 8.0]))
    assert height.item() == pytest.approx(1.6, abs=0.08) and spread < 0.1
    none = find_road(found.standing, trusted=torch.zeros_like(stands), way=way)
    assert none.spread > ground.spread
    sunk = replace(found.standing, locations=found.standing.locations + torch.tensor([0.0, 0.3, 0.0]))
    assert find_road(sunk, trusted=stands, way=way).at(torch.tensor([0.0, 8.0]))[0] > height + 0.2


def test_fits_of_standing_bodies_know_no_motion(found):
    n = NAMES.index("stands")
    parts = found.observations.part(slice(n, n + 1)), found.expectations.part(slice(n, n + 1))
    assert fit_bodies(*parts, SETTINGS, softness=SOFTNESS).motion.shape == (1, 0)
    assert found.motions.fit.motion.shape[1] == found.motions.timeline.num_motion > 0


@pytest.mark.parametrize(
    ("misfits", "roughness"),
    [
        ([0.9, 0.9, 0.9], 2.0),
        ([0.3, 0.4, 0.2], 1.0),
        ([0.4, 0.4, 0.4, 9.0], 1.0),  # one that is off for a reason of its own
        ([0.9, 0.9], 1.0),  # too few to tell
        ([0.9, 0.9, 0.0, 0.0], 1.0),  # without points of their own
        ([9.0, 9.0, 9.0], 3.0),
    ],
)
def test_outlines_are_rough_where_most_bodies_are_off_them(misfits, roughness):
    assert _roughness(torch.tensor(misfits)) == pytest.approx(roughness)


def test_the_edges_of_masks_are_those_of_the_bodies_that_are_trusted(found):
    standing = replace(found.standing, insets=torch.arange(len(found.standing.insets), dtype=torch.float32))
    trusted = standing.insets < 3
    assert common_inset(standing, trusted=trusted) == 1.0
    assert common_inset(standing, trusted=trusted & False) == 0.0


def test_what_is_seen_too_seldom_gets_no_motion(found, monkeypatch):
    """Its views are .4 s apart."""
    assert len(alone(found, "turns").places) == 1
    monkeypatch.setattr(movers, "_LONGEST_GAP", 0.05)
    assert len(alone(found, "turns").places) == 0
