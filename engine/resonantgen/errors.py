"""The exceptions that a user of ResonantGen can meet.

    ResonantGenError            one line: what is wrong, and what to do
    ├── BadValue                a tempo, key, meter, bar count, … outside what is possible
    ├── PromptError             words that cannot be acted upon
    ├── PresetError             a preset file that is not valid (carries file and line)
    ├── TrackLocked             the request would change a locked track
    ├── NothingToUndo           there is no earlier (or later) state
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
