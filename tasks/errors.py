"""Errors for users, with the exit codes of commands.

Covers: one small hierarchy. Each message is one line with the fault, its place, the value and a remedy, without
credentials of URLs.
Does not cover: programming mistakes, which stay ordinary Python exceptions with a traceback.
"""

from __future__ import annotations

from funkflow.tasks.redact import masked


class FunkflowError(Exception):
    """Base of the errors that print as one line. `exit_code` : exit code of the command.

    Subclasses take the message as their only argument, so that they survive pickling between processes.
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


class UnknownId(BadInput):
    """The model has no user or item with this raw id."""


class CannotFit(FunkflowError):
    """The run needs more memory or disk than there is: gives both numbers."""

    exit_code = 4


class ModelRefused(FunkflowError):
    """The new model did not pass its gate; the model in use stays."""

    exit_code = 5


class TryAgainLater(FunkflowError):
    """The request is right, but the root is locked or the cluster is not available."""

    exit_code = 75


class RootIsHeld(TryAgainLater):
    """Another run holds the root."""


class DamagedFile(FunkflowError):
    """A published file is missing or truncated, or does not match its checksum or version."""


class Diverged(FunkflowError):
    """A factor became infinite or not a number."""


class NotConverged(FunkflowError):
    """A method of the SVD did not converge to the requested singular values."""


class WrongGradient(FunkflowError):
    """A gradient differs from the difference quotients of its function."""


class ShardMismatch(FunkflowError):
    """A rating points outside its shard."""
