"""Memory that a step has freed, kept for the next step instead of handed back to the system.

The GNU C library returns large blocks as soon as they are free. A training step frees hundreds of megabytes
and asks for them again at once, and the system fills every page with zeros each time: with large tensors
that takes longer than the arithmetic. What is kept lies on huge pages where the system has them. Elsewhere
nothing happens here; a GPU has an allocator of its own.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
from collections.abc import Iterator
from contextlib import contextmanager

# From <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_NEVER = -1
# Up to this many bytes a block comes from the heap; older versions of the library take less.
_LARGEST_BLOCKS = (2**30, 2**25)
# From <sys/mman.h>.
_MADV_HUGEPAGE = 14
# How much of the heap is to lie on huge pages; address space, of which nothing is taken before it is used.
_HUGE_BYTES = 2**32


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
            _lay_on_huge_pages(library, size // 2)
            break
    try:
        yield
    finally:
        library.malloc_trim(0)


def _lay_on_huge_pages(library: ctypes.CDLL, block: int) -> None:
    """Have the system back what the heap grows into with huge pages, where it is set to do so when asked.

    A step touches a hundred megabytes of tensors, each once or twice, and the processor looks up the address
    of every page. Blocks are taken and given back untouched: the heap keeps their addresses. Source:
    madvise(2).
    """
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    library.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    taken = []
    for _ in range(_HUGE_BYTES // block):
        start = library.malloc(block)
        if start is None:
            break
        taken.append(start)
        first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
        library.madvise(first, start + block - first, _MADV_HUGEPAGE)
    for start in taken:
        library.free(start)
