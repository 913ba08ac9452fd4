"""What was decided in a report, read back: instance by instance, as a whole document."""

import http.client
import json
import re
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from correcting import SEQUENCE, files, frame_rows, take

from vsrd_ray.errors import InputError, OutputError
from vsrd_ray.labels.boxes.columns import boxes_of
from vsrd_ray.labels.boxes.formats.export import export
from vsrd_ray.labels.boxes.human_rows import decided_file, undo_import
from vsrd_ray.labels.boxes.parquet import read_labels, read_reviewed
from vsrd_ray.labels.boxes.report import write_report
from vsrd_ray.labels.boxes.report.serve import Server, serve
from vsrd_ray.labels.boxes.selection import Selection, select
from vsrd_ray.labels.boxes.spec import SPEC
from vsrd_ray.runs.folder import RunFolder, digest_of_inputs
from vsrd_ray.runs.manifest import recorded_manifest

PARKED, DOUBTFUL, MOVING = 26001, 26002, 26003


def document(run, **instances):
    entry = {"camera": "image_00", "fingerprint": digest_of_inputs(run.output, SEQUENCE), "instances": instances}
    config_hash = recorded_manifest(run.output)["config_hash"]
    return {"format": "vsrd-ray-corrections", "version": 1, "config_hash": config_hash, "sequences": {SEQUENCE: entry}}


def box_at(run, instance_id, *, shift=0.0):
    (box,) = boxes_of(frame_rows(run.rows, 1).filter(frame_rows(run.rows, 1)["instance_id"].to_numpy() == instance_id))
    return {
        "center": [box.centers[0] + shift, *box.centers[1:]],
        "size": box.dimensions_lwh.tolist(),
        "yaw": float(box.yaws),
    }


def edit(state, box=None, **values):
    known = {"state": state, "class_name": "car", "moving": False, "frames": [1, 2, 3, 5], "keys": []}
    return known | ({} if box is None else {"box": box}) | values


@pytest.fixture
def bring(run, tmp_path):
    """Imports a document with the given edits, by instance."""

    def bring(content=None, **instances):
        path = tmp_path / "corrections.json"
        path.write_text(json.dumps(document(run, **instances) if content is None else content))
        return take(run, path, "report")

    return bring


def of_instance(rows, instance_id):
    return rows.filter(rows["instance_id"].to_numpy() == instance_id)


def test_each_decision_counts_in_its_frames_and_for_its_instance_alone(run, bring):
    shifted = box_at(run, DOUBTFUL, shift=0.5)
    summary = bring(
        **{"26001": edit("accepted", box_at(run, PARKED)), "26002": edit("corrected", shifted, frames=[1, 2])},
        **{"26003": edit("rejected"), "new-1": edit("corrected", box_at(run, PARKED, shift=7), frames=[2])},
    )
    assert (summary.frames, summary.kept, summary.moved, summary.added, summary.removed) == (4, 4, 2, 1, 4)
    rows = read_labels(run.output)
    accepted = of_instance(rows, PARKED)
    assert (
        boxes_of(accepted).centers.tolist() == boxes_of(of_instance(run.rows, PARKED)).centers.tolist()
    )  # every digit
    assert set(accepted["labeler"].to_pylist()) == {"import-report"} and set(accepted["confidence"].to_pylist()) == {
        1.0
    }
    corrected = of_instance(rows, DOUBTFUL)
    moves = boxes_of(corrected).centers - boxes_of(of_instance(run.rows, DOUBTFUL)).centers
    np.testing.assert_allclose(moves[:, 0], [0.5, 0.5, 0, 0], atol=1e-6)
    assert corrected["labeler"].to_pylist() == ["import-report"] * 2 + ["vsrd"] * 2
    assert corrected["confidence"].to_pylist() == [1.0, 1.0, 0.4, 0.4]  # nobody has seen the last two
    assert len(of_instance(rows, MOVING)) == 0
    (new,) = of_instance(rows, 26004).to_pylist()
    assert (new["frame"], new["is_moving"], new["source"]) == (2, False, "human")
    untouched = of_instance(rows, 27001)
    assert untouched["confidence"].to_pylist() == of_instance(run.rows, 27001)["confidence"].to_pylist()


def test_what_a_later_document_does_not_name_is_open_again(run, bring):
    bring(**{"26001": edit("corrected", box_at(run, PARKED, shift=1)), "26003": edit("rejected")})
    bring(**{"26001": edit("corrected", box_at(run, PARKED, shift=1), frames=[1])})
    rows = read_labels(run.output)
    assert read_reviewed(run.output) == {(SEQUENCE, "image_00"): frozenset({1})}
    assert len(of_instance(rows, MOVING)) == 4
    bring()
    assert read_labels(run.output).equals(read_labels(run.output, prefer="auto"))
    assert undo_import(run.output) == 0
    assert read_reviewed(run.output) == {(SEQUENCE, "image_00"): frozenset({1})}
    assert json.loads(decided_file(run.output, SEQUENCE).read_text())["sequences"][SEQUENCE]["instances"].keys() == {
        "26001"
    }


def test_frames_that_were_corrected_elsewhere_keep_that(run, bring, tmp_path):
    export(run.output, run.root, tmp_path / "kitti", format="kitti")
    text = tmp_path / "kitti" / "training" / "label_2" / "000000.txt"
    text.write_text("".join(text.read_text().splitlines(keepends=True)[1:]))
    take(run, tmp_path / "kitti")
    before = set(frame_rows(read_labels(run.output), 1)["instance_id"].to_pylist())
    assert before < {PARKED, DOUBTFUL, MOVING, 27001}
    for _ in range(2):
        bring(**{"27001": edit("accepted", box_at(run, 27001), class_name="truck")})
        assert set(frame_rows(read_labels(run.output), 1)["instance_id"].to_pylist()) == before
    bring()
    assert set(frame_rows(read_labels(run.output), 1)["instance_id"].to_pylist()) == before


def test_of_what_moves_each_frame_has_its_box(run, bring):
    boxes = {str(frame): box_at(run, MOVING, shift=0.5 * frame) for frame in (1, 2, 3, 5)}
    bring(**{"26003": edit("corrected", moving=True, boxes=boxes, keys=[1, 5])})
    rows = of_instance(read_labels(run.output), MOVING)
    np.testing.assert_allclose(np.diff(boxes_of(rows).centers[:, 0]), [0.5, 0.5, 1.0], atol=1e-6)
    assert rows["is_moving"].to_pylist() == [True] * 4 and rows["velocity_x_world"].to_pylist() == [None] * 4


def test_only_what_was_reviewed_is_exported_and_the_rest_is_no_background(run, bring):
    bring(**{"26002": edit("corrected", box_at(run, DOUBTFUL, shift=0.5), frames=[1, 2])})
    (chosen,) = select(run.output, run.root, Selection(reviewed_only=True))
    assert list(zip(chosen.rows["frame"].to_pylist(), chosen.rows["instance_id"].to_pylist(), strict=True)) == [
        (1, DOUBTFUL),
        (2, DOUBTFUL),
    ]
    assert chosen.left_out == {"not reviewed": 14} and len(chosen.ignored) == 14 and chosen.frames == (1, 2, 3, 5)
    with pytest.raises(InputError, match="leave one out"):
        select(run.output, run.root, Selection(reviewed_only=True, prefer="auto"))


BAD = (
    ("state", "maybe", "instances.26001.state"),
    ("box", {"center": [0, 0, 0], "size": [4, 2, 1], "yaw": 90}, "box.yaw"),
    ("box", {"center": [0, 0, 0], "size": [-4, 2, 1], "yaw": 0}, "box.size"),
    ("box", {"center": [0, 0, 0], "size": [4, 2, 1], "yaw": 0}, "m from the camera"),
    ("class_name", "spaceship", "unknown type 'spaceship'"),
    ("frames", [3, 1], "ascending"),
    ("frames", [1, 99], "no pose of frame 99"),
    ("box", None, "expected either"),
    ("surprise", 1, "surprise"),
)


@pytest.mark.parametrize(("name", "value", "words"), BAD)
def test_what_is_no_edit_is_refused_and_nothing_changes(run, bring, name, value, words):
    before = files(run.output)
    with pytest.raises(InputError, match=words.replace("?", r"\?")):
        bring(**{"26001": edit("corrected", box_at(run, PARKED)) | {name: value}})
    assert files(run.output) == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"config_hash": "other"}, "other settings"),
        ({"format": "coco"}, "no corrections"),
        ({"version": 2}, "no corrections"),
        ({"sequences": {"../../etc": {"camera": "image_00", "fingerprint": None, "instances": {}}}}, "sequence"),
    ],
)
def test_documents_of_other_runs_are_refused(run, bring, change, words):
    with pytest.raises(InputError, match=words):
        bring(document(run) | change)


def test_another_dataset_under_the_same_name_never_takes_corrections_over(run, bring):
    content = document(run, **{"26003": edit("rejected")})
    content["sequences"][SEQUENCE]["fingerprint"] = "another"
    with pytest.raises(InputError, match="other inputs"):
        bring(content)
    assert not decided_file(run.output, SEQUENCE).exists()


@pytest.mark.parametrize("content", [b"", b"[" * 100_000, b"\xff\xfe", b'{"format": NaN}'])
def test_files_that_are_no_documents_are_refused(run, tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(InputError, match="no corrections of a report"):
        take(run, tmp_path / "x.json", "report")


@contextmanager
def served(run):
    server = Server(run.output, run.root, b"<meta content=\"default-src 'none'; base-uri 'none'\">")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def ask(server, method="GET", path="/corrections", body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    host = f"127.0.0.1:{server.server_port}"
    known = {"Host": host, "X-Token": server.token, "Origin": f"http://{host}", "Content-Type": "application/json"}
    sent = known | {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, {name: value for name, value in sent.items() if value is not None})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_a_served_report_takes_saves_of_one_window(run):
    content = json.dumps(document(run, **{"26003": edit("rejected")})).encode()
    with served(run) as server:
        status, page = ask(server, path=server.address.removeprefix(f"http://127.0.0.1:{server.server_port}"))
        assert status == 200 and b"connect-src 'self'" in page
        assert json.loads(ask(server)[1]) == {"revision": 0, "document": document(run) | {"sequences": {}}}
        assert ask(server, "POST", body=content, X_Revision="0") == (200, b'{"revision": 1, "skipped": 0}')
        assert len(of_instance(read_labels(run.output), MOVING)) == 0
        status, error = ask(server, "POST", body=json.dumps(document(run)).encode(), X_Revision="0")
        assert status == 409 and b"another window" in error
        assert ask(server, "POST", body=json.dumps(document(run)).encode(), X_Revision="1")[0] == 200
        assert ask(server, "POST", body=content, X_Revision="2")[0] == 200
    with served(run) as server:  # goes on where the last one ended
        assert "26003" in json.loads(ask(server)[1])["document"]["sequences"][SEQUENCE]["instances"]
    undo_import(run.output)  # all saves of the first at once
    assert read_labels(run.output).equals(read_labels(run.output, prefer="auto"))


FOREIGN = (
    (403, {"X_Token": "guess"}),
    (403, {"X_Token": None}),
    (403, {"Origin": "http://example.org"}),
    (403, {"Origin": None}),
    (403, {"Host": "example.org"}),
    (415, {"Content_Type": "text/plain"}),
    (404, {"path": "/../../etc/passwd"}),
    (413, {"Content_Length": "999999999999"}),
    (400, {"body": b"{}"}),
)


@pytest.mark.parametrize(("status", "how"), FOREIGN)
def test_a_served_report_refuses_strangers(run, status, how):
    before = files(run.output)
    with served(run) as server:
        got, answer = ask(server, "POST", **({"body": b"{}", "X_Revision": "0"} | how))
        assert got == status and json.loads(answer)["error"]
        for path in ("/", "/?token=guess", "/labels/", "/%2e%2e/manifest.json", "//example.org/"):
            assert ask(server, path=path, X_Token=None)[0] in (403, 404)
    assert files(run.output) == before


def test_the_command_writes_the_report_and_serves_it(run, tmp_path):
    options = {"serve": True, "prefer": "human", "sequences": (), "solids": None}
    lines = iter(SPEC.report(RunFolder(run.output, run.root), tmp_path / "report.html", options, None))
    assert "Report written" in next(lines) and (tmp_path / "report.html").is_file()
    assert re.search(r"http://127\.0\.0\.1:\d+/\?token=\S{40,} ", next(lines))


def test_two_editors_of_one_run_are_refused(run, tmp_path):
    (tmp_path / "report.html").write_text("")
    first = serve(run.output, run.root, tmp_path / "report.html")
    assert "http://127.0.0.1:" in next(first)
    with pytest.raises(OutputError, match="running into"):
        next(serve(run.output, run.root, tmp_path / "report.html"))
    first.close()
    second = serve(run.output, run.root, tmp_path / "report.html")
    assert "http://127.0.0.1:" in next(second)
    second.close()


def test_a_new_report_knows_what_was_decided_and_what_the_labeler_had_said(run, bring, tmp_path):
    bring(
        **{"26001": edit("corrected", box_at(run, PARKED, shift=1)), "26003": edit("rejected")},
        **{"new-1": edit("corrected", box_at(run, PARKED, shift=7))},
    )
    write_report(run.output, run.root, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    content = json.loads(re.search(r'<script type="application/json" id="content">(.*?)</script>', page, re.S)[1])
    editing = content["sequences"][0]["editing"]
    assert {key: one["state"] for key, one in editing["decided"].items()} == {
        "26001": "corrected",
        "26003": "rejected",
        "new-1": "corrected",
    }
    np.testing.assert_allclose(editing["before"]["26001"]["box"][:3], box_at(run, PARKED)["center"], atol=1e-3)
    assert editing["before"]["new-1"] == {"boxes": {}} and editing["new_ids"] == {"new-1": 26004}
    assert editing["fingerprint"] == digest_of_inputs(run.output, SEQUENCE)
