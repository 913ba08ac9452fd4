"""The report's map: what is on it, what a click does, and that many boxes do not make it slow."""

import cv2
import pytest
from hands import act, click, press, press_button, route, texts, values, wait_for
from runs import SEQUENCE
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

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
RANGES = "[document.getElementById('map').layout.xaxis.range, document.getElementById('map').layout.yaxis.range].flat()"
ZOOM = "Plotly.relayout('map', { 'xaxis.range': [2, 22], 'yaxis.range': [-5, 3] })"
# Gives the first parked instance a truth that drives along x, a metre a frame.
DRIVING = """
    const instance = allInstances.find((some) => some.box && some.truth.length);
    const [still] = instance.truth;
    instance.truth = sequences[0].frames.map(({ number }) => ({ ...still, frame: number, center: [number, 0, 0] }));
    show();
    return [instance.box.target_frame, instance.truth.length];
"""
# Makes the first label wrong; gives where the line to its truth begins and ends along the map.
WRONG = """
    const instance = allInstances.find((some) => some.box && some.truth.length);
    instance.iou = 0.2;
    show();
    return [instance.box, instance.truth[0]].map((box) => onMap(box.center)[0]);
"""
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": False}
PIXEL_OF_BOX = """
    const [instance] = sequences[0].instances.filter((some) => some.box), map = document.getElementById("map");
    const { xaxis, yaxis } = map._fullLayout, { left, top } = map.getBoundingClientRect();
    const [x, y] = onMap(instance.box.center);
    return [left + xaxis._offset + xaxis.d2p(x), top + yaxis._offset + yaxis.d2p(y), instance.id];
"""


def polygons(browser, name):
    """Number of closed shapes that a trace fills."""
    return values(browser, f"{TRACES}.find((trace) => trace.name === {name!r}).x.filter((x) => x === null).length")


def test_map_has_the_way_the_boxes_and_the_truth(page):
    browser = page("#map")
    assert {"way of the camera", "truth, parked", "labels"} <= set(values(browser, NAMES))
    (legend,) = texts(browser, ".legend")
    assert "labels, by confidence: 0 1" in legend and "truth, parked" in legend and "IoU3D" not in legend
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
    corners = f"{TRACES}.find((trace) => /^from/.test(trace.name))"
    length = f"Math.hypot({corners}.x[3] - {corners}.x[0], {corners}.y[3] - {corners}.y[0])"
    assert values(browser, length) > 100
    browser.execute_script("return Plotly.relayout('map', { 'xaxis.range': [-20, 20], 'yaxis.range': [-10, 10] })")
    wait_for(browser, lambda: 1 < values(browser, length) < 10)


def test_moving_truth_has_its_way_and_its_box_where_it_was_labelled(page):
    browser = page("#map")
    target, num_frames = browser.execute_script(DRIVING)
    way, box = [name for name in values(browser, NAMES) if "moving" in name]
    assert values(browser, f"{TRACES}.find((trace) => trace.name === {way!r}).x.length") == num_frames + 1
    shown = f"{TRACES}.find((trace) => trace.name === {box!r})"
    corners = zip(*values(browser, f"[{shown}.x.slice(0, 4), {shown}.y.slice(0, 4)]"), strict=True)
    middle = [sum(sides) / 4 for sides in zip(*corners, strict=True)]
    assert middle == pytest.approx(values(browser, f"onMap([{target}, 0])"), abs=1e-3)
    assert "truth, moving" in texts(browser, ".legend")[0]


def test_a_line_leads_from_a_wrong_label_to_its_truth(page):
    browser = page("#map")
    assert values(browser, f"{TRACES}.find((trace) => trace.name === 'wrong').x") == []
    ends = browser.execute_script(WRONG)
    assert values(browser, f"{TRACES}.find((trace) => trace.name === 'wrong').x") == pytest.approx([*ends, None])
    assert "from a label to its truth" in texts(browser, ".legend")[0]


@pytest.mark.parametrize(("width", "titles"), [(1280, ["along the drive, m"]), (390, ["to the right, m"])])
def test_the_drive_lies_along_the_maps_longer_side_unless_the_world_is_geographic(page, width, titles):
    browser = page("#map")
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE | {"width": width})
    try:
        browser.execute_script("show()")
        assert texts(browser, "#map .xtitle") == titles
        way = values(browser, f"['x', 'y'].map((axis) => {TRACES}[0][axis].at(-1) - {TRACES}[0][axis][0])")
        assert (way[0] > abs(way[1])) == (width == 1280) and max(way) > 10
        browser.execute_script("sequences[0].isGeographic = true; show()")
        assert texts(browser, "#map .xtitle") == ["east, m"]
        position = values(browser, "sequences[0].frames[0].position.slice(0, 2)")
        assert values(browser, f"[{TRACES}[0].x[0], {TRACES}[0].y[0]]") == pytest.approx(position)
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_boxes_have_an_edge_unless_they_are_very_many(page):
    """Neighbours of one colour are told apart; ten thousand are drawn fast."""
    browser = page("#map")
    modes = f"[...new Set({TRACES}.filter((trace) => /^from/.test(trace.name)).map((trace) => trace.mode))]"
    assert values(browser, modes) == ["lines"]
    browser.execute_script(CROWD, 10_000)
    assert values(browser, modes) == ["none"]


def test_the_map_shows_the_part_that_one_came_from(page):
    browser = page("#map")
    whole = values(browser, RANGES)
    browser.execute_script(f"return {ZOOM}")
    part = values(browser, RANGES)
    assert part[:2] != pytest.approx(whole[:2])
    browser.execute_script("location.hash = instanceRoute(allInstances.find((instance) => instance.box))")
    wait_for(browser, lambda: texts(browser, "a[href='#map']")[-1] == "Back to the map")
    press(browser, Keys.ESCAPE)
    wait_for(browser, lambda: route(browser) == "#map" and texts(browser, "h1") == ["Map"])
    assert values(browser, RANGES) == pytest.approx(part, abs=0.2)
    press(browser, "t")
    assert values(browser, RANGES) == pytest.approx(part, abs=0.2)
    click(browser, ".modebar-btn[data-title*='eset']")
    wait_for(browser, lambda: values(browser, RANGES) == pytest.approx(whole))
    press(browser, "t")
    assert values(browser, RANGES) == pytest.approx(whole)


def test_one_walks_through_the_instances_of_the_map_and_back_to_it(page):
    browser = page("#map")
    worst_first = values(
        browser, "sorted(allInstances.filter((instance) => instance.box), 'worst', false).map(instanceRoute)"
    )
    browser.execute_script("location.hash = arguments[0]", worst_first[0])
    wait_for(browser, lambda: route(browser) == worst_first[0] and texts(browser, ".count"))
    assert texts(browser, ".count") == [f"1 of {len(worst_first)} instances on the map, worst first"]
    press(browser, "j")
    wait_for(browser, lambda: route(browser) == worst_first[1])
    press(browser, Keys.ESCAPE)
    wait_for(browser, lambda: route(browser) == "#map" and texts(browser, "h1") == ["Map"])
    browser.execute_script("location.hash = frameRoute(allFrames[3])")
    wait_for(browser, lambda: texts(browser, ".count") == ["4 of 24 frames"])
    press(browser, Keys.ESCAPE)
    wait_for(browser, lambda: route(browser) == "#map")


def test_a_click_on_a_box_opens_its_instance(page):
    browser = page("#map")
    x, y, identity = browser.execute_script(PIXEL_OF_BOX)
    ActionChains(browser).move_by_offset(round(x), round(y)).perform()
    wait_for(browser, lambda: values(browser, "document.getElementById('map')._hoverdata?.length"))
    ActionChains(browser).click().move_by_offset(-round(x), -round(y)).perform()
    wait_for(browser, lambda: route(browser) == f"#instance/{SEQUENCE}/{identity}")


def test_the_map_can_be_saved_as_a_picture(page, browser, tmp_path):
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    download = ".modebar-btn[data-title*='ownload']"
    act(page("#map"), download, lambda button: ActionChains(browser).move_to_element(button).click().perform())
    wait_for(browser, lambda: [path for path in tmp_path.glob("*.png") if cv2.imread(str(path)) is not None])
