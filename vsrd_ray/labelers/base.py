"""What every labeler is: a spec that plans and builds, and the labeler itself, which prepares groups and labels them.

Pixels are large and what a fit needs of them is little: they stay where they were read, and what was prepared of them
goes to the device.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import pyarrow as pa

from vsrd_ray import plugins
from vsrd_ray.data.classes import ClassTable
from vsrd_ray.data.drive import IMAGES, Drive
from vsrd_ray.data.groups import FrameGroup, GroupFrames, GroupPlan
from vsrd_ray.labels.base import Importer
from vsrd_ray.settings import LabelerSettings
from vsrd_ray.training.base import TrainableSpec

if TYPE_CHECKING:
    import click

# Called with the step and its values (losses, boxes); kept by `vsrd-ray label --trace`.
TraceSink = Callable[[int, dict[str, Any]], None]
# Makes the convex solids behind a label row, for pictures.
Solids = Callable[[dict[str, Any]], list[Any]]
# What a labeler wrote: a table for each kind of label, by the kind's name.
Output = dict[str, pa.Table]

C = TypeVar("C", bound=LabelerSettings)


@dataclass(frozen=True)
class PreparedGroup(GroupFrames):
    """A frame group with what one kind of labeler needs of its pixels: small, picklable, and on the CPU."""

    payload: Any  # of that labeler's own, and nobody else's business

    @staticmethod
    def of(group: GroupFrames, payload: Any) -> "PreparedGroup":
        """The group with a payload instead of its pixels."""
        return PreparedGroup(
            plan=group.plan,
            class_names=group.class_names,
            views=group.views,
            label_frames=group.label_frames,
            payload=payload,
        )


@dataclass(frozen=True)
class Provenance:
    """What made a label."""

    labeler: str
    config_hash: str
    seed: int

    @staticmethod
    def of(config: LabelerSettings) -> "Provenance":
        """The provenance of labels that a configuration makes."""
        return Provenance(labeler=config.labeler, config_hash=config.hash(), seed=config.seed)


class Labeler(Protocol):
    """Turns frame groups into tables of labels in three steps.

    `prepare` wants pixels and a CPU, `label` the device, `output` neither. They may run in different processes, each
    with a labeler of the same configuration. Its constructor is cheap; one that only prepares is never set up.
    """

    def setup(self) -> None:
        """Make what is costly and only labelling needs; once a process, before its first label. Again is harmless."""
        ...

    def prepare(self, group: FrameGroup) -> PreparedGroup:
        """What labelling needs of a group, worked out on the CPU; it depends on the group and the configuration alone.

        It keeps no reference to the group's pixels.
        """
        ...

    def label(self, prepared: PreparedGroup, *, seed: int, trace: TraceSink | None = None) -> Any:
        """What there is in a group, in whatever form `output` takes.

        The result depends on the group, the configuration and the seed alone, and never on what was labelled before.
        """
        ...

    def label_many(self, prepared: Sequence[PreparedGroup], *, seed: int) -> list[Any]:
        """What `label` makes of each group, to rounding, but sooner where a device does many at once.

        Of a group that fails, the error.
        """
        ...

    def output(self, found: Any, prepared: PreparedGroup, provenance: Provenance) -> Output:
        """What was found in a group as tables, one for each kind that the labeler's spec says it writes.

        Rows are in the schema and the order of the kind, and lie in the group's label frames.
        """
        ...


@dataclass(frozen=True)
class Needs:
    """What a labeler needs of a drive."""

    layers: tuple[str, ...] = (IMAGES,)  # that a frame must have to be used; see `vsrd_ray.data.drive`
    all_cameras: bool = False  # of the dataset, and not the one that the user names or the first
    mask_ids: bool = True  # ids of masks hold over frames; given masks without such are tracked


@dataclass(frozen=True)
class Wanted:
    """What a run is asked for beside its configuration."""

    classes: tuple[str, ...]
    limit: int | None = None
    frames: frozenset[int] | None = None  # targets of groups; None: as the labeler chooses


@dataclass(frozen=True)
class Resources:
    """What a labeler takes of a machine."""

    seconds_a_batch: float = 600.0  # that no batch of groups takes unless something hangs
    gpu_batch: int = 1  # groups that an actor on a GPU is given at once
    payload_bytes: int = 2**20  # of a prepared group, about


def _nothing_to_check(config: Any, wanted: Wanted, classes: ClassTable) -> None:
    """Every configuration goes with every class."""


def _nothing_planned(index: pa.Table, config: Any, wanted: Wanted) -> str:
    return "the labeler plans none for its frames"


def _as_it_is(config: Any) -> Resources:
    return Resources()


def _no_trainables() -> tuple[TrainableSpec[Any], ...]:
    return ()


def _no_commands() -> "tuple[click.Command, ...]":
    return ()


@dataclass(frozen=True)
class LabelerSpec(Generic[C]):
    """What the house knows of a labeler without importing what it computes with.

    It is `SPEC` in the module `spec` of the labeler's folder, or what an entry point of the group `vsrd_ray.labelers`
    refers to.
    """

    name: str
    summary: str  # one line for `vsrd-ray labelers`
    config: type[C]  # its dump is hashed, nothing else; configurations ship in the folder `configs` beside it
    writes: tuple[str, ...]  # kinds of label
    needs: Callable[[C], Needs]
    plan: Callable[[Drive, pa.Table, C, Wanted], Sequence[GroupPlan]]  # drive, its index (`INDEX_SCHEMA`), …
    build: Callable[[C, str], Labeler]  # for a torch device; here is the place for heavy imports
    classes: tuple[str, ...] = ()  # that are labelled unless the user names others
    check: Callable[[C, Wanted, ClassTable], None] = _nothing_to_check  # raises InputError before anything begins
    why_no_group: Callable[[pa.Table, C, Wanted], str] = _nothing_planned  # half a sentence about an index
    resources: Callable[[C], Resources] = _as_it_is
    commands: Callable[[], "tuple[click.Command, ...]"] = _no_commands  # that `vsrd-ray` offers beside its own
    importer: Importer | None = None  # of labels that kinds cannot take back without the labeler
    trainables: Callable[[], tuple[TrainableSpec[Any], ...]] = _no_trainables  # that `vsrd-ray train` trains
    solids: Callable[[C], Solids] | None = None  # what the labels were fitted as, for pictures


def spec_of(config: LabelerSettings) -> LabelerSpec[Any]:
    """The spec of the labeler that a configuration names.

    Raises:
        InputError: it is not installed.
    """
    return plugins.load("labelers", config.labeler)


def build_labeler(config: LabelerSettings, device: str) -> Labeler:
    """The labeler of a configuration, for a torch device.

    Raises:
        InputError: it is not installed.
    """
    return spec_of(config).build(config, device)
