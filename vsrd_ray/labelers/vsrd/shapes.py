"""The bodies behind labels, for those who draw them.

Shapes: Q vertices of a solid, L latents.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vsrd_ray.labelers.vsrd.bodies import Body
from vsrd_ray.labelers.vsrd.config import VSRDConfig
from vsrd_ray.labelers.vsrd.priors import load_prior
from vsrd_ray.labels.boxes.columns import box_of

# From a body's axes (x right, y down, z forward) to those of boxes (x forward, y left, z up).
_R_FLU_RDF = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


class LabelBodies:
    """Makes the body of a label row out of its box and its column `shape`."""

    def __init__(self, config: VSRDConfig) -> None:
        """The bodies of a run with a configuration.

        Raises:
            ConfigError: a shape prior that is no longer there.
        """
        self._priors = {name: load_prior(size.body) for name, size in config.box.sizes.items()}

    def solids(self, row: Mapping[str, Any]) -> list[np.ndarray]:
        """The convex solids of a label's body, each as its vertices [Q, 3], metres, world.

        None for a row without a shape, such as one that a human drew, or of a class that the configuration lacks.

        Args:
            row: of `LABEL_SCHEMA`; its class, its box in the world and its shape.
        """
        prior = self._priors.get(row["class_name"])
        if not row["shape"] or prior is None:
            return []
        latents = np.array(row["shape"], dtype=np.float64)[: len(prior.basis)]
        vertices = prior.mean + np.tensordot(latents, prior.basis[: len(latents)], axes=1)
        box = box_of(row)
        local = vertices @ _R_FLU_RDF.T * (box.dimensions_lwh / 2)
        cos, sin = np.cos(box.yaws), np.sin(box.yaws)
        R_world_obj = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        return Body(local @ R_world_obj.T + box.centers).solids
