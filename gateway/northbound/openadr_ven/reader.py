"""Reads a VTN's lists page by page, and tells whether all of a list was seen (OpenADR 3.1.0, skip and limit).

A list does not say how long it is, and may change while it is read. So each page begins with the last item of the one
before it: where that is not what it begins with, the list has moved and is not complete. A page shorter than what was
asked for ends the list; where something is missing that was there before, the end is looked at once more.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from gateway.northbound.openadr_ven.exchange import Exchange, VtnFault
from gateway.wire.openadr3 import WireFault, items, object_id

PAGE: Final = 50
ITEMS_MAX: Final = 20_000


class Pages(NamedTuple):
    """A list as it was read: each item's id (or "") and JSON, and why the list is not complete (or "")."""

    items: tuple[tuple[str, bytes], ...]
    lacking: str = ""


async def read_list(exchange: Exchange, path: str, query: Mapping[str, str], expected: Iterable[str] = ()) -> Pages:
    """Read a list whole; `expected` are the ids that it held before.

    Raises VtnDown where the VTN does not answer, VtnFault where its first page cannot be read.
    """
    found: list[tuple[str, bytes]] = []
    known = set(expected)
    while True:
        skip = max(0, len(found) - 1)
        page = await _page(exchange, path, {**query, "skip": skip, "limit": PAGE})
        short = len(page) < PAGE
        if found:
            if short and page == found:
                return Pages(tuple(found))
            if not page or page[0][0] != found[-1][0]:
                return Pages(tuple(found), "changed while it was read, or does not heed skip")
            page = page[1:]
        found += page
        if not page or (short and known.issubset(name for name, _item in found)):
            return Pages(tuple(found))
        if len(found) > ITEMS_MAX:
            return Pages(tuple(found), f"holds more than {ITEMS_MAX} items")


async def _page(exchange: Exchange, path: str, query: Mapping[str, str | int]) -> list[tuple[str, bytes]]:
    try:
        return [(object_id(item), item) for item in items(await exchange.get(path, query))]
    except WireFault as fault:
        raise VtnFault(f"GET {path}: {fault}") from fault
