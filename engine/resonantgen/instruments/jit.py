"""`@kernel`: compiles a numeric function to machine code (numba), once per machine; it releases the GIL while it runs.

Rules that keep the cache right and the sound reproducible: a kernel calls only kernels of its own file (numba's cache
does not notice a change in another file); no fast-math (results would depend on the block size); arrays in, arrays out.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile on first use and cache on disk."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def compiled_before() -> bool:
    """Whether kernels were compiled on this machine before; if not, the first sound takes a while longer."""
    stats = getattr(_probe, "stats", None)  # none if numba was told to compile nothing
    return stats is None or stats.cache_path is None or any(Path(stats.cache_path).glob("*.nbi"))


@numba.njit(cache=True)
def _probe() -> None:
    """Never called: numba tells where it keeps what it compiles."""
