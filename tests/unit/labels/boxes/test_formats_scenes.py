"""OpenLABEL and MCAP, read back by readers of these formats that are not ours."""

import numpy as np
import pyarrow.compute as pc
import pytest
from scipy.spatial.transform import Rotation

from vsrd_ray.datasets.kitti360 import paths
from vsrd_ray.errors import InputError
from vsrd_ray.labels.boxes.formats.export import export
from vsrd_ray.storage.atomic import write_parquet

SEQUENCE = "2013_05_28_drive_0042_sync"
FRAMES = (1, 2, 3, 5)
LABELS = f"labels/sequence={SEQUENCE}/a.parquet"


def frame_rows(run, frame):
    return run.rows.filter(np.asarray(run.rows["frame"]) == frame)


def test_openlabel_comes_back_and_follows_its_schema(moving_run, timed, poses, same_boxes, tmp_path):
    core = pytest.importorskip("vcd.core", reason="no vcd: pip install 'vsrd-ray[test]'")
    export(moving_run.output, moving_run.root, tmp_path / "ol", format="openlabel")
    labels = core.OpenLABEL()
    labels.load_from_file(str(tmp_path / "ol" / f"{SEQUENCE}.json"), validation=True)
    content = labels.data["openlabel"]
    assert content["frame_intervals"] == [{"frame_start": 1, "frame_end": 3}, {"frame_start": 5, "frame_end": 5}]
    assert {number: thing["type"] for number, thing in content["objects"].items()} == {
        "26001": "car", "26002": "car", "26003": "car", "27001": "truck"
    }  # fmt: skip
    for frame in FRAMES:
        entry = content["frames"][frame]
        (transform,) = entry["frame_properties"]["transforms"].values()
        np.testing.assert_allclose(
            np.reshape(transform["transform_src_to_dst"]["matrix4x4"], (4, 4)), poses[frame], atol=1e-12
        )
        assert float(entry["frame_properties"]["timestamp"]) == pytest.approx(frame / 10)
        boxes = np.array([entry["objects"][number]["object_data"]["cuboid"][0]["val"] for number in content["objects"]])
        yaws = Rotation.from_quat(boxes[:, 3:7]).as_euler("zyx")[:, 0]
        same_boxes(frame_rows(moving_run, frame), boxes[:, :3], boxes[:, 7:], yaws, atol=1e-9)
    (moving,) = content["frames"][1]["objects"]["26003"]["object_data"]["cuboid"]
    attributes = {one["name"]: one["val"] for values in moving["attributes"].values() for one in values}
    row = frame_rows(moving_run, 1).to_pylist()[2]
    assert attributes["velocity_world"] == [row["velocity_x_world"], row["velocity_y_world"]]
    assert (attributes["is_moving"], attributes["confidence"]) == (True, row["confidence"])


def messages(path):
    """{(topic, frame): message} of a recording whose times are tenths of a second."""
    reader = pytest.importorskip("mcap.reader", reason="no mcap: pip install 'vsrd-ray[mcap]'")
    decoder = pytest.importorskip("mcap_protobuf.decoder", reason="no mcap: pip install 'vsrd-ray[mcap]'")
    with path.open("rb") as file:
        read = reader.make_reader(file, decoder_factories=[decoder.DecoderFactory()])
        return {
            (channel.topic, round(message.log_time / 1e8)): (schema.name, content)
            for schema, channel, message, content in read.iter_decoded_messages()
        }


def test_mcap_comes_back_with_the_schemas_of_foxglove(run, poses, same_boxes, tmp_path):
    image = paths.image_file(run.root, SEQUENCE, "image_00", 2)
    image.parent.mkdir(parents=True)
    image.write_bytes(b"\x89PNG some pixels")
    export(run.output, run.root, tmp_path / "mc", format="mcap")
    found = messages(tmp_path / "mc" / f"{SEQUENCE}.mcap")
    origin = poses[1][:3, 3]
    assert {topic for topic, _ in found} == {"/tf", "/image_00/calibration", "/image_00/image", "/labels"}
    assert [frame for topic, frame in found if topic == "/image_00/image"] == [2]
    assert found["/image_00/image", 2][1].data == image.read_bytes()
    for frame in FRAMES:
        name, scene = found["/labels", frame]
        assert name == "foxglove.SceneUpdate"
        cubes = [entity.cubes[0] for entity in scene.entities]
        places = np.array([[getattr(cube.pose.position, axis) for axis in "xyz"] for cube in cubes]) + origin
        sizes = np.array([[getattr(cube.size, axis) for axis in "xyz"] for cube in cubes])
        turns = [[getattr(cube.pose.orientation, axis) for axis in "xyzw"] for cube in cubes]
        same_boxes(frame_rows(run, frame), places, sizes, Rotation.from_quat(turns).as_euler("zyx")[:, 0])
        assert [entity.id for entity in scene.entities] == ["26001", "26002", "26003", "27001"]
        _, pose = found["/tf", frame]
        turn = Rotation.from_quat([getattr(pose.rotation, axis) for axis in "xyzw"]).as_matrix()
        np.testing.assert_allclose(turn, poses[frame][:3, :3], atol=1e-9)
    _, calibration = found["/image_00/calibration", 1]
    assert (calibration.width, calibration.height, calibration.K[0]) == (80, 60, calibration.P[0])


def test_boxes_that_are_gone_are_taken_out_of_the_scene(run, tmp_path):
    rows = run.rows.filter(~((pc.field("frame") == 3) & (pc.field("instance_id") == 26002)))
    write_parquet(rows, run.output / LABELS)
    export(run.output, run.root, tmp_path / "mc", format="mcap")
    found = messages(tmp_path / "mc" / f"{SEQUENCE}.mcap")
    shown: set[str] = set()
    for frame in FRAMES:
        _, scene = found["/labels", frame]
        now = {entity.id for entity in scene.entities}
        assert {one.id for one in scene.deletions} == shown - now
        shown = now
    assert [one.id for frame in FRAMES for one in found["/labels", frame][1].deletions] == ["26002"]


def test_mcap_without_its_packages_says_what_to_install(run, tmp_path, monkeypatch):
    monkeypatch.setattr("vsrd_ray.labels.boxes.formats.mcap.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'vsrd-ray\[mcap\]'"):
        export(run.output, run.root, tmp_path / "mc", format="mcap")
    assert not (tmp_path / "mc").exists()
