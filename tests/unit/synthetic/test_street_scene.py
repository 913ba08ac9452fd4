import numpy as np
import pytest
from pydantic import ValidationError

from vsrd_ray.synthetic.rasterizer import rasterize
from vsrd_ray.synthetic.settings import StreetSettings
from vsrd_ray.synthetic.street import Street, build_street, camera_matrix
from vsrd_ray.synthetic.views import LEFT, Cameras

SMALL = StreetSettings(frames=30, image_size=(352, 94))


@pytest.fixture(scope="module")
def small() -> Street:
    return build_street(SMALL)


def test_every_class_may_have_all_its_ids() -> None:
    StreetSettings(cars=900, moving=99, trucks=999, buses=999, caravans=999, trailers=999)


@pytest.mark.parametrize("seed", range(5))
def test_the_camera_looks_down_and_rolls(seed: int) -> None:
    street = build_street(StreetSettings(seed=seed))
    rotations = street.T_street_cam[:, :3, :3]
    assert np.swapaxes(rotations, 1, 2) @ rotations == pytest.approx(np.broadcast_to(np.eye(3), (60, 3, 3)), abs=1e-12)
    assert np.linalg.det(rotations) == pytest.approx(1.0)
    stations = 0.9 * np.arange(60)
    pitch = np.degrees(np.arcsin(rotations[:, 2, 2]) - np.arctan(street.road.slope_at(stations)))
    roll = np.degrees(np.arcsin(rotations[:, 2, 0]))
    assert ((pitch > -6.5) & (pitch < -4)).all()
    assert 0.5 < abs(roll.mean()) < 1.7
    above = street.T_street_cam[:, 2, 3] - street.road.dropped(street.T_street_cam[:, :3, 3])[:, 2]
    assert above == pytest.approx(1.55, abs=0.05)


def test_the_world_begins_far_away(small: Street) -> None:
    assert np.linalg.norm(small.origin_world) > 2000
    offset = small.T_world_cam[:, :3, 3] - small.T_street_cam[:, :3, 3]
    assert offset == pytest.approx(np.broadcast_to(small.origin_world, (30, 3)))
    assert (small.T_world_cam[:, :3, :3] == small.T_street_cam[:, :3, :3]).all()


def test_intrinsics_follow_the_image_size() -> None:
    K = camera_matrix((704, 188))
    assert K[0, 0] == K[1, 1] == pytest.approx(552.554261 / 2)
    assert K[:2, 2] == pytest.approx([682.049453 / 2, 238.769549 / 2])


@pytest.mark.parametrize("frame", [0, 12, 25])
def test_every_pixel_shows_the_nearest_thing(small: Street, frame: int) -> None:
    """Each car drawn alone: where several things meet, the map names the one of the smallest depth."""
    instance_map = Cameras(small)[LEFT].render(frame).instance_map
    mesh, T_street_cam = small.mesh_at(frame), small.T_street_cam[frame]
    faces_cam = (mesh.faces - T_street_cam[:3, 3]) @ T_street_cam[:3, :3]
    labels = np.unique(mesh.ids)
    alone = [rasterize(faces_cam[mesh.ids == label], small.K, SMALL.image_size).inverse_depth for label in labels]
    nearest = np.where(np.max(alone, axis=0) > 0, labels[np.argmax(alone, axis=0)], 23000)
    assert (instance_map == nearest).mean() > 0.9999
    hidden = sum(((layer > 0) & (instance_map != label)).sum() for label, layer in zip(labels, alone, strict=True))
    assert hidden > 500  # things do hide one another here


def test_poles_and_plants_cut_masks() -> None:
    cut = {17000: 0, 21000: 0}
    for seed in range(3):
        street = build_street(SMALL.model_copy(update={"seed": seed}))
        camera = Cameras(street)[LEFT]
        for frame in range(0, 30, 5):
            instance_map = camera.render(frame).instance_map
            is_car = instance_map // 1000 == 26
            for label in cut:
                beside = (instance_map[:, 1:-1] == label) & (is_car[:, :-2] | is_car[:, 2:])
                cut[label] += int(beside.sum())
    assert cut[17000] > 100
    assert cut[21000] > 100


def test_images_have_sky_above_and_shadows_below(small: Street) -> None:
    view = Cameras(small)[LEFT].render(10)
    image, instance_map = view.image, view.instance_map
    sky = image[instance_map == 23000].mean(axis=0)
    assert sky[2] > sky[0] > 80
    road = image[instance_map == 7000].mean(axis=1)
    assert np.percentile(road, 2) < 0.75 * np.median(road)


def test_a_frame_does_not_depend_on_the_frames_before_it(small: Street) -> None:
    camera = Cameras(small)[LEFT]
    images = [camera.render(frame).image for frame in (3, 4, 5)]
    alone = Cameras(build_street(SMALL))[LEFT].render(5).image
    assert (images[2] == alone).all()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"frames": 0}, "frames"),
        ({"cars": 600, "moving": 400}, "at most 999"),
        ({"trucks": 1000}, "trucks must be at most 999, got 1000"),
        ({"trailers": 1200}, "trailers must be at most 999, got 1200"),
        ({"buses": -1}, "buses"),
        ({"image_size": (16, 376)}, "image_size"),
        ({"mask_noise": -1.0}, "mask_noise"),
        ({"sequence": "drive_1"}, "sequence"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_settings_that_make_no_street_are_refused(values: dict[str, object], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        StreetSettings.model_validate(values)
