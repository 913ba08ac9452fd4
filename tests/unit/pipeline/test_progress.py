import logging

from vsrd_ray.pipeline.progress import GroupProgress


def test_line_tells_rate_time_left_and_failures():
    with GroupProgress(total=10, done=2) as progress:
        for failed in (False, True, False):
            progress.update(failed=failed)
        assert progress.line(90.0) == "5/10 groups, 2.0 a minute, 02:30 left, 1 failed"


def test_without_a_terminal_the_last_group_gives_a_line(caplog):
    with caplog.at_level(logging.INFO), GroupProgress(total=2, done=0) as progress:
        progress.update(failed=False)
        assert not caplog.records
        progress.update(failed=False)
    (record,) = caplog.records
    assert record.message.startswith("2/2 groups")
