"""VSRD: boxes from instance masks, by volumetric silhouette rendering or by bodies fitted to outlines.

The published method (CVPR 2024) optimises the boxes of a group of frames through rendered silhouettes. The default
here fits a body with a learned shape prior to each instance's contours over the whole drive, which is better and a
tiny share of the work; docs/method.md tells how. `grouping` and `scene` plan groups, `observations` and `outlines`
prepare what masks say, `bodyfit` and `comparisons` fit bodies, `ground`, `motion` and `movers` those that move,
`optimise`, `targets` and `residual` are the volumetric steps. `published` reads and writes the files of VSRD's own
tools.

Owns: these methods, `shape_priors/`, `configs/`, the commands `train-prior`, `sample` and `annotate`.
Does not own: the rows of boxes, KITTI text, evaluation: they belong to the kind `boxes`.
"""
