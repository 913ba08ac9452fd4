"""Depth from a run of density, and classes from a segmenter."""

import shutil

import numpy as np
import pytest
import tiny_models
from scipy import ndimage
from toy_runs import MIDDLE, SEQUENCE, STREET, label, row_of

pytest.importorskip("numba", reason="walks through voxels are compiled by numba")

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.labelers.occupancy.config import OccupancyConfig
from vsrd_ray.labelers.occupancy.inputs import RawView, _image
from vsrd_ray.labelers.occupancy.semantics import PixelClasses, city_ids
from vsrd_ray.labels.depth.schema import DepthMap
from vsrd_ray.labels.voxels.classes import NO_LABEL, OCC3D
from vsrd_ray.labels.voxels.schema import OCCUPIED, decoded
from vsrd_ray.perception.base import Detections
from vsrd_ray.synthetic import synthesize


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """A street, and the density and depth of its front camera, by its depth maps, at half the size."""
    folder = tmp_path_factory.mktemp("inputs")
    synthesize(folder / "street", STREET)
    quick = ("--set", "depth=given", "--set", "steps=0", "--set", "image_width=176", "--set", "voxel_size=0.4")
    result = label(folder / "street", folder / "density", *quick, config="density")
    assert result.exit_code == 0, result.output
    return folder


def test_depth_of_a_run(street, tmp_path):
    root = tmp_path / "street"
    shutil.copytree(street / "street", root)
    own = ("--set", "depth=maps", "--set", "error=0")
    assert label(root, tmp_path / "own", *MIDDLE, *own).exit_code == 0
    shutil.rmtree(root / "data_2d_depth")
    given = label(root, tmp_path / "given", *MIDDLE, *own, "--depth", street / "density")
    assert given.exit_code == 0, given.output
    mine, theirs = (decoded(row_of(tmp_path / name)).semantics for name in ("own", "given"))
    for name, least in (("driveable_surface", 0.9), ("manmade", 0.6)):  # the field's voxels are as large as these
        one, other = mine == OCC3D.names.index(name), theirs == OCC3D.names.index(name)
        assert other.sum() > 300 and (ndimage.binary_dilation(one) & other).sum() > least * other.sum()


def test_maps_of_another_size_keep_their_places():
    """Each pixel of the map tells its own place, at half the size of a class map that is read at every second pixel."""
    K = np.array([[100.0, 0, 99.5], [0, 100.0, 49.5], [0, 0, 1]])
    half = np.diag([0.5, 0.5, 1.0])
    half[:2, 2] = -0.25
    v, u = np.mgrid[:50, :100]
    one = DepthMap(0, "image_00", half @ K, np.eye(4), (1000 + u + 100 * v).astype(np.float32), v * 0.0, v * 0.0)
    view = RawView(0, K, np.eye(4), np.zeros((100, 200), np.uint8), one)
    image = _image(view, np.full((100, 200), 11, np.uint8), OccupancyConfig(rays_a_view=5000))
    assert image.depth.shape == (50, 100)
    np.testing.assert_array_equal(image.depth, one.depth)


def test_runs_of_depth_that_cannot_be_used(street, tmp_path):
    root = street / "street"
    assert label(root, tmp_path / "voxels", *MIDDLE).exit_code == 0
    for options, said in (
        (("--depth", tmp_path / "voxels"), "--depth"),
        (("--depth", tmp_path / "none"), "no run in"),
        (("--depth", street / "density", "--set", "depth=lidar"), "leaves all maps out"),
    ):
        result = label(root, tmp_path / "labels", *MIDDLE, *options)
        assert result.exit_code == 2 and said in result.output, result.output
        assert not (tmp_path / "labels").exists()


def test_a_tiny_segmenter_runs_whole(street, tmp_path):
    folder = tiny_models.mask2former(tmp_path / "model")
    root = tmp_path / "street"
    shutil.copytree(street / "street", root)
    shutil.rmtree(paths.semantic_folder(root, SEQUENCE, "image_00"))
    options = ("--set", f"segmenter={folder}", "--set", "depth=maps", "--set", "names={person: sidewalk}")
    for output in ("once", "again"):
        result = label(root, tmp_path / output, *MIDDLE, *options)
        assert result.exit_code == 0, result.output
    files = [next((tmp_path / output / "voxels").rglob("*.parquet")).read_bytes() for output in ("once", "again")]
    assert files[0] == files[1]
    voxels = decoded(row_of(tmp_path / "once"))
    assert (voxels.state == OCCUPIED).sum() > 100  # depth alone tells that
    assert not set(np.unique(voxels.semantics)) - {2, 3, 4, 10, 13, 17, NO_LABEL}
    for more, said in (
        (("--set", "names={lorry: truck}"), "gives no such name"),
        (("--set", "names={person: pavement}"), "pavement is no class of Cityscapes"),
        (("--set", "segmenter=/nowhere"), "no such folder"),
    ):
        refused = label(root, tmp_path / "refused", *MIDDLE, *options[:4], *more)
        assert refused.exit_code == 2 and said in " ".join(refused.output.split()), refused.output


class Painter:
    """A segmenter that finds what it is told to."""

    labels = ("traffic-sign", "Road", "SKY", "car", "dog")

    def __init__(self, found):
        self.found = found

    def segment(self, images, *, min_score, wanted):
        assert set(wanted) == set(self.labels) - {"dog"}
        return [self.found]


def test_pixels_take_the_class_of_the_likeliest(monkeypatch):
    masks = np.zeros((3, 4, 6), dtype=bool)
    masks[0, 1:3, 2:4], masks[1, 2:], masks[2, :2] = True, True, True
    found = Detections(masks, ("car", "Road", "SKY"), np.array([0.9, 0.8, 0.7], dtype=np.float32))
    monkeypatch.setattr("vsrd_ray.labelers.occupancy.semantics.load_segmenter", lambda *_: Painter(found))
    classes = PixelClasses("any", {}, OCC3D, "cpu").of(np.zeros((4, 6, 3), dtype=np.uint8))
    expected = np.full((4, 6), OCC3D.of_city[23], dtype=np.uint8)
    expected[2:] = 11
    expected[1:3, 2:4] = 4
    np.testing.assert_array_equal(classes, expected)


def test_names_that_nobody_knows():
    assert city_ids(("traffic_light", "Rider", "cat"), {"cat": "car"}) == {"traffic_light": 19, "Rider": 25, "cat": 26}
    with pytest.raises(InputError, match="are none of Cityscapes'"):
        city_ids(("cat", "dog"), {})
