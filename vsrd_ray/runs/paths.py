"""How an output folder is laid out: the only module that spells a path in one.

OUTPUT/
manifest.json                           what the run is, and how it stands
groups/<group or compacted file>.parquet   a row for each group: the mark that its labels are there
<kind>/sequence=<drive>/<same name>.parquet   labels, a folder for each kind; those of boxes are in labels/
index/<drive>.parquet                   the frames and mask instances that the groups were planned from
kitti/<drive>/<camera>/label_2/…txt     label texts of boxes
superseded/<drive>-<n>/                 labels of other inputs, from before they were labelled again
.poses/<drive>/…txt                     COLMAP models that the run made of images
trace/, corrections/, .before-import/, pictures/, evaluation.json, report.html, sheet.png
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from vsrd_ray.storage import Location, relative

TRAINING = "training.json"  # what a folder of `vsrd-ray train` has, and no output of labelling
_TEMPORARY = re.compile(r"\..+\.\d+\.tmp(\.\w+)?")  # what atomic_write writes to
_SEQUENCE = "sequence="  # hive partitioning, by which readers of datasets know the column
_BROUGHT_IN = "human-"  # begins the names of files of labels that no run wrote


@dataclass(frozen=True)
class RunPaths:
    """The paths of one output folder."""

    output: Location

    @property
    def manifest(self) -> Location:
        """What the run is and how it stands, for tools outside the project too."""
        return self.output / "manifest.json"

    @property
    def lock(self) -> Location:
        """What keeps a second run out."""
        return self.output / ".lock"

    @property
    def attempts(self) -> Location:
        """Failed attempts, for the next run should this one be killed."""
        return self.output / ".attempts.json"

    @property
    def poses(self) -> Location:
        """COLMAP models, a folder for each drive, that the run made of images; hidden, since they come before it."""
        return self.output / ".poses"

    @property
    def groups(self) -> Location:
        """The table of groups."""
        return self.output / "groups"

    def tables(self, folder: str) -> Location:
        """The dataset of one kind of label."""
        return self.output / folder

    def table(self, folder: str, sequence: str) -> Location:
        """The part of it that is of one drive."""
        return self.output / folder / f"{_SEQUENCE}{sequence}"

    def brought_in(self, folder: str, sequence: str, camera: str) -> Location:
        """The labels of one drive and camera that a human gave, beside those of runs."""
        return self.table(folder, sequence) / f"{_BROUGHT_IN}{camera}.parquet"

    def index(self, sequence: str) -> Location:
        """The index of one drive."""
        return self.output / "index" / f"{sequence}.parquet"

    def finished(self, sequence: str) -> Location:
        """The note that all groups of a drive are labelled."""
        return self.output / "index" / f".{sequence}.finished.json"

    def texts(self, folder: str) -> Location:
        """Label texts of one kind."""
        return self.output / folder

    def trace(self, group_id: str) -> Location:
        """Losses and boxes over the steps of a group."""
        return self.output / "trace" / f"{group_id}.parquet"

    def tensorboard(self, group_id: str) -> Location:
        """The same numbers for TensorBoard."""
        return self.output / "trace" / "tensorboard" / group_id

    @property
    def corrections(self) -> Location:
        """Tables of the frames that a human has reviewed, one a drive."""
        return self.output / "corrections"

    @property
    def superseded(self) -> Location:
        """What was labelled of other inputs under the same name: a folder for each time, laid out as OUTPUT is."""
        return self.output / "superseded"

    @property
    def before_import(self) -> Location:
        """What the last import of corrections has replaced, so that it can be undone."""
        return self.output / ".before-import"

    @property
    def evaluation(self) -> Location:
        """What `vsrd-ray evaluate` found."""
        return self.output / "evaluation.json"

    @property
    def report(self) -> Location:
        """The HTML report."""
        return self.output / "report.html"

    def film(self, what: str) -> Location:
        """A film of what was labelled."""
        return self.output / f"{what}.mp4"

    @property
    def pictures(self) -> Location:
        """Drawn frames."""
        return self.output / "pictures"

    @property
    def sheet(self) -> Location:
        """One picture of the whole run."""
        return self.output / "sheet.png"

    def relative(self, path: Location) -> str:
        """A path below the output folder as a text that does not depend on where the folder is."""
        return relative(path, self.output)


def is_training(output: Location) -> bool:
    """Whether a folder is that of `vsrd-ray train`, and of no labelling."""
    return (output / TRAINING).exists()


def is_brought_in(name: str, sequence: str = "") -> bool:
    """Whether a file of labels, of a drive if it is given, is what a human gave, and not what a run wrote."""
    is_of_run = bool(sequence) and name.startswith(f"{sequence}-")
    return name.startswith(_BROUGHT_IN) and name.endswith(".parquet") and not is_of_run


def drive_of(name: str, drives: Iterable[str], camera: str) -> str | None:
    """The drive that a file in groups/ or of labels is of, by its name; a drive's name may begin like another's."""
    found = [drive for drive in drives if name.startswith(f"{drive}-")]
    with_camera = [drive for drive in found if name.startswith(f"{drive}-{camera}-")]
    return max(with_camera or found, key=len, default=None)


def is_temporary(name: str) -> bool:
    """Whether a file is what a run that was killed was writing."""
    return _TEMPORARY.fullmatch(name) is not None
