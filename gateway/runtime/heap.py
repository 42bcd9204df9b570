"""The collector of cycles, kept from looking again and again at what stands: that would hold the loop for long."""

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

THAW_EVERY: Final = 1_000
"""So many collections of everything go by until one looks at what was set aside as well, for cycles that died in it."""


@contextmanager
def set_aside() -> Iterator[None]:
    """Keep what survives a full collection out of the next ones: devices and orders stay, and are found later on.

    What is set aside is freed as ever once nothing refers to it.
    """
    full = 0

    def collected(phase: str, info: Mapping[str, int]) -> None:
        nonlocal full
        if phase != "stop" or info["generation"] < 2:
            return
        full += 1
        if full % THAW_EVERY:
            gc.freeze()
        else:
            gc.unfreeze()

    gc.collect()
    gc.freeze()
    gc.callbacks.append(collected)
    try:
        yield
    finally:
        gc.callbacks.remove(collected)
