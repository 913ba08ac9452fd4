"""Instance masks from files of other formats, in place of a dataset's own.

A format is one module in `formats/`, which is found by being there: it holds a `MaskFormat` as `SPEC`. Everything else
works on `Mask`, and ends in an instance map as `vsrd_ray.data.classes` has it.
"""
