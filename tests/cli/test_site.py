"""The documentation as a site: it is built without a broken link, and has the pages that are made."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.slow
def test_site_is_built_without_a_broken_link(tmp_path):
    pytest.importorskip("mkdocs", reason="the extra `test` is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path / "site"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    text = {path: (tmp_path / "site" / path / "index.html").read_text() for path in ("", "label", "lab_book")}
    assert 'href="label/"' in text[""] and "README.md" not in text["label"]
    for page, wanted in (
        ("settings", "grouping.num_views"),
        ("columns", "yaw_world"),
        ("command", "vsrd-ray label"),
        ("api", "open_sequence"),
    ):
        assert wanted in (tmp_path / "site" / "reference" / page / "index.html").read_text(), page
