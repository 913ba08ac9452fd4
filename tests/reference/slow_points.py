"""Connected components of labelled points, pair by pair: the twin of `labelers/points/clustering.py`."""

import numpy as np


def slow_components(xyz, margin, block, scope, part):
    """Components [N], numbered by their first points; see `vsrd_ray.labelers.points.clustering`."""
    num = len(xyz)
    component = list(range(num))
    for i in range(num):
        for j in range(i):
            reach = max(
                0.04 * max(np.linalg.norm(xyz[i]), np.linalg.norm(xyz[j])),
                min(margin[i], margin[j]),
            )
            is_cut = scope[i] == scope[j] and part[i] != part[j]
            if block[i] == block[j] and not is_cut and np.linalg.norm(xyz[i] - xyz[j]) < reach:
                old, new = component[i], component[j]
                component = [new if one == old else one for one in component]
    order = list(dict.fromkeys(component))
    return np.array([order.index(one) for one in component])
