"""What `resonantgen serve` says never holds it up."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from resonantgen.cli import live


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot say whether a pipe is full")
def test_a_reader_that_has_stopped_reading_misses_lines_and_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb", buffering=0) as reader, os.fdopen(write_end, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        live._say("the first line")
        assert reader.read(100) == b"the first line\n"
        os.set_blocking(read_end, False)
        os.set_blocking(write_end, False)
        with pytest.raises(BlockingIOError):
            while True:
                os.write(write_end, bytes(4096))
        os.set_blocking(write_end, True)
        saying = threading.Thread(target=live._say, args=("a line that nobody reads",), daemon=True)
        saying.start()
        saying.join(10)
        waits = saying.is_alive()
        while reader.read(65536):  # it has room again
            pass
        assert not waits
        live._say("the last line")
        assert reader.read(100) == b"the last line\n"
