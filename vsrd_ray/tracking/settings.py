"""How detections are joined to tracks."""

from vsrd_ray.settings import Count, Settings, Share


class TrackerSettings(Settings):
    """Thresholds of ByteTrack, and whether poses are used. The defaults are for 10 frames a second."""

    threshold: Share = 0.35  # score above which a detection is confident
    margin: Share = 0.1  # above the threshold, from which on a detection begins a track
    match_limit: Share = 0.8  # 1 - IoU * score below which a confident detection is a track's
    buffer: Count = 20  # frames after which a lost track ends
    uses_poses: bool = True  # boxes move as standing objects do, and tracks are mended in the world afterwards


# As VSRD's first version set ByteTrack: by images alone.
PUBLISHED = TrackerSettings(threshold=0.5, match_limit=0.8, buffer=10, uses_poses=False)
