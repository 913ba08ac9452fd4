"""RenderOcc (Pan et al., ICRA 2024) and SplattingOcc, its fork, as published: samples, compositing, losses, weights.

`marching` holds RenderOcc's rays and compositing, and the twin with exact lengths that ours trains with; `losses` the
losses of both. The rasteriser of SplattingOcc is `vsrd_ray.rendering.splatting`. Quirks keep their places here by
name, to be compared with; nothing else uses them.
"""
