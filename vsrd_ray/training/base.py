"""What can be trained: `Trainable`, which a labeler writes, and its spec, by which it is found.

Nothing here imports torch when it is imported. Shapes: B samples of a batch, H x W pixels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar

import numpy as np

from vsrd_ray.data.drive import IMAGES, Drive
from vsrd_ray.storage import Location
from vsrd_ray.training.settings import TrainingSettings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vsrd_ray.training.draws import Draws
    from vsrd_ray.training.pieces import PieceStore

Sample = dict[str, Any]  # name -> CPU tensor; without a batch axis
Batch = dict[str, Any]  # name -> tensor [B, ...] on the model's device
Part = Literal["train", "validation", "all"]  # of the samples
S = TypeVar("S", bound=TrainingSettings)


@dataclass(frozen=True)
class Term:
    """A loss or a figure as a sum over a batch and what it is divided by, so that workers can be added up.

    Its value is the sum over all workers divided by the count over all workers; 0 where the count is 0.
    """

    sum: Tensor  # scalar, differentiable where it is a loss; added up in float32 under bfloat16 too
    count: Tensor | float  # of what was added up: pixels, rays, images; no gradient passes it
    weight: float = 1.0  # in the loss; 0 for what is only noted


@dataclass(frozen=True)
class TrainedModel:
    """What training has made: weights, and the settings that they were trained with."""

    trainable: str
    settings: dict[str, Any]  # dumped
    state: dict[str, Tensor]  # of the model, on the CPU; the averaged weights where such were kept
    step: int
    digest: str  # hexadecimal, of the file's bytes: the provenance of what is made with it


@dataclass(frozen=True)
class Piece:
    """One thing that samples are made of, prepared once and kept: an image decoded and resized, say.

    It is small and picklable: it says what to make, and `Trainable.make` makes it.
    """

    name: str  # unique; it is the name of its file, and names all that its content depends on, as the size
    drive: Drive  # with the frames that making it reads (`Drive.part`)
    detail: Any = None  # of the trainable's own


class Samples(Protocol):
    """Samples by number. Reading one twice with equal draws gives equal tensors, in whatever process."""

    @property
    def ids(self) -> Sequence[str]:
        """A name for each sample, unique: draws are seeded by it, and errors name it."""
        ...

    def read(self, index: int, draws: Draws) -> Sample:
        """One sample on the CPU; augmentation draws from `draws`, which is of this sample and step alone."""
        ...


class Trainable(ABC, Generic[S]):
    """A network with its samples and losses, built for some settings. Workers each build their own.

    1 worker and many agree to rounding if these rules are kept: everything random comes from `Draws`; losses are sums
    and counts over samples; samples of a batch do not see each other (no batch norm in training mode).
    """

    def __init__(self, settings: S) -> None:
        self.settings = settings

    def pieces(self, drives: Sequence[Drive]) -> Sequence[Piece]:
        """What to prepare once before training; by default nothing. The samples of all parts together need them."""
        return ()

    def make(self, piece: Piece) -> np.ndarray:
        """The content of a piece, of a plain dtype: equal bytes whoever makes it."""
        raise TypeError(f"{type(self).__name__} has pieces and does not make them")

    @abstractmethod
    def samples(self, drives: Sequence[Drive], part: Part, store: PieceStore) -> Samples:
        """Samples of some drives.

        Args:
            drives: open, in the order that the user named them.
            part: "all" where the user names drives for validation; else those to learn from, or those held out
                (`held_out` splits by blocks, for trainables without a published split).
            store: reads the pieces.

        Raises:
            InputError: drives that cannot be trained on, with what they lack.
        """

    def teacher(self, location: Location) -> Any:
        """What `--teacher` names, for `model`: what a run has trained, unless a trainable learns from other things.

        Raises:
            InputError: there is none, or it cannot be used.
        """
        from vsrd_ray.training.checkpoints import load_trained  # noqa: PLC0415 - imports torch

        return load_trained(location)

    @abstractmethod
    def model(self, teacher: Any) -> nn.Module:
        """A network to train, on the CPU, initialised from torch's generator, which is seeded by the run.

        It is set to training by its own `train`, which is the place to keep batch norms frozen.

        Args:
            teacher: what `teacher` read, a `TrainedModel` unless it is overridden; None where none is given.

        Raises:
            InputError: a teacher is needed and not given, or it is none for this network.
        """

    def initial(self, model: nn.Module, given: TrainedModel) -> None:
        """Start from the weights of another run (`--init RUN`): all of them, unless a trainable knows better.

        Raises:
            InputError: they do not fit, with the tensors that do not.
        """
        from vsrd_ray.training.checkpoints import load_state  # noqa: PLC0415 - imports torch

        load_state(model, given.state, source="--init")

    @abstractmethod
    def loss(self, model: nn.Module, batch: Batch, draws: Draws) -> dict[str, Term]:
        """Terms of the loss of a batch by name, each with its weight; those of weight 0 are noted only.

        Every batch has the same names, with a count of 0 where it has nothing to say of one. None is named "loss".
        """

    def validate(self, model: nn.Module, batch: Batch, draws: Draws) -> dict[str, Term]:
        """Figures of a batch by name, without gradients; by default the losses. "loss" is added where it lacks."""
        return self.loss(model, batch, draws)

    def pictures(self, model: nn.Module, batch: Batch, draws: Draws) -> dict[str, np.ndarray]:
        """Images [H, W, 3] uint8, BGR, of a batch of one sample by name (a plain word), such as depth and profile."""
        return {}

    def collate(self, samples: Sequence[Sample]) -> Batch:
        """A batch of samples: by default the tensors of each name are stacked."""
        import torch  # noqa: PLC0415 - takes two seconds

        return {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}

    def compile(self, model: nn.Module) -> None:
        """Compile the model in place, for `optimisation.compile`: by default its forward."""
        model.compile()


@dataclass(frozen=True)
class TrainingNeeds:
    """What a trainable needs of a drive."""

    layers: tuple[str, ...] = (IMAGES,)
    all_cameras: bool = False  # of the dataset, and not the one that the user names or the first
    side_cameras: bool = False  # with those that only training looks through, such as fisheyes, where there are any


def _images_alone(settings: Any) -> TrainingNeeds:
    return TrainingNeeds()


@dataclass(frozen=True)
class TrainableSpec(Generic[S]):
    """What the house knows of a trainable without importing torch; a labeler's spec lists its own.

    Configurations ship as `configs/training/<name>.yaml` beside the module of `settings`, and hold its name as
    `trainable`.
    """

    name: str
    summary: str  # one line
    settings: type[S]
    build: Callable[[S], Trainable[S]]  # here is the place for heavy imports
    needs: Callable[[S], TrainingNeeds] = field(default=_images_alone)


def held_out(count: int, part: Part, *, share: float, block: int = 1) -> range | list[int]:
    """Numbers of the samples of a part: blocks of neighbours, evenly spread, are held out for validation.

    Args:
        count: of all samples, in the order of the drive.
        part: whose numbers are wanted.
        share: of the blocks that are held out, at least one where there are two.
        block: samples of a block; neighbours show the same, so that single ones would not tell much.
    """
    blocks = -(-count // block)
    if part == "all":
        return range(count)
    wanted = min(max(1, round(share * blocks)), blocks - 1) if share > 0 and blocks > 1 else 0
    out = {int((2 * number + 1) * blocks / (2 * wanted)) for number in range(wanted)}
    return [index for index in range(count) if (index // block in out) == (part == "validation")]
