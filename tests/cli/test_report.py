"""`vsrd-ray report` on a run of this process; what the page does is tested in tests/browser."""

import json
import re
import shutil

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

from vsrd_ray.cli import main
from vsrd_ray.labels.boxes.parquet import REVIEW_SCHEMA, read_labels
from vsrd_ray.labels.boxes.schema import LABEL_SCHEMA
from vsrd_ray.runs.reading import read_groups
from vsrd_ray.storage.atomic import write_parquet

SEQUENCE = "2013_05_28_drive_0000_sync"


@pytest.fixture(scope="module")
def labelled_here(street, tmp_path_factory):
    """OUTPUT of a run by the defaults, over the first frame group; read it, do not change it."""
    output = tmp_path_factory.mktemp("reported") / "output"
    options = ["--sequence", SEQUENCE, "--output", output, "--serial", "--limit", "1"]
    result = CliRunner().invoke(main, [str(word) for word in ("label", "--root", street, *options)])
    assert result.exit_code == 0, result.output
    return output


@pytest.fixture
def output(labelled_here, tmp_path):
    """A copy of that."""
    return shutil.copytree(labelled_here, tmp_path / "output")


def content_of(path):
    (text,) = re.findall(r'<script type="application/json" id="content">(.*?)</script>', path.read_text(), re.DOTALL)
    return json.loads(text)


def test_report_holds_the_run_and_its_quality(command, output, street, tmp_path):
    result = command("report", output, "--root", street)
    assert result.exit_code == 0, result.output
    assert f"Report written to {output / 'report.html'}: " in result.stdout
    content = content_of(output / "report.html")
    (sequence,) = content["sequences"]
    assert sequence["frames"] == sorted(
        {frame for group in read_groups(output).to_pylist() for frame in group["frames"]}
    )
    assert content["run"]["status"] == "complete"
    assert content["quality"]["headline"]["columns"][:2] == ["", "all"]
    assert not (output / "evaluation.json").exists()  # a report changes nothing else
    assert (
        command("report", output, "--root", street, "--output", tmp_path / "r.html", "--sequence", SEQUENCE).exit_code
        == 0
    )
    assert content_of(tmp_path / "r.html") == content


def test_bodies_are_drawn_as_fitted_and_as_boxes_where_settings_are_unknown(command, output, street):
    def corners():
        """Mean number of corners of the outlines in the close-ups."""
        assert command("report", output, "--root", street).exit_code == 0
        views = content_of(output / "report.html")["sequences"][0]["views"]
        return np.mean([sum(map(len, view["body"])) / 2 for entries in views.values() for view in entries])

    bodies = corners()
    manifest = json.loads((output / "manifest.json").read_text())
    manifest["config"]["a_setting_of_old"] = 1
    (output / "manifest.json").write_text(json.dumps(manifest))
    boxes = corners()
    assert 3 < boxes < 9 < bodies  # a box has six corners at most but for rounding, a car's body many


def test_the_preferred_boxes_are_shown_and_judged(command, output, street):
    """A human took every box of a frame away: the report's figures count that, or the labeler's boxes."""
    labels = read_labels(output)
    frame = labels["frame"][0].as_py()
    none = labels.select(LABEL_SCHEMA.names).slice(0, 0)
    write_parquet(none, output / "labels" / f"sequence={SEQUENCE}" / "human-image_00.parquet")
    reviewed = pa.Table.from_pylist([{"camera": "image_00", "frame": frame}], schema=REVIEW_SCHEMA)
    write_parquet(reviewed, output / "corrections" / f"{SEQUENCE}.parquet")
    shown, coverage = {}, {}
    for prefer in ("human", "auto"):
        assert command("report", output, "--root", street, "--prefer", prefer).exit_code == 0
        content = content_of(output / "report.html")
        assert content["corrections"] == {"frames": 1, "prefer": prefer}
        shown[prefer] = content["counts"]["labels"]
        rows = {name: of_all for name, of_all, *_ in content["quality"]["headline"]["rows"]}
        coverage[prefer] = float(rows["labelled"].removesuffix(" %"))
    assert shown["auto"] == labels.num_rows > shown["human"]
    assert coverage["auto"] > coverage["human"]


def test_bad_input_is_said(command, output, street, tmp_path):
    for arguments, message in (
        ((tmp_path / "nothing", "--root", street), "expected the output folder of `vsrd-ray label`"),
        ((output, "--root", street, "--sequence", "other"), "has no sequence other"),
        ((output, "--root", tmp_path / "nowhere"), "no dataset folder"),
    ):
        result = command("report", *arguments)
        assert result.exit_code == 2 and message in result.output, result.output
        assert not (output / "report.html").exists()
