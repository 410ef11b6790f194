"""How a process takes large blocks of memory on a processor.

A step makes and drops the same tensors over and over, of lengths that differ with the rows.
glibc keeps blocks of up to 32 MB once one of that size was dropped, and cuts smaller ones out
of them: what a process holds grows to twice what it uses. So the largest go back to the system
at once; in pages of 2 MB they cost a third of the time to take again. What lies free behind
the smaller ones is kept up to a bound: given back at once, as glibc does from 128 KB on, it is
asked for again some thousand pages a step.

oneDNN, which multiplies bfloat16 on every processor and float32 on some, makes a kernel for each
number of rows and each shape of a weight: half a megabyte to two each. It keeps 1,024 of them, and
so does what stands between it and torch: up to 0.9 GB after some dozen steps, whatever the model's
size. With half as many a run is as fast; with a tenth, a small model's is a third slower, for its
steps make them anew.
"""

import ctypes
import os
import sys

# bytes: what is larger goes back at once
LARGE = 2 * 2**20
M_MMAP_THRESHOLD = -3
# bytes of free memory behind the smaller ones that are kept
KEPT = 64 * 2**20
M_TRIM_THRESHOLD = -1
# how many kernels each of the two keeps; read with the first product
KERNELS = 512
KERNEL_CACHES = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "LRU_CACHE_CAPACITY")
# torch asks for pages of 2 MB where this is set before its first tensor
HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"


def give_large_blocks_back() -> None:
    """Of this process from now on; where the C library is another one, nothing changes."""
    os.environ.setdefault(HUGE_PAGES, "1")
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE)
        mallopt(M_TRIM_THRESHOLD, KEPT)


def bound_kernels() -> None:
    """Of oneDNN's, from now on, where nobody has said how many; before anything is multiplied."""
    for name in KERNEL_CACHES:
        os.environ.setdefault(name, str(KERNELS))
