import io
import logging
import sys

from vsrd_ray.pipeline.progress import GroupProgress


def test_line_tells_rate_time_left_and_failures():
    with GroupProgress(total=10, done=2) as progress:
        assert progress.line(4.0) == "2/10 groups, starting"
        for failed in (False, True, False):
            progress.update(failed=failed)
        assert progress.line(90.0) == "5/10 groups, 2.0 a minute, 2 min 30 s left, 1 failed"
        assert progress.line(5400.0) == "5/10 groups, 2.0 an hour, 2 h 30 min left, 1 failed"


def test_in_a_terminal_there_is_a_bar(monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    with GroupProgress(total=4, done=1) as progress:
        progress.update(failed=True)
    drawn = terminal.getvalue().split("\r")
    assert any(line.startswith(" 25%|") and line.rstrip().endswith("| 1/4 groups, starting") for line in drawn)
    assert drawn[-1].strip() == ""


def test_without_a_terminal_the_last_group_gives_a_line(caplog):
    with caplog.at_level(logging.INFO), GroupProgress(total=2, done=0) as progress:
        progress.update(failed=False)
        assert not caplog.records
        progress.update(failed=False)
    (record,) = caplog.records
    assert record.message.startswith("2/2 groups")
