"""The exceptions that a user of ResonantGen can meet.

    ResonantGenError            one line: what is wrong, and what to do
    ├── BadValue                a tempo, key, meter, bar count, … outside what is possible
    ├── PromptError             words that cannot be acted upon
    ├── PresetError             a preset file that is not valid (carries file and line)
    ├── TrackLocked             the request would change a locked track
    ├── NothingToUndo           there is no earlier (or later) state
    ├── AudioError              a sound file that cannot be read, or does not fit what it is given to
    ├── ModelError              a neural model
    │   ├── ModelNotFound       it is not on this machine, or no such model is known
    │   ├── ModelDamaged        its files are not what they should be
    │   ├── ModelUnusable       what it needs is not installed, or the device does not exist
    │   └── DownloadFailed      it could not be fetched
    ├── EngineError             a running engine, or its absence
    │   ├── UnknownCommand      no such command, or fields that it does not have
    │   ├── EngineNotRunning    nobody answers there
    │   ├── AddressTaken        another program listens on the port
    │   ├── Cancelled           the command was given up before it was done
    │   ├── WorkerLost          the process that generates ended in the middle of it
    │   ├── DeviceError         no such audio or MIDI device, or it cannot be used
    │   └── KeysError           encryption keys that are missing or do not fit
    └── ProjectError            the project on disk
        ├── ProjectNotFound     no project there
        ├── NotAProject         something else is there
        ├── ProjectTooNew       written by a newer version
        ├── ProjectBusy         another process is writing it
        ├── ProjectDamaged      a file is missing or its content does not match its hash
        └── StorageError        the disk is full, the folder cannot be written, …

Every message is a single line that is complete without a traceback: the command line prints it and exits with 2.
Internal invariants use `assert` instead.
"""


def quoted(text: str, limit: int = 40) -> str:
    """What a user gave, in quotes and on one line, cut to `limit` characters: for use in messages."""
    line = "".join(c if c.isprintable() else " " for c in text[: limit + 1])
    return f'"{line if len(line) <= limit else line[:limit] + "…"}"'


class ResonantGenError(Exception):
    """Something that the user can act upon; `str(error)` is one line that says how."""

    @property
    def code(self) -> str:
        """What it is called on the wire: the nearest class of the tree above."""
        return next(kind.__name__ for kind in type(self).__mro__ if kind.__module__ == __name__)


class BadValue(ResonantGenError, ValueError):
    """A value outside what is possible, such as a tempo of 0."""


class PromptError(ResonantGenError, ValueError):
    """Words that cannot be acted upon, such as an empty prompt."""


class PresetError(ResonantGenError, ValueError):
    """A preset file that is not valid; the message starts with `file:line:`."""


class TrackLocked(ResonantGenError):
    """The request would change a locked track."""


class NothingToUndo(ResonantGenError):
    """There is no earlier (undo) or later (redo) state."""


class AudioError(ResonantGenError, ValueError):
    """A sound file that cannot be read, or whose rate or channels do not fit what it is given to."""


class ModelError(ResonantGenError):
    """A neural model."""


class ModelNotFound(ModelError):
    """It is not on this machine, or no such model is known."""


class ModelDamaged(ModelError):
    """Its files are truncated, corrupt, of another layout, or hold weights that are no numbers."""


class ModelUnusable(ModelError):
    """A package that it needs is not installed, or there is no such device."""


class DownloadFailed(ModelError):
    """It could not be fetched; what has come is kept, and the next try goes on from there."""


class EngineError(ResonantGenError):
    """A running engine, or its absence."""


class UnknownCommand(EngineError, ValueError):
    """No such command, or fields that it does not have."""


class EngineNotRunning(EngineError):
    """Nobody answers there."""


class AddressTaken(EngineError):
    """Another program listens on the port."""


class Cancelled(EngineError):
    """The command was given up before it was done; nothing was changed."""


class WorkerLost(EngineError):
    """The process that generates ended in the middle of it; nothing was changed."""


class DeviceError(EngineError):
    """No such audio or MIDI device, or it cannot be used."""


class KeysError(EngineError):
    """Encryption keys that are missing or do not fit."""


class ProjectError(ResonantGenError):
    """The project on disk cannot be used as asked."""


class ProjectNotFound(ProjectError):
    """No project is there."""


class NotAProject(ProjectError):
    """What is there is not a ResonantGen project."""


class ProjectTooNew(ProjectError):
    """The project was written by a newer version of ResonantGen."""


class ProjectBusy(ProjectError):
    """Another process is writing the project."""


class ProjectDamaged(ProjectError):
    """A file of the project is missing, or its content does not match its hash."""


class StorageError(ProjectError):
    """The disk is full, or the folder cannot be written."""
