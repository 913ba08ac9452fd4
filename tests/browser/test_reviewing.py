"""Reviewing in a report: decisions are shown, counted, filtered and kept; boxes are changed in every way there is."""

import json
import shutil
import threading

import numpy as np
import pytest
from hands import press, route, texts, values, wait_for
from runs import SEQUENCE
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.keys import Keys

from vsrd_ray.labels.boxes.formats.report import parse
from vsrd_ray.labels.boxes.parquet import read_labels
from vsrd_ray.labels.boxes.report.serve import Server

pytestmark = pytest.mark.slow

BOX = "savedBox(boxIn(editor.instance, editNow(editor.instance, currentRow()), currentRow()), editor.instance.sequence)"
WIRES = "[...document.querySelectorAll('.editor .views .wire')].map((wire) => wire.getAttribute('d'))"
# The middle of a face of the box in the first picture, and a place farther along the face's way, on the screen.
FACE = """
    const [view] = editor.views, row = rowIn(view.number);
    const box = boxIn(editor.instance, editNow(editor.instance, row), row);
    const toScreen = ([u, v]) => {
      const { x, y } = new DOMPoint(u, v).matrixTransform(view.drawing.getScreenCTM());
      return [x, y];
    };
    const all = corners(box).map((point) => toPixel(row.frame.sequence, toCamera(row.frame, point)));
    const middleOf = ({ corners: some }) => [0, 1].map((k) => some.reduce((sum, c) => sum + all[c][k] / 4, 0));
    const middles = FACES.map((face) => ({ face, at: middleOf(face) }));
    const { face, at } = middles.find((one) => faceAt(row.frame, box, one.at) === one.face);
    const way = pixelsAMetre(row.frame, box, face), length = Math.hypot(...way);
    const start = toScreen(at), end = toScreen(at.map((value, k) => value + 5 * way[k] / length));
    return { axis: face.axis, start, end };
"""
PLACE = "document.querySelector('.plan.edit').getBoundingClientRect()"
# Where the middle of an instance's box is on the screen, in the picture of the frame that is shown.
ON_SCREEN = """
    const [x, y] = arguments, drawing = document.querySelector(".stack .picture");
    const at = new DOMPoint(x, y).matrixTransform(drawing.getScreenCTM());
    return [at.x, at.y];
"""


def drag(browser, start, end):
    builder = ActionBuilder(browser, duration=0)
    builder.pointer_action.move_to_location(*map(round, start)).pointer_down()
    builder.pointer_action.move_to_location(*map(round, end)).pointer_up()
    builder.perform()


def click_at(browser, place):
    drag(browser, place, place)


def open_instance(page, number=0):
    browser = page("#instances/confidence/up")
    routes = values(browser, "walk.routes")
    browser.execute_script("location.hash = arguments[0]", routes[number])
    wait_for(browser, lambda: texts(browser, ".review button"))
    return browser, routes


def counts(browser):
    return values(browser, "reviewCounts()")


def test_decisions_are_shown_counted_filtered_and_kept(page, browser):
    browser, routes = open_instance(page)
    total = counts(browser)["open"]
    press(browser, "a")
    wait_for(browser, lambda: route(browser) == routes[1])
    press(browser, "x")
    wait_for(browser, lambda: route(browser) == routes[2])
    assert counts(browser) == {"open": total - 2, "accepted": 1, "corrected": 0, "rejected": 1}
    assert "1 accepted, 1 rejected" in texts(browser, "#review")[0]
    browser.execute_script("location.hash = '#instances/confidence/up'")
    wait_for(browser, lambda: texts(browser, ".states"))
    assert "rejected 1" in texts(browser, ".states button")[4].lower()
    browser.execute_script("document.querySelectorAll('.states button')[2].click()")
    assert texts(browser, ".tile .badge.state") == ["accepted"]
    browser.refresh()
    wait_for(browser, lambda: counts(browser)["rejected"] == 1)
    assert values(browser, "allInstances.filter((one) => stateOf(one) === 'rejected').map((one) => one.box)") == [None]
    theirs = "((more) => readDocument(JSON.stringify({ ...editsDocument(), ...more })))"
    assert values(browser, f"{theirs}({{}}) !== null && {theirs}({{ config_hash: 'x' }}) === null")
    assert values(browser, f"(sequences[0].fingerprint += 'x', {theirs}({{}}) !== null)")
    assert values(browser, "readDocument(localStorage.getItem(storeKey())) === null")  # of other inputs
    browser.refresh()
    browser.execute_script("location.hash = arguments[0]", routes[1])
    wait_for(browser, lambda: texts(browser, "h1 .state") == ["rejected"])
    press(browser, "o")
    wait_for(browser, lambda: texts(browser, "h1 .state") == [])
    press(browser, "z")
    wait_for(browser, lambda: texts(browser, "h1 .state") == ["rejected"])
    press(browser, "Z")
    wait_for(browser, lambda: counts(browser) == {"open": total - 1, "accepted": 1, "corrected": 0, "rejected": 0})


def test_a_box_is_changed_by_keys_wheel_and_faces_in_all_views_at_once(page):
    browser, _ = open_instance(page)
    press(browser, "c")
    before, wires = values(browser, f"[{BOX}, {WIRES}]")
    assert len(wires) >= 2
    press(browser, Keys.ARROW_RIGHT, Keys.ARROW_UP, Keys.ARROW_UP, "q", "l", "w", "h", Keys.PAGE_UP)
    after, moved = values(browser, f"[{BOX}, {WIRES}]")
    np.testing.assert_allclose(np.subtract(after["center"], before["center"]), [0.05, 0.1, 0.05], atol=1e-3)
    np.testing.assert_allclose(np.subtract(after["size"], before["size"]), 0.05, atol=1e-3)
    assert after["yaw"] - before["yaw"] == pytest.approx(np.pi / 180, abs=1e-3)
    assert all(a != b for a, b in zip(wires, moved, strict=True))
    assert texts(browser, "h1 .state") == ["corrected"]
    face = browser.execute_script(FACE)
    drag(browser, face["start"], face["end"])
    dragged = values(browser, BOX)
    axis = ["length", "width", "height"].index(face["axis"])
    grown = np.subtract(dragged["size"], after["size"])
    assert grown[axis] > 0.02 and np.count_nonzero(np.abs(grown) > 1e-3) == 1
    plan = values(browser, f"[{PLACE}.x + {PLACE}.width / 2, {PLACE}.y + {PLACE}.height / 2]")
    browser.execute_script(
        "const turned = new WheelEvent('wheel', { deltaY: -100, cancelable: true });"
        "document.querySelector('.plan.edit').dispatchEvent(turned)"
    )
    assert values(browser, BOX)["yaw"] - dragged["yaw"] == pytest.approx(np.pi / 180, abs=1e-3)
    drag(browser, plan, (plan[0] + 40, plan[1]))
    shifted = np.subtract(values(browser, BOX)["center"], dragged["center"])
    assert shifted[0] > 0.3 and abs(shifted[1]) < 0.1
    press(browser, *"z" * 20)
    assert values(browser, BOX) == before and texts(browser, "h1 .state") == []


def test_what_moves_is_set_in_some_frames_and_interpolated(page):
    browser, _ = open_instance(page)
    press(browser, "c", "m")
    wait_for(browser, lambda: "Moving" in " ".join(texts(browser, ".review button")))
    first = values(browser, "editor.number")
    press(browser, ".", ".", ".", ".")
    wait_for(browser, lambda: values(browser, "editor.number") > first)
    last = values(browser, "editor.number")
    ActionChains(browser).key_down(Keys.SHIFT).send_keys(*[Keys.ARROW_RIGHT] * 4).key_up(Keys.SHIFT).perform()
    edit = values(browser, "savedEdit(editor.instance)")
    assert (
        edit["moving"] and edit["keys"] == [first, last] and set(edit["boxes"]) == {str(one) for one in edit["frames"]}
    )
    east = {int(frame): box["center"][0] for frame, box in edit["boxes"].items()}
    way = {frame: x - east[first] for frame, x in east.items()}
    for frame in edit["frames"]:
        share = np.clip((frame - first) / (last - first), 0, 1)
        assert way[frame] == pytest.approx(2 * share, abs=2e-3)
    assert parse(json.dumps(values(browser, "editsDocument()")).encode(), "page").sequences[SEQUENCE].instances


def test_two_clicks_in_two_frames_add_a_box(page):
    browser, _ = open_instance(page)
    row = "allInstances.filter((one) => one.box && !one.box.is_moving).sort((a, b) => b.area - a.area)[0].rows"
    seen = f"{row}.filter((one) => one.box && !one.box.is_moving && projectedBox(one.frame, one.box))"
    pixel = "(one) => [one.frame.number, ...toPixel(one.frame.sequence, toCamera(one.frame, one.box.center))]"
    inside = f"{seen}.map({pixel}).filter(([, u, v]) => u > 2 && v > 2 && u < 350 && v < 94)"
    places = values(browser, inside)
    where = values(browser, f"{seen}[0].box.center")
    for number, (frame, u, v) in enumerate((places[0], places[-1])):
        browser.execute_script("location.hash = arguments[0]", f"#frame/{SEQUENCE}/{frame}")
        wait_for(browser, lambda frame=frame: texts(browser, "h1") == [f"Frame {frame}"])
        if number == 0:
            press(browser, "n")
        wait_for(browser, lambda: texts(browser, ".note"))
        click_at(browser, browser.execute_script(ON_SCREEN, u, v))
    wait_for(browser, lambda: route(browser).startswith("#instance/"))
    edit = values(browser, "savedEdit(editor.instance)")
    found = values(browser, "editor.instance.rows[0].box.center")
    assert np.linalg.norm(np.subtract(found, where)) < 0.8  # a click is as exact as a pixel of the screen
    assert edit["state"] == "corrected" and len(edit["frames"]) > 2
    assert values(browser, "editor.instance.key") == "new-1"
    press(browser, "z")
    wait_for(browser, lambda: values(browser, "allInstances.every((one) => one.key !== 'new-1')"))


def test_a_served_report_saves_into_its_run(browser, quiet, report, street, tmp_path):
    output = shutil.copytree(report.parent, tmp_path / "labels")
    (output / "groups" / "added.parquet").unlink()  # frames of a group that failed are not reviewed
    server = Server(output, street, report.read_bytes())
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        with quiet():
            browser.get(server.address)
            wait_for(browser, lambda: values(browser, "store.revision") == 0)
            browser.execute_script("location.hash = instanceRoute(allInstances.find((one) => one.box))")
            wait_for(browser, lambda: texts(browser, ".review button"))
            chosen = values(browser, "editor.instance.id")
            press(browser, "a")
            wait_for(browser, lambda: values(browser, "store.revision") == 1)
            rows = read_labels(output)
            mine = rows.filter(rows["instance_id"].to_numpy() == chosen)
            assert set(mine["labeler"].to_pylist()) == {"import-report"}
            browser.get(server.address)
            wait_for(browser, lambda: counts(browser)["accepted"] == 1)
        server.saves += 1  # as if another window had saved
        browser.execute_script("location.hash = instanceRoute(allInstances.filter((one) => one.box)[1])")
        wait_for(browser, lambda: texts(browser, ".review button"))
        press(browser, "x")
        wait_for(browser, lambda: "another window" in " ".join(texts(browser, "#review .bad")))
    finally:
        browser.get("about:blank")
        server.shutdown()
        thread.join()
        server.server_close()
        browser.get_log("browser")
