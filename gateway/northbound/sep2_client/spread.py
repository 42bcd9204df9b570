"""When this gateway asks and posts, so that a thousand of them, started together, do not all do so in the same second.

Each has a phase of its own, a hash of its LFDI and of the server's address. Our reading: one phase for all addresses of
a server, so that what has the same rate is read in one round, which proves contact.
"""

import hashlib
from typing import Final

DAY_S: Final = 86_400
SOONEST: Final = 4
"""What was read out of step is read again no sooner than after this part of its rate, and so within 5/4 of it."""


def phase_s(lfdi: str, url: str) -> int:
    """Give the phase (s, below a day) of a gateway at a server."""
    return int.from_bytes(hashlib.sha256(f"{lfdi.upper()} {url}".encode()).digest()[:8]) % DAY_S


def next_due(read: int, rate: int, phase: int) -> int:
    """Give when something is due that was read at an instant, by its rate: at the next one in step with the phase.

    All are in one unit of time. In step that is exactly one rate later.
    """
    soonest = read + max(1, rate // SOONEST)
    return soonest + (phase - soonest) % rate
