"""The `resonantgen` command. It parses words and prints results; the work is in `session/`, `prompt/` and the bridge.

Commands work on a project on disk or, where one serves it, on a running engine: `place.py` finds out which. The bridge
is imported inside the functions that need it, so that commands without an engine start as fast as ever (0115).

Exit codes: 0 done; 1 `doctor` found a problem; 2 the user can put it right (one line on stderr says how); 130
interrupted with Ctrl-C. With `--json` a command prints one JSON document to stdout and nothing else.
"""

from resonantgen.cli import (  # noqa: F401 - they add their commands to the group
    codec,
    daw,
    importing,
    live,
    machine,
    models,
    music,
    train_codec,
    train_lm,
    train_stems,
)
from resonantgen.cli.base import commands, main

__all__ = ["commands", "main"]
