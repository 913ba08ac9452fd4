"""How the output folder of training is laid out: the only module that spells a path in one.

RUN/
training.json                what is trained, with what, and how it ended
progress.json                how far it is, written now and then
history.jsonl                a line for each note: step, learning rate, losses, figures of validation
checkpoints/step-<n>.pt      the newest ones; checkpoints/best.pt is the one that validates best
pictures/<name>-<n>.png      what validation samples look like, by step
tensorboard/                 the history and pictures for TensorBoard, where that is installed
cache/                       pieces of samples, unless another folder is named
"""

import re
from dataclasses import dataclass

from vsrd_ray.runs.paths import TRAINING
from vsrd_ray.storage import Location, names_in

_CHECKPOINT = re.compile(r"step-(\d{10})\.pt")


@dataclass(frozen=True)
class TrainingPaths:
    """The paths of one run's folder."""

    run: Location

    @property
    def record(self) -> Location:
        """What is trained, and how it ended."""
        return self.run / TRAINING

    @property
    def progress(self) -> Location:
        """How far it is."""
        return self.run / "progress.json"

    @property
    def history(self) -> Location:
        """Losses and figures over the steps."""
        return self.run / "history.jsonl"

    @property
    def tensorboard(self) -> Location:
        """The same for TensorBoard."""
        return self.run / "tensorboard"

    @property
    def cache(self) -> Location:
        """Pieces of samples."""
        return self.run / "cache"

    @property
    def best(self) -> Location:
        """The checkpoint that validates best."""
        return self.run / "checkpoints" / "best.pt"

    def checkpoint(self, step: int) -> Location:
        """The checkpoint after so many steps."""
        return self.run / "checkpoints" / f"step-{step:010d}.pt"

    def checkpoints(self) -> dict[int, Location]:
        """Those that are there, by step, ascending."""
        matches = (_CHECKPOINT.fullmatch(name) for name in names_in(self.best.parent))
        return {int(match[1]): self.checkpoint(int(match[1])) for match in matches if match}

    def picture(self, name: str, step: int) -> Location:
        """An image of validation after so many steps."""
        return self.run / "pictures" / f"{name}-{step:010d}.png"
