"""One module a format: each holds a `vsrd_ray.masks.base.MaskFormat` as `SPEC`, and nothing else names it."""
