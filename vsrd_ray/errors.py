"""The errors that vsrd-ray raises on purpose. Only `cli` and `jobs/` turn them into exit codes."""


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
