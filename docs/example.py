"""vsrd-ray in a notebook: a street, its frame groups, the labels of one of them, and a picture.

    python docs/example.py [FOLDER]

The street is made in FOLDER (`street` by default) unless it is there; labels and a picture are written beside it.
"""

import sys
from pathlib import Path

import cv2

import vsrd_ray
from vsrd_ray.synthetic import StreetSettings, synthesize

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "street")
street = StreetSettings(frames=24, cars=6, image_size=(704, 188), seed=3)
if not folder.exists():
    synthesize(folder, street)

# A sequence is calibration and poses; pixels are read when they are needed.
sequence = vsrd_ray.open_sequence(folder, street.sequence)
print(f"{len(sequence.mask_frames)} frames of {sequence.image_size[0]} x {sequence.image_size[1]} px")

# Groups name frames and instances. Small images show small cars: ask for less than on KITTI-360.
config = vsrd_ray.load_config("fast", ["grouping={min_area: 40, min_box_side: 6}", "masks.softness=3.0"])
groups = vsrd_ray.make_groups(sequence, config=config)
print(f"{len(groups)} groups; the first has the instances {groups[0].plan.instance_ids}")

# An Arrow table: a row for each box and frame. labels.to_pandas() makes a DataFrame of it.
labels = vsrd_ray.label_group(groups[0], config=config)
for row in labels.to_pylist()[:3]:
    print("frame {frame}: instance {instance_id}, {length:.2f} x {width:.2f} x {height:.2f} m".format_map(row))

# A whole sequence, in this process; ray=True takes all cores. What it writes is read in one go.
output = folder.with_name(f"{folder.name}-labels")
print(vsrd_ray.label(folder, street.sequence, output, config=config))
quality = vsrd_ray.evaluate(output, folder)
print(f"mean IoU3D of {quality['overall']['count']} true boxes: {quality['overall']['iou_3d']['mean']:.2f}")
print(vsrd_ray.export(output, folder, folder.with_name(f"{folder.name}-kitti"), format="kitti", min_confidence=0.5))
labels = vsrd_ray.read_labels(output)
print(f"{labels.num_rows} boxes in {len(labels['frame'].unique())} frames")

frame = labels["target_frame"][0].as_py()
picture = folder.with_suffix(".png")
cv2.imwrite(str(picture), cv2.cvtColor(vsrd_ray.draw_frame(sequence, frame, labels), cv2.COLOR_RGB2BGR))
print(f"frame {frame} drawn: {picture}")
