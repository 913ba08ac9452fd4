"""What is seen of training, written by the first worker: history, progress, pictures, TensorBoard."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np

from vsrd_ray.errors import InputError, one_line
from vsrd_ray.storage import Location, is_local, read_bytes
from vsrd_ray.storage.atomic import atomic_write
from vsrd_ray.training.paths import TrainingPaths
from vsrd_ray.training.record import TrainingProgress, write_progress

logger = logging.getLogger(__name__)

SECONDS_PER_NOTE = 5.0  # at most, between two notes of progress
# Told of progress now and then: a progress bar, or metrics.
Listener = Callable[[TrainingProgress], None]


class Watch:
    """Keeps what training tells. Lines of the history depend on the run alone, so that they can be compared."""

    def __init__(self, run: Location, *, step: int, steps: int, best: float | None, listener: Listener | None) -> None:
        """Go on after a step: what earlier starts noted of later ones is forgotten."""
        self._paths, self._run, self._steps, self._listener = TrainingPaths(run), run, steps, listener
        self._lines = [line for line in _history(self._paths.history) if line["step"] <= step]
        self._first, self._started, self._noted = step, time.monotonic(), 0.0
        self._board = _tensorboard(self._paths.tensorboard, step)
        losses = [line["loss"] for line in self._lines if line["kind"] == "train"]
        self.loss: float | None = losses[-1] if losses else None
        self.best = best

    def note(self, step: int, values: Mapping[str, float], *, kind: str) -> None:
        """Keep numbers of a step: "train" means since the last note, or those of "validation"."""
        self._lines.append({"step": step, "kind": kind, **values})
        if kind == "train":
            self.loss = values["loss"]
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{kind}/{name}", value, step)

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """Keep an image [H, W, 3] uint8, BGR."""
        encoded = cv2.imencode(".png", image)[1]
        with atomic_write(self._paths.picture(name, step)) as temporary:
            temporary.write_bytes(encoded.tobytes())
        if self._board is not None:
            self._board.add_image(name, np.ascontiguousarray(image[..., ::-1]), step, dataformats="HWC")

    def write(self) -> None:
        """Write the history."""
        with atomic_write(self._paths.history) as temporary:
            temporary.write_text("".join(f"{json.dumps(line)}\n" for line in self._lines))
        if self._board is not None:
            self._board.flush()

    def progress(self, step: int, *, memory_bytes: int, is_last: bool = False) -> None:
        """Say how far training is, if it was not just said."""
        now = time.monotonic()
        if now - self._noted < SECONDS_PER_NOTE and not is_last:
            return
        self._noted = now
        seconds = now - self._started
        rate = (step - self._first) / seconds if step > self._first and seconds else None
        progress = TrainingProgress(step, self._steps, self.loss, self.best, rate, memory_bytes)
        write_progress(progress, self._run)
        if self._listener is not None:
            self._listener(progress)

    def close(self) -> None:
        """Nothing more will be told."""
        if self._board is not None:
            self._board.close()


def _history(path: Location) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in read_bytes(path).splitlines()]
    except FileNotFoundError:
        return []
    except (ValueError, OSError) as error:
        raise InputError(f"{path} cannot be read ({one_line(error)}): remove it, and the curve begins anew") from error


def _tensorboard(folder: Location, step: int) -> Any:
    if not is_local(folder):
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 - an optional package
    except ImportError:
        logger.debug("no TensorBoard here: losses are kept in history.jsonl alone")
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
