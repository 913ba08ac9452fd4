"""Volume rendering: pure functions of tensors, shared by every labeler.

`rays` casts rays through pixels, `sampling` places samples along them, `sdf` turns signed distances into densities,
`silhouettes` composes these; `compositing` composes densities, `images` looks points up in posed images, and
`projection` is the differentiable twin of `vsrd_ray.geometry.cameras`. Device and
dtype come from the inputs; each function has a slow twin in the tests, forwards and backwards.

Owns: differentiable rendering.
Does not own: what is optimised with it, and how (`labelers`).
"""
