"""Every error a user is meant to read, with the exit code its command ends with.

Covers: one small hierarchy; each message is one line that says what, where, which value, and what to do. Credentials
in URLs never stand in one.
Does not cover: programming mistakes, which stay ordinary Python exceptions with a traceback.
"""

from __future__ import annotations

from funkflow.tasks.redact import masked


class FunkflowError(Exception):
    """Base of the errors shown as one line. `exit_code` is what the command ends with.

    Subclasses take the finished message as their only argument, so that they survive pickling between processes.
    """

    exit_code = 1

    def __init__(self, message: str) -> None:
        self.message = masked(message)
        super().__init__(self.message)


class SettingsError(FunkflowError):
    """A setting or a command-line argument is wrong."""

    exit_code = 2


class BadInput(FunkflowError):
    """The raw data is wrong: names the file, the line and the value."""

    exit_code = 3


class CannotFit(FunkflowError):
    """The run would need more memory or disk than there is: gives both numbers."""

    exit_code = 4


class ModelRefused(FunkflowError):
    """The new model did not pass its gate: the one in use stays."""

    exit_code = 5


class TryAgainLater(FunkflowError):
    """Nothing is wrong with the request, but the root is locked or the cluster is not there."""

    exit_code = 75


class RootIsHeld(TryAgainLater):
    """Another run holds the root."""


class DamagedFile(FunkflowError):
    """A published file is missing, cut short, or does not match its checksum or version."""


class Diverged(FunkflowError):
    """A factor became infinite or not a number."""


class NotConverged(FunkflowError):
    """A method of the SVD did not find the singular values asked for."""


class WrongGradient(FunkflowError):
    """A gradient is not that of its function, as difference quotients show."""


class ShardMismatch(FunkflowError):
    """A rating points outside the shard it was given."""
