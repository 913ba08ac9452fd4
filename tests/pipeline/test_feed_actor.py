"""A feed in its actor, and the source that draws from it."""

import pytest
import ray

from vsrd_ray.engines.ray_data.feed import Feed, frame_groups

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]


@pytest.fixture
def feed():
    actor = ray.remote(num_cpus=0)(Feed).remote()
    yield actor
    ray.kill(actor)


def test_source_that_begins_anew_makes_the_same_rows_but_empty_where_they_are_done_with(feed):
    for row in (b"a", b"b"):  # one after the other: an actor of coroutines keeps no order of its own
        ray.get(feed.put.remote(row))
    first = frame_groups({}, feed)
    assert next(first) == {"number": 0, "tasks": b"a"}
    ray.get(feed.drop.remote(0))
    ray.get(feed.put.remote(b"c"))
    ray.get(feed.close.remote())
    later = [{"number": 1, "tasks": b"b"}, {"number": 2, "tasks": b"c"}]
    assert list(first) == later
    assert list(frame_groups({}, feed)) == [{"number": 0, "tasks": b""}, *later]
