"""A TCP port that a scenario fixes and somebody else has: which one it is, and what to do."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager


class PortTakenError(OSError):
    """Somebody else listens on a port that was asked for."""


@contextmanager
def asked_for(host: str, port: int) -> Iterator[None]:
    """Listen on a port within; raises PortTakenError, which names it, where somebody else does."""
    try:
        yield
    except OSError as fault:
        if fault.errno != errno.EADDRINUSE:
            raise
        raise PortTakenError(
            f"port {port} of {host} is taken; end what listens there (another bench?), or give another port, or 0"
        ) from fault
