import numpy as np

from vsrd_ray.geometry.boxes import CORNER_SIGNS_RDF
from vsrd_ray.visualization.drawing import draw_box, draw_masks, draw_text, instance_color, text_width

K = np.array([[100.0, 0, 80], [0, 100, 60], [0, 0, 1]])


def canvas():
    return np.zeros((120, 160, 3), np.uint8)


def box(center):
    return CORNER_SIGNS_RDF * [1.0, 0.75, 2.0] + np.array(center)


def test_colours_are_fixed_and_neighbours_differ():
    assert instance_color(26001) == instance_color(26001)
    colors = np.array([instance_color(26000 + number) for number in range(1, 13)])
    gaps = np.abs(colors[:, None] - colors[None]).max(axis=-1)[~np.eye(12, dtype=bool)]
    assert gaps.min() > 25


def test_a_box_is_drawn_where_it_projects():
    image = canvas()
    draw_box(image, box((0, 0, 10)), K, color=(0, 0, 255), thickness=1, fill_front=False)
    rows, columns = np.nonzero(image.any(axis=-1))
    # the near end is 2 m wide and 1.5 m high at 8 m: 25 x 18.75 px around (80, 60)
    assert abs(columns.min() - 67.5) <= 2 and abs(columns.max() - 92.5) <= 2
    assert abs(rows.min() - 50.6) <= 2 and abs(rows.max() - 69.4) <= 2
    assert not image[60, 80].any()


def test_the_front_face_is_tinted():
    image = canvas()
    draw_box(image, box((0, 0, 10)), K, color=(0, 0, 255))
    assert image[60, 80, 2] > 50


def test_boxes_behind_the_camera_or_across_its_plane_draw_no_nonsense():
    image = canvas()
    draw_box(image, box((0, 0, -10)), K, color=(0, 0, 255))
    assert not image.any()
    draw_box(image, box((1.5, 0.5, 1.0)), K, color=(0, 0, 255))
    assert image[:, 80:].any() and not image[:, :70].any()  # it stands to the right of the axis


def test_masks_are_tinted_inside_alone():
    image, instance_map = canvas() + 100, np.zeros((120, 160), np.uint16)
    instance_map[40:60, 40:60] = 26001
    draw_masks(image, instance_map.astype(np.uint16), np.array([26001, 26002]))
    changed = (image != 100).any(axis=-1)
    assert changed[45:55, 45:55].all() and not changed[:38].any() and not changed[:, 62:].any()


def test_text_is_as_wide_as_told():
    image = canvas()
    draw_text(image, "frame 12", (5, 60), color=(255, 255, 255))
    columns = np.nonzero(image.any(axis=(0, 2)))[0]
    assert columns.min() >= 3 and columns.max() <= 5 + text_width("frame 12") + 3
