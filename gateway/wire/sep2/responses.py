"""Where a server collects answers (IEEE 2030.5-2018, Response function set) as values."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.wire.sep2.faults import Faulty
from gateway.wire.sep2.resources import ListLink, ListPage, Response


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseList(ListPage):
    """One page of answers."""

    items: tuple[Response | Faulty, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseSet:
    """Where the answers about some events are collected."""

    href: str | None = None
    mrid: str
    description: str | None = None
    version: int | None = None
    response_list_link: ListLink | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseSetList(ListPage):
    """One page of response sets."""

    poll_rate_s: int | None = None
    items: tuple[ResponseSet | Faulty, ...] = ()
