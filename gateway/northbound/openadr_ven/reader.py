"""Reads a VTN's lists page by page, and tells whether all of a list was seen (OpenADR 3.1.0, skip and limit).

A list does not say how long it is, a VTN may give less on a page than it is asked for, and the list may change while it
is read. So each page begins with the last item of the one before it: where that is not what it begins with, the list
has moved and is not complete; where there is nothing behind it, the list has ended.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from gateway.northbound.openadr_ven.exchange import Exchange, Query, VtnFault
from gateway.wire.openadr3 import WireFault, is_targeted, items, object_id

PAGE: Final = 50
ITEMS_MAX: Final = 20_000
TARGETS_MAX: Final = 40
"""So many targets stand in one address."""


class Pages(NamedTuple):
    """A list as it was read: each item's id (or "") and JSON, and why the list is not complete (or "")."""

    items: tuple[tuple[str, bytes], ...]
    lacking: str = ""


class Lister:
    """Reads lists of what is meant for some only: it must be asked for by target, or need not be, as the VTN likes.

    The Definition says that targets stand in the query, the User Guide (8.13) that those granted are enough. Both are
    tried until the VTN has once shown something targeted that was not asked for.
    """

    def __init__(self, exchange: Exchange) -> None:
        """Read through this exchange."""
        self._exchange = exchange
        self._shown: set[str] = set()

    async def read(self, path: str, targets: Iterable[str]) -> Pages:
        """Read all of a list, by these targets where that may be needed; raises as `read_list` does."""
        pages = await read_list(self._exchange, path, {})
        if any(is_targeted(item) for _name, item in pages.items):
            self._shown.add(path)
        names = () if path in self._shown else tuple(sorted(targets))
        found, lacking = list(pages.items), pages.lacking
        seen = {name for name, _item in found}
        for first in range(0, len(names), TARGETS_MAX):
            more = await read_list(self._exchange, path, {"targets": names[first : first + TARGETS_MAX]})
            found += [each for each in more.items if not each[0] or each[0] not in seen]
            seen.update(name for name, _item in more.items)
            lacking = lacking or more.lacking
        return Pages(tuple(found), lacking)


async def read_list(exchange: Exchange, path: str, query: Query) -> Pages:
    """Read a list whole; raise VtnDown where the VTN does not answer, VtnFault where a page cannot be read.

    Our reading: a VTN that gives the same page again, shorter than was asked for, does not page and gave all.
    """
    found = await _page(exchange, path, query, 0)
    overlap = 1 if len(found) > 1 else 0
    while found:
        page = await _page(exchange, path, query, len(found) - overlap)
        if page == found and len(page) < PAGE and len(page) > overlap:
            break
        if overlap and (not page or page[0][0] != found[-1][0]):
            return Pages(tuple(found), "changed while it was read, or its pages do not heed skip")
        if len(page) == overlap:
            break
        found += page[overlap:]
        if len(found) > ITEMS_MAX:
            return Pages(tuple(found), f"holds more than {ITEMS_MAX} items")
    return Pages(tuple(found))


async def _page(exchange: Exchange, path: str, query: Query, skip: int) -> list[tuple[str, bytes]]:
    try:
        body = await exchange.get(path, {**query, "skip": skip, "limit": PAGE})
        return [(object_id(item), item) for item in items(body)]
    except WireFault as fault:
        raise VtnFault(f"GET {path}: {fault}") from fault
