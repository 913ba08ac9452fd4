"""What every configuration of training has. Each trainable's own settings derive from `TrainingSettings`."""

import hashlib
import json
from typing import Any, Literal

from vsrd_ray.settings import Count, NonNegative, Positive, PositiveCount, Seed, Settings, Share

Backbone = Literal["resnet18", "resnet50"]  # of networks that look at images; see `vsrd_ray.training.backbone`
# How its features are normalised: by their batch, by statistics that stay as they were loaded, or in groups of
# channels. With the latter two an image's features do not depend on those beside it.
Norm = Literal["batch", "frozen", "group"]


class Optimisation(Settings):
    """How parameters are found."""

    steps: PositiveCount = 1000
    batch_size: PositiveCount = 8  # samples a step, over all workers
    optimiser: Literal["adam", "adamw"] = "adam"
    learning_rate: Positive = 1e-4  # of one_cycle, its peak
    weight_decay: NonNegative = 0.0
    schedule: Literal["constant", "steps", "one_cycle"] = "constant"
    milestones: tuple[int, ...] = ()  # of `steps`: where the rate is multiplied by `drop`
    drop: Positive = 0.1
    clip: NonNegative = 0.0  # largest norm of all gradients together; 0: any
    ema: Share = 0.0  # decay a step of the averaged weights that are validated and handed on; 0: none are kept
    precision: Literal["float32", "bfloat16"] = "float32"  # of activations; parameters are float32
    compile: bool = False  # by torch.compile, in whatever parts the trainable says


class Watching(Settings):
    """When training is looked at and kept; it changes nothing of what is learnt, and may differ when a run goes on."""

    note_every: PositiveCount = 50  # steps: the means of losses since the last note are kept
    checkpoint_every: PositiveCount = 1000  # steps
    keep: PositiveCount = 3  # newest checkpoints, beside the best one
    validate_every: PositiveCount = 1000  # steps
    validation_samples: Count = 64  # evenly spread over those held out; 0: none are validated
    pictures: Count = 2  # validation samples that are drawn at each validation
    best: str = "loss"  # the validation figure that makes a checkpoint the best
    best_is: Literal["lowest", "highest"] = "lowest"


class TrainingSettings(Settings):
    """Everything that decides what a network learns. A configuration names its `trainable`."""

    trainable: str  # a name that a labeler's spec gives
    seed: Seed = 0
    optimisation: Optimisation = Optimisation()
    watching: Watching = Watching()

    @property
    def in_words(self) -> str:
        """What is trained and how, in half a sentence for the first line of a run; empty where there is no choice."""
        return ""

    def decisive(self) -> dict[str, Any]:
        """The values that decide what is learnt, dumped; a rate that does not depend on the end leaves it open."""
        values = self.model_dump(mode="json", exclude={"watching"})
        if self.optimisation.schedule != "one_cycle":
            del values["optimisation"]["steps"]
        return values

    def hash(self) -> str:
        """Hexadecimal digest (12 characters) of all values."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]
