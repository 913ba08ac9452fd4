"""Weights that a configuration of labelling names, known by their content. Imports no torch."""

import hashlib

from vsrd_ray.storage import Location, open_location, read_bytes
from vsrd_ray.training.paths import TrainingPaths


def with_digest(values: dict[str, object]) -> dict[str, object]:
    """Values of a configuration, with the digest of the file that `checkpoint` names as `weights`.

    So a checkpoint that has changed makes another run.

    Raises:
        ValueError: there is no such checkpoint, or it is not the one whose digest is given.
    """
    if not values.get("checkpoint"):
        return values
    path = checkpoint_file(open_location(str(values["checkpoint"])))
    if not path.exists():
        if values.get("weights"):
            return values  # of a run that is looked at where its weights are not
        raise ValueError(f"no checkpoint {values['checkpoint']}: give a run of `vsrd-ray train`, or a file")
    found = hashlib.sha256(read_bytes(path)).hexdigest()[:12]
    if values.get("weights") not in (None, "", found):
        raise ValueError(f"the weights in {values['checkpoint']} are not those of before")
    return values | {"weights": found}


def checkpoint_file(run_or_file: Location) -> Location:
    """The file that holds a run's weights: those that validated best, else the newest."""
    if run_or_file.suffix in (".pt", ".pth"):
        return run_or_file
    paths = TrainingPaths(run_or_file)
    return paths.best if paths.best.exists() else next(reversed(paths.checkpoints().values()), paths.best)
