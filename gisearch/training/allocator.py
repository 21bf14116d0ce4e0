"""Memory that a step has freed, kept for the next step instead of handed back to the system.

The GNU C library returns large blocks as soon as they are free. A training step frees hundreds of megabytes
and asks for them again at once, and the system fills every page with zeros each time: with large tensors
that takes longer than the arithmetic. Elsewhere nothing happens here; a GPU has an allocator of its own.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

# From <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_NEVER = -1
# Up to this many bytes a block comes from the heap; older versions of the library take less.
_LARGEST_BLOCKS = (2**30, 2**25)


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Keep freed memory in this process from now on; at the end give back what is free then.

    The settings stay, because the library cannot be asked what they were. They reach a thread's blocks only
    where threads share one arena: ``MALLOC_ARENA_MAX=1`` in the environment the process was started with.
    Source: mallopt(3).
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    library = ctypes.CDLL(None)
    library.mallopt(_M_TRIM_THRESHOLD, _NEVER)
    for size in _LARGEST_BLOCKS:
        if library.mallopt(_M_MMAP_THRESHOLD, size):
            break
    try:
        yield
    finally:
        library.malloc_trim(0)
