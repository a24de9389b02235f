"""How many threads torch uses, and how many the kernels.

What torch's products and sums give depends, in the last bits, on how many threads share them. With one thread they give
the same bytes whatever the machine is set to; and a small operation does not wait for threads that other programs keep
from their cores. The kernels give the same bits with any number, so they keep all.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_of_kernels = threading.local()


def kernel_threads() -> int:
    """That the kernels may use, the caller among them: as many as torch does, or did before `one_torch_thread`."""
    count: int = getattr(_of_kernels, "count", 0)
    return count or torch.get_num_threads()


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Torch works in the calling thread alone, the kernels as before. For whoever calls torch from one thread."""
    torch_threads, outer = torch.get_num_threads(), getattr(_of_kernels, "count", 0)
    _of_kernels.count = outer or torch_threads
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(torch_threads)
        _of_kernels.count = outer
