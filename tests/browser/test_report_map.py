"""The report's map: what is on it, what a click does, and that many boxes do not make it slow."""

import cv2
import pytest
from hands import press_button, route, values, wait_for
from runs import SEQUENCE
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

pytestmark = pytest.mark.slow

TRACES = "document.getElementById('map').data"
NAMES = f"{TRACES}.map((trace) => trace.name ?? '')"
# The sequence with many instances, which are copies of one another a few metres apart, on the map.
CROWD = """
    const [count] = arguments, [first] = sequences[0].instances.filter((instance) => instance.box);
    const copies = Array.from({ length: count }, (_, k) => ({ ...first, confidence: (k % 97) / 96,
      box: { ...first.box, center: [7 * (k % 100), 7 * Math.floor(k / 100), 0] } }));
    drawMap(document.getElementById("map"), { ...sequences[0], instances: copies }, MAP_COLORS[0]);
    return document.querySelectorAll("#map *").length;
"""
# Gives the first parked instance a truth that drives along x, a metre a frame.
DRIVING = """
    const instance = allInstances.find((some) => some.box && some.truth.length);
    const [still] = instance.truth;
    instance.truth = sequences[0].frames.map(({ number }) => ({ ...still, frame: number, center: [number, 0, 0] }));
    show();
    return [instance.box.target_frame, instance.truth.length];
"""
PIXEL_OF_BOX = """
    const [instance] = sequences[0].instances.filter((some) => some.box), map = document.getElementById("map");
    const { xaxis, yaxis } = map._fullLayout, { left, top } = map.getBoundingClientRect();
    const [x, y] = instance.box.center;
    return [left + xaxis._offset + xaxis.d2p(x), top + yaxis._offset + yaxis.d2p(y), instance.id];
"""


def polygons(browser, name):
    """Number of closed shapes that a trace fills."""
    return values(browser, f"{TRACES}.find((trace) => trace.name === {name!r}).x.filter((x) => x === null).length")


def test_map_has_the_way_the_boxes_and_the_truth(page):
    browser = page("#map")
    assert {"way of the camera", "truth, parked", "labels"} <= set(values(browser, NAMES))
    assert not any("moving" in name for name in values(browser, NAMES))
    assert values(browser, f"{TRACES}[0].x.length") == 24
    labelled = values(browser, "allInstances.filter((instance) => instance.box).length")
    assert values(browser, f"{TRACES}.find((trace) => trace.name === 'labels').x.length") == labelled


@pytest.mark.parametrize("button", ["confidence", "IoU3D with the truth"])
def test_boxes_are_sorted_into_colours_and_the_worst_lie_above(page, button):
    browser = page("#map")
    press_button(browser, button)
    steps = [float(name.removeprefix("from ")) for name in values(browser, NAMES) if name.startswith("from ")]
    assert steps and steps == sorted(steps, reverse=True)
    key = "confidence" if button == "confidence" else "iou"
    figures = values(browser, f"allInstances.filter((instance) => instance.box).map((instance) => instance.{key})")
    for step in steps:
        expected = sum(step <= figure < step + 0.1 or figure == step + 0.1 == 1 for figure in figures)
        assert polygons(browser, f"from {step:g}") == expected


def test_boxes_without_a_figure_are_grey_on_the_map_not_red(page):
    browser = page("#map")
    browser.execute_script("allInstances[0].iou = null; mapState.color = 'iou'; show()")
    assert polygons(browser, "no figure") == 1
    color = values(browser, f"{TRACES}.find((trace) => trace.name === 'no figure').fillcolor")
    assert color == "rgb(140, 140, 140)"
    browser.execute_script("mapState.color = null")


def test_ten_thousand_boxes_are_drawn_as_a_few_shapes(page):
    browser = page("#map")
    few = values(browser, "document.querySelectorAll('#map *').length")
    assert browser.execute_script(CROWD, 10_000) < few + 100
    drawn = values(browser, f"{TRACES}.filter((trace) => /^from/.test(trace.name)).map((trace) => trace.x.length / 5)")
    assert len(drawn) == 10 and sum(drawn) == 10_000


def test_boxes_can_be_seen_at_any_scale(page):
    """Those of a crowd of 70 km are a few pixels large, and become true to scale where one comes near."""
    browser = page("#map")
    browser.execute_script(CROWD.replace("7 * ", "700 * "), 10_000)
    corners = f"{TRACES}.find((trace) => /^from/.test(trace.name)).x"
    length = f"Math.abs({corners}[3] - {corners}[0])"  # the box looks along x, but for a few degrees
    assert values(browser, length) > 100
    browser.execute_script("return Plotly.relayout('map', { 'xaxis.range': [-20, 20], 'yaxis.range': [-10, 10] })")
    wait_for(browser, lambda: 1 < values(browser, length) < 10)


def test_moving_truth_has_its_way_and_its_box_where_it_was_labelled(page):
    browser = page("#map")
    target, num_frames = browser.execute_script(DRIVING)
    way, box = [name for name in values(browser, NAMES) if "moving" in name]
    assert values(browser, f"{TRACES}.find((trace) => trace.name === {way!r}).x.length") == num_frames + 1
    xs = values(browser, f"{TRACES}.find((trace) => trace.name === {box!r}).x.slice(0, 4)")
    assert sum(xs) / 4 == pytest.approx(target, abs=1e-3)
    assert way in browser.find_element(By.CSS_SELECTOR, "#map .legend").text


def test_a_click_on_a_box_opens_its_instance(page):
    browser = page("#map")
    x, y, identity = browser.execute_script(PIXEL_OF_BOX)
    pointer = ActionChains(browser).move_by_offset(round(x), round(y))
    pointer.pause(0.3).click().move_by_offset(-round(x), -round(y)).perform()
    wait_for(browser, lambda: route(browser) == f"#instance/{SEQUENCE}/{identity}")


def test_the_map_can_be_saved_as_a_picture(page, browser, tmp_path):
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    button = page("#map").find_element(By.CSS_SELECTOR, ".modebar-btn[data-title*='ownload']")
    ActionChains(browser).move_to_element(button).click().perform()
    wait_for(browser, lambda: [path for path in tmp_path.glob("*.png") if cv2.imread(str(path)) is not None])
