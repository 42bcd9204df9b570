"""OpenADR 3.1 VEN, north: the VTNs that speak for the tier above."""

import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path

from gateway.core.events import OrderHeard
from gateway.northbound.openadr_ven.config import OpenadrResource, OpenadrVen
from gateway.northbound.openadr_ven.heard import Held
from gateway.northbound.openadr_ven.link import Link
from gateway.northbound.openadr_ven.words import read_profile
from gateway.ports.clock import Clock
from gateway.ports.north import Hear, Look

__all__ = ["Held", "Link", "OpenadrResource", "OpenadrVen", "build"]


def nothing_held() -> Iterable[OrderHeard]:
    """Give what a gateway without a journal holds."""
    return ()


def build(
    table: OpenadrVen,
    resources: Mapping[str, OpenadrResource],
    secret: str,
    context: ssl.SSLContext | None,
    profile: Mapping[str, object],
    clock: Clock,
    hear: Hear,
    look: Look | None,
    *,
    may_write: bool,
    spool: Path,
    held: Held = nothing_held,
) -> Link:
    """Make the link to one VTN; ValueError where the profile says what cannot be.

    `secret` is the client's, `context` trusts what signs the VTN's certificate (None: what this machine trusts),
    `spool` is the file that keeps reports until they are acknowledged. `held` gives the orders of this party that the
    journal still holds when the first list has been read, so that what was deleted meanwhile ends (RULES C13).
    """
    words = read_profile(profile)
    return Link(
        table, resources, secret, context, words, clock, hear, look, may_write=may_write, spool=spool, held=held
    )
