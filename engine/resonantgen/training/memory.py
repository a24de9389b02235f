"""How the C library hands out memory while something is trained.

glibc gives blocks of more than 128 KiB back to the kernel as soon as they are free, and asks for them again at the
next step. Each time the kernel has to clear their pages; on virtual machines, where that faults into the hypervisor,
training spends most of its time on it: it took ten times as long. These settings keep the memory. They are read when a
process starts, so a process that lacks them starts itself anew, with the same arguments.
"""

from __future__ import annotations

import os
import platform
import sys

SETTINGS = {
    "MALLOC_MMAP_MAX_": "0",  # large blocks come from the heap, too
    "MALLOC_TRIM_THRESHOLD_": "200000000000",  # and the heap does not shrink
    "MALLOC_TOP_PAD_": "536870912",  # but grows by much at a time
}


def keep_memory(command: str) -> None:
    """Start this process anew with the settings, if it is `resonantgen <command>` on Linux and has not got them all.

    What the user has set is left. Nothing happens in a program that only calls the command's function.
    """
    missing = {name: value for name, value in SETTINGS.items() if name not in os.environ}
    is_command = sys.argv[1:2] == [command]
    if missing and is_command and sys.platform == "linux" and platform.libc_ver()[0] == "glibc":
        os.environ.update(missing)
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
