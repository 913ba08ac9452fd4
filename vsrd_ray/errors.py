"""The errors that vsrd-ray raises on purpose. Only `cli` and `jobs/` turn them into exit codes."""

import errno
import os
from collections.abc import Iterable
from difflib import get_close_matches

# What to do about errors of the operating system, by their numbers. Some machines lack some of these.
_FIXES = {
    getattr(errno, name): fix
    for names, fix in {
        "EACCES EPERM": "allow this account to use it",
        "EROFS": "what is there can be read alone: name a place that can be written",
        "ENOSPC EDQUOT": "make room",
        "EISDIR": "a file belongs there: move the folder away",
        "ENOTDIR EEXIST": "a folder belongs there: move the file away",
        "ENOENT": "bring it back, or check the path",
        "EFBIG": "allow larger files (ulimit -f), or use a file system that has them",
        "ENAMETOOLONG": "give a shorter name",
        "ELOOP": "mend the link, which leads back to itself",
        "EMFILE ENFILE": "allow more open files (ulimit -n)",
        "ENOMEM": "free memory, or use a machine with more",
    }.items()
    for name in names.split()
    if hasattr(errno, name)
}

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


def explained(error: OSError) -> str:
    """One line for the user on what the operating system could not do: where, why, and the fix."""
    if error.errno is None:
        return one_line(error)
    reason = " ".join(str(error.strerror or os.strerror(error.errno)).split())
    place = error.filename if error.filename2 is None else error.filename2
    where = f"{os.fsdecode(place)} cannot be used ({reason})" if isinstance(place, str | bytes) else reason
    return f"{where}: {fix_of(error, otherwise='check the disk, the file server and the path')}"


def fix_of(error: Exception, *, otherwise: str) -> str:
    """What to do about an error of the operating system; something else where it is none that says what it is of."""
    return _FIXES.get(error.errno or 0, otherwise) if isinstance(error, OSError) else otherwise


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like one that is none of them, in small letters or capitals; None where none is."""
    folded = {one.casefold(): one for one in known}
    nearest = get_close_matches(name.casefold(), folded, n=1, cutoff=_LIKE)
    return folded[nearest[0]] if nearest else None
