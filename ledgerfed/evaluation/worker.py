"""How a worker process starts, before it imports anything that counts processor cores."""

from __future__ import annotations

import os
import signal


def begin() -> None:
    """Let the workers be the parallelism, and an interrupt end them without a word.

    Linear algebra reads these variables when it is loaded: this module must not import it.
    """
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    signal.signal(signal.SIGINT, signal.SIG_DFL)
