import numpy as np

from vsrd_ray.labelers.vsrd.links import MAX_GAP, BoxTrack, exchanges, links


def track(instance_id: int, frames, left: float = 100.0, speed: float = 20.0, size: float = 60.0) -> BoxTrack:
    """A square box that goes to the right at some px a frame."""
    frames = np.array(list(frames))
    low = np.stack([left + speed * frames, np.full(len(frames), 50.0)], axis=-1)
    return BoxTrack(instance_id, frames, np.concatenate([low, low + size], axis=-1))


def test_a_track_goes_on_where_its_box_would_be() -> None:
    first, second = track(1, range(5)), track(2, range(7, 12))
    assert links([first, second]) == links([second, first][::-1]) == [(0, 1)]
    assert links([second, first]) == [(1, 0)]
    np.testing.assert_allclose(first.beyond(7), second.boxes_xyxy[0])
    np.testing.assert_allclose(second.beyond(4), first.boxes_xyxy[-1])
    assert links([first, track(2, range(7, 12), left=200.0)]) == []  # elsewhere
    assert links([first, track(2, range(6 + MAX_GAP, 30))]) == []  # too late
    assert links([first, track(2, range(4, 12))]) == []  # both at once


def test_tracks_follow_each_other_one_by_one() -> None:
    chain = [track(n, range(5 * n, 5 * n + 4)) for n in range(4)]
    assert links(chain) == [(0, 1), (1, 2), (2, 3)]
    rival = track(9, range(5, 9), left=110.0)  # less like the first one's way than the second is
    assert links([*chain, rival]) == [(0, 1), (1, 2), (2, 3)]


def test_a_box_between_and_beyond_its_own() -> None:
    one = track(1, (0, 4))
    np.testing.assert_allclose(one.between(1), [120, 50, 180, 110])
    np.testing.assert_allclose(one.between(5), one.beyond(5))
    np.testing.assert_allclose(track(1, [3]).beyond(8), track(1, [3]).boxes_xyxy[0])


def test_ids_that_change_places() -> None:
    a, b = track(1, range(10)), track(2, range(10), left=250.0)
    assert exchanges([a, b]) == []
    swapped = [
        BoxTrack(n, a.frames, np.concatenate([one.boxes_xyxy[:6], other.boxes_xyxy[6:]]))
        for n, one, other in ((1, a, b), (2, b, a))
    ]
    assert exchanges([*swapped, track(3, range(10), left=700.0)]) == [(0, 1, 6)]
    # Cars of a row that pass by as fast as they are apart: each is where the one before it was.
    row = [track(n, range(10), left=100.0 * n, speed=100.0) for n in range(4)]
    assert exchanges(row) == []
