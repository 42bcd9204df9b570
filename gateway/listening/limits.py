"""How long a peer may take, how much it may send, and how many connections there may be."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds of one listener; times in s of wall time.

    A peer has `handshake_s` from being accepted to the end of its handshake, `header_s` from its first octet (the first
    time: from the handshake) to the end of a header block of at most `header_octets`, `body_s` for a body, and as long
    to take its answer. Where `connections` in all, or `connections_per_peer` of one certificate, are open, the one that
    has been idle longest makes room. `handshakes` are worked on at a time, so that whatever else the loop has to do
    gets its turn between them; `pending` are accepted at most before their handshake is over.
    """

    handshake_s: float = 10.0
    header_s: float = 15.0
    body_s: float = 30.0
    header_octets: int = 16_384
    connections: int = 2_048
    connections_per_peer: int = 4
    handshakes: int = 2
    pending: int = 512
