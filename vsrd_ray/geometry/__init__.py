"""Rigid transforms, cameras, boxes and their overlaps, as functions of arrays.

`rigid` has transforms `T_a_b`, which map coordinates of b into a. `boxes` draws the corner order once and holds
`UprightBoxes`, the one class for boxes in the world. `cameras` projects boxes and has the one IoU of 2D boxes; `iou`
has the exact IoU of 3D boxes, and KITTI-360's own for comparison. `outlines` and `polygons` clip and measure.

Owns: conventions of frames, corners and angles; metres and radians.
Does not own: columns of tables (`labels`), differentiable twins (`rendering`).
"""
