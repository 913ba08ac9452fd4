"""The errors that vsrd-ray raises on purpose. Only `cli` and `jobs/` turn them into exit codes."""

from collections.abc import Iterable
from difflib import get_close_matches

_LIKE = 0.4  # of 1: names that are less alike than this have nothing to do with each other


class VSRDRayError(Exception):
    """Base of every error whose message is written for the user: what, where, and the fix."""


class InputError(VSRDRayError):
    """A dataset, file or value that was given cannot be used as it is."""


class ConfigError(VSRDRayError):
    """A configuration that is not valid: an unknown key, a value out of its range, a file that is no YAML."""


class OutputError(VSRDRayError):
    """An output folder that cannot take this run, such as one that holds a run with other settings."""


class WorkerError(VSRDRayError):
    """Workers cannot be started, or end without a result: the run cannot go on."""


class UnreadableFrameError(InputError):
    """One frame's file is truncated or corrupt: the frame is skipped and counted, and the run goes on."""


class TerminatedError(KeyboardInterrupt):
    """The process was asked to end, as schedulers ask: by SIGTERM. What is done for Ctrl-C is done for it too."""


def one_line(error: BaseException) -> str:
    """The kind of an error and its message in one line, such as "ValueError: no such thing"."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like one that is none of them, in small letters or capitals; None where none is."""
    folded = {one.casefold(): one for one in known}
    nearest = get_close_matches(name.casefold(), folded, n=1, cutoff=_LIKE)
    return folded[nearest[0]] if nearest else None
