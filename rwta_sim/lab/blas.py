"""One thread for matrix products: how BLAS divides the work among threads shows in the last bits of its sums.

The matrices are mostly small, so more threads would not be faster either.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_info, threadpool_limits

__all__ = ["one_thread"]

_lock = threading.Lock()
_users = 0
_limits: threadpool_limits | None = None


@contextmanager
def one_thread() -> Iterator[None]:
    """In this context BLAS computes in one thread, whatever OMP_NUM_THREADS and the number of cores.

    The limit is the process's; it ends with the last of the contexts, which may be nested and in several threads. Some
    OpenBLAS keep to what the main thread has set, whatever others ask for: where there is no limit, a warning says so.
    """
    global _users, _limits
    with _lock:
        if not _users:
            _limits = threadpool_limits(1, user_api="blas")
            if any(x["user_api"] == "blas" and x["num_threads"] > 1 for x in threadpool_info()):
                warnings.warn(
                    "BLAS goes on in several threads: last bits of results may depend on their number. Set "
                    "OPENBLAS_NUM_THREADS=1 before Python starts, or train and evaluate in the main thread",
                    RuntimeWarning,
                    stacklevel=1,
                )
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users and _limits is not None:
                _limits.restore_original_limits()
