"""What manifest.json has to hold so that it can be gone by: it may have been edited, or written by another version."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, NonNegativeInt, ValidationError


def check_manifest(manifest: dict[str, Any]) -> None:
    """Refuse a manifest with values that no run writes; what it holds beyond them may be anything.

    Raises:
        ValueError: the first such value, by the way to it.
    """
    try:
        _Manifest.model_validate(manifest)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        given = "" if first["type"] == "missing" else f", got {first['input']!r:.60}"
        raise ValueError(f"{place}: {first['msg']}{given}") from None


def _check_time(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("a time without its zone")
    return text


class _Part(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


class _Inputs(_Part):
    frames: dict[str, NonNegativeInt]
    skipped_frames: dict[str, dict[str, NonNegativeInt]]
    fingerprints: dict[str, str] = {}
    identities: dict[str, dict[str, str]] = {}
    given: dict[str, str] = {}


class _Counts(_Part):
    frames: NonNegativeInt = 0
    labelled_frames: NonNegativeInt = 0
    groups: NonNegativeInt = 0
    groups_ok: NonNegativeInt = 0
    groups_failed: NonNegativeInt = 0
    boxes: NonNegativeInt = 0
    rows: dict[str, NonNegativeInt] = {}
    doubtful: dict[str, NonNegativeInt] = {}
    skipped: dict[str, NonNegativeInt] = {}


class _Failure(_Part):
    group_id: str
    error: str


class _Seconds(_Part):
    wall: float
    device: float


class _Progress(_Part):
    time: Annotated[str, AfterValidator(_check_time)]
    sequences: NonNegativeInt
    planned: NonNegativeInt = 0
    groups: NonNegativeInt = 0
    groups_ok: NonNegativeInt = 0
    groups_failed: NonNegativeInt = 0
    groups_retried: NonNegativeInt = 0
    groups_new: NonNegativeInt = 0
    boxes_new: NonNegativeInt = 0
    seconds: float = 0.0


class _Manifest(_Part):
    status: str
    config: dict[str, Any]
    inputs: _Inputs
    counts: _Counts  # empty before a run has ended
    failures: list[_Failure]
    seconds: _Seconds
    unusable_sequences: dict[str, str] | None = None
    warnings: dict[str, list[str]] | None = None
    poses: dict[str, Any] = {}
    error: str | None = None
    progress: _Progress | None = None
