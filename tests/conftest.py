"""Fixtures that the whole suite shares."""

import logging
import os
import shutil
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ["RAY_AUTH_MODE"] = "disabled"  # read when Ray is imported
# Ray gives way to whatever else computes, and then waits for workers that tests beside it keep from starting.
os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - its own spelling
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # an actor less on every Ray, and nothing sent
# Read when NumPy and torch are imported: more threads than cores make small fits slow, and end in other last bits.
os.environ["OMP_NUM_THREADS"] = "1"

import cv2
import hypothesis
import lanes
import numpy as np
import pytest

from vsrd_ray.datasets.kitti360 import paths

# Machines are shared, so nothing depends on time; and each run tries the same examples, so none fails by chance.
UNHURRIED = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=UNHURRIED)
hypothesis.settings.load_profile("steady")

REPOSITORY = Path(__file__).resolve().parents[1]
# Builders, and slow and obvious twins, are imported by their module names.
sys.path[:0] = [str(REPOSITORY / "tests"), str(REPOSITORY / "tests" / "reference")]

BROWSER = REPOSITORY / "tests" / "browser"
SEQUENCE = "2013_05_28_drive_0042_sync"
CALIBRATION = """calib_time: 17-Feb-2016 14:23:48
S_rect_00: {width} {height}
P_rect_00: 50.0 0.0 10.0 0.0 0.0 40.0 8.0 0.0 0.0 0.0 1.0 0.0
S_rect_01: {width} {height}
P_rect_01: 50.0 0.0 10.0 -30.0 0.0 40.0 8.0 0.0 0.0 0.0 1.0 0.0
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What waits for other processes has one more try, which the summary tells of; all else has to pass at once."""
    for item in items:
        if item.get_closest_marker("ray") or BROWSER in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1))
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: lanes.place(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return lanes.scheduler(config, log)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder `shared` beside the repository: reference figures and real sequences, read in place."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no folder 'shared' beside the repository, which holds the reference data of this test")
    return folder


@pytest.fixture
def write_sequence(tmp_path: Path) -> Callable[..., Path]:
    """Writes a tiny KITTI-360 root with the given instance maps and returns it."""

    def write(
        instance_maps: dict[int, np.ndarray],  # frame -> [H, W] uint16
        poses: dict[int, np.ndarray] | None = None,  # frame -> T_world_cam0 [4, 4]; unit matrices by default
        camera: str = "image_00",
    ) -> Path:
        root = tmp_path / "kitti360"
        height, width = next(iter(instance_maps.values())).shape
        poses = dict.fromkeys(instance_maps, np.eye(4)) if poses is None else poses
        lines = (f"{frame} {' '.join(map(repr, pose.ravel().tolist()))}\n" for frame, pose in poses.items())
        for path, text in (
            (paths.calibration_file(root), CALIBRATION.format(width=width, height=height)),
            (paths.poses_file(root, SEQUENCE), "".join(lines)),
        ):
            path.parent.mkdir(parents=True)
            path.write_text(text)
        paths.mask_folder(root, SEQUENCE, camera).mkdir(parents=True)
        for frame, instance_map in instance_maps.items():
            assert cv2.imwrite(str(paths.mask_file(root, SEQUENCE, camera, frame)), instance_map.astype(np.uint16))
        return root

    return write


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """A Ray of two cores for the whole session, so that each labelling run need not start its own.

    Modules that use it, or what it labelled, share a lane in lanes.py.
    """
    from vsrd_ray.engines.ray_data.session import ray_session
    from vsrd_ray.pipeline.pool import Machines, Node

    with ray_session(Machines(present=(Node(cpus=2, gpus=0),), is_local=True)):
        yield


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The endpoint of an S3 server on the loopback, which the environment names for this session.

    A Ray that is to reach it has to be started after it.
    """
    pytest.importorskip("s3fs", reason="no s3fs: pip install 'vsrd-ray[test]'")
    servers = pytest.importorskip("moto.server", reason="no moto: pip install 'vsrd-ray[test]'")
    server = servers.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }.items():
            environment.setenv(name, value)
        yield os.environ["AWS_ENDPOINT_URL"]
    server.stop()


@pytest.fixture
def s3(s3_server: str) -> str:
    """URI of a bucket of this test's own."""
    from vsrd_ray.storage import open_location

    uri = f"s3://bucket-{uuid.uuid4().hex}"
    bucket = open_location(uri)
    bucket.fs.mkdir(bucket.path)
    return uri


@pytest.fixture(scope="session")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ROOT with a short drive past a few cars, 24 frames of 352 x 96 px; read it, do not change it."""
    from vsrd_ray.synthetic import StreetSettings, synthesize

    root = tmp_path_factory.mktemp("street")
    synthesize(root, StreetSettings(frames=24, cars=6, image_size=(352, 96), seed=3))
    return root


@pytest.fixture
def root(street: Path, tmp_path: Path) -> Path:
    """A copy of the street to spoil."""
    return shutil.copytree(street, tmp_path / "root", copy_function=shutil.copy2)


@pytest.fixture(scope="session")
def files_in() -> Callable[..., dict[str, bytes]]:
    """Reads whole folders: relative path -> bytes."""

    def read(output: Path, *folders: str) -> dict[str, bytes]:
        files = [path for folder in folders for path in sorted((output / folder).rglob("*")) if path.is_file()]
        return {str(path.relative_to(output)): path.read_bytes() for path in files}

    return read


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Takes back where a command sends its messages."""
    yield
    package = logging.getLogger("vsrd_ray")
    package.handlers = []
    package.setLevel(logging.NOTSET)
