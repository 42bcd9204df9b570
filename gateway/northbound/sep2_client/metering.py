"""Meter readings for one server: means over spans of its clock, kept until they were taken in, sent in few bodies.

A span ends where the server's clock is a multiple of the post rate, so that readings begin and end on whole minutes.
Source: IEEE 2030.5-2018, Metering Mirror function set; CSIP-AUS telemetry.
"""

import logging
from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

from gateway.northbound.sep2_client import telemetry
from gateway.northbound.sep2_client.exchange import Exchange, ServerFault
from gateway.northbound.sep2_client.reader import RATE_MAX_S, pages
from gateway.northbound.sep2_client.said import Said
from gateway.northbound.sep2_client.sending import Fate, Sender
from gateway.northbound.sep2_client.spread import next_due
from gateway.northbound.sep2_client.telemetry import WHOLE, Mean, Place, Slot
from gateway.ports.north import Picture
from gateway.wire.sep2.metering import MirrorUsagePoint, MirrorUsagePointList

log = logging.getLogger(__name__)

BEGIN_S: Final = 60
"""Readings begin on whole minutes, or at a multiple of a shorter post rate."""
KEPT_S: Final = 86_400
KEPT_MOST: Final = 100_000
"""Means of the newest day are kept for a server that takes none, this many of all places together."""
SET_MOST: Final = 288
"""So many spans go in one body: a day of them at 300 s."""
SINGLES_MOST: Final = 30
"""So many spans of one place a round where each takes bodies of its own."""


class Metering:
    """The usage points of one server, the span under way, and what of those before it was not taken in yet."""

    def __init__(
        self,
        party: str,
        exchange: Exchange,
        sender: Sender,
        said: Said,
        lfdis: dict[str, str],
        post_s: int,
        phase_s: int = 0,
    ) -> None:
        """Meter the resources of these LFDIs, the whole among them; `post_s` stands in for a rate that is not given.

        The list of usage points is read again in step with `phase_s`.
        """
        self._phase_s = phase_s
        self.post_s = self._stand_in_s = post_s
        self._party = party
        self._exchange = exchange
        self._sender = sender
        self._said = said
        self._lfdis = lfdis
        self._device_rates_s: tuple[int, ...] = ()
        self._point_rates_s: tuple[int, ...] = ()
        self._points: dict[Place, str] = {}
        self._start_s: int | None = None
        self._means: dict[Place, Mean] = {}
        self._kept: dict[Place, deque[Slot]] = {}
        self._count = 0
        self._lost = False
        self._batches = True
        self._polled_s: int | None = None
        self._poll_rate_s: int | None = None

    # -- spans

    def sample(self, picture: Picture, now_s: int) -> bool:
        """Take the picture as it is now (s, the server's clock) into the span under way; tell whether one has ended."""
        step_s = min(BEGIN_S, self.post_s)
        if self._start_s is None or not self._start_s - step_s <= now_s < self._start_s + KEPT_S:
            self._start_s = now_s - now_s % step_s + (step_s if now_s % step_s else 0)
            self._means.clear()
        ended = now_s >= self.ends_s() and self._end(now_s)
        if now_s >= self._start_s:
            places = ((Place(name), total) for name, total in (*picture.resources.items(), (WHOLE, picture.whole)))
            for place, total in places:
                self._means.setdefault(place, Mean()).add(total)
            for name, shown in picture.connections.items():
                self._means.setdefault(Place(name, is_site=True), Mean()).add(shown)
        return ended

    def ends_s(self) -> int:
        """Give when the span under way ends (s, the server's clock), by the post rate as it is now."""
        start_s = self._start_s or 0
        return start_s - start_s % self.post_s + self.post_s

    def _end(self, now_s: int) -> bool:
        """End the span under way at the last multiple of the post rate, and keep its means."""
        start_s, means = self._start_s or 0, self._means
        end_s = now_s - now_s % self.post_s
        self._start_s, self._means = end_s, {}
        for place, mean in means.items():
            slot = mean.over(start_s, end_s - start_s)
            if slot.known and place.resource in self._lfdis:
                self._kept.setdefault(place, deque()).append(slot)
                self._count += 1
        self._bound(end_s - KEPT_S)
        return bool(means)

    def _bound(self, oldest_s: int) -> None:
        """Drop what is older than a day or too much; say once that there is a gap, until all was taken in again."""
        before = self._count
        for slots in self._kept.values():
            while slots and slots[0].start_s < oldest_s:
                slots.popleft()
                self._count -= 1
        while self._count > KEPT_MOST:
            first = min((slots for slots in self._kept.values() if slots), key=lambda slots: slots[0].start_s)
            first.popleft()
            self._count -= 1
        if self._count < before and not self._lost:
            log.warning("%s: readings older than a day, or too many, are dropped unsent; there is a gap", self._party)
        self._lost = (self._lost or self._count < before) and self._count > 0

    def forget(self, name: str) -> None:
        """Make the usage points of a resource anew, under another LFDI."""
        for place in [each for each in self._points if each.resource == name]:
            del self._points[place]
        self._polled_s = None

    # -- usage points and their rates

    def obey(self, device_rates_s: Iterable[int]) -> None:
        """Take the post rates (s) that the EndDevices name now; the shortest of them and of the usage points holds."""
        self._device_rates_s = tuple(min(each, RATE_MAX_S) for each in device_rates_s if each)
        self._choose_rate()

    def _choose_rate(self) -> None:
        self.post_s = min((*self._device_rates_s, *self._point_rates_s), default=self._stand_in_s)

    def is_due(self, now_s: int) -> bool:
        """Tell whether the list of usage points is to be read again, by its own poll rate or else the post rate."""
        if self._polled_s is None or now_s < self._polled_s:
            return True
        return now_s >= next_due(self._polled_s, self._poll_rate_s or self.post_s, self._phase_s)

    async def keep_points(self, mup_list: str, names: Iterable[str], picture: Picture, now_s: int) -> None:
        """Find our usage points where the list is due, and make those that are lacking. Raises ServerDown."""
        wanted = [Place(name) for name in names]
        wanted += [Place(each.resource, is_site=True) for each in wanted if each.resource in picture.connections]
        lacking = [place for place in wanted if place not in self._points]
        if not lacking and not self.is_due(now_s):
            return
        await self._find(mup_list)
        self._polled_s = now_s
        made = [await self._make(mup_list, place) for place in wanted if place not in self._points]
        if any(made):
            await self._find(mup_list)

    async def _find(self, mup_list: str) -> None:
        """Learn where our usage points are, and how often the server wants to hear of them."""
        try:
            listed = await pages(self._exchange, mup_list, MirrorUsagePointList)
        except ServerFault as fault:
            self._said.amiss(mup_list, str(fault))
            return
        places = [Place(name, is_site=is_site) for name in self._lfdis for is_site in (False, True)]
        by_mrid = {telemetry.usage_point_mrid(self._lfdis[each.resource], each).upper(): each for each in places}
        if not listed.lacking:
            self._points.clear()
        rates_s: list[int] = []
        for point in listed.items:
            place = by_mrid.get(point.mrid.upper()) if isinstance(point, MirrorUsagePoint) else None
            if place is None or not isinstance(point, MirrorUsagePoint) or point.href is None:
                continue
            self._points[place] = point.href
            if point.post_rate_s:
                rates_s.append(min(point.post_rate_s, RATE_MAX_S))
        self._poll_rate_s = None if listed.poll_rate_s is None else min(listed.poll_rate_s, RATE_MAX_S)
        self._point_rates_s = tuple(rates_s)
        self._choose_rate()

    async def _make(self, mup_list: str, place: Place) -> bool:
        body = telemetry.usage_point(self._lfdis[place.resource], place)
        outcome = await self._sender.send("POST", mup_list, body)
        if outcome.fate is not Fate.TAKEN or not outcome.location:
            return False
        self._points[place] = outcome.location
        return True

    # -- what is sent

    async def post(self, names: Mapping[str, object]) -> None:
        """Send what is kept of these resources, oldest first. Raises ServerDown; what was not taken in stays."""
        for place in [each for each in self._kept if each.resource in names]:
            slots = self._kept[place]
            if slots and place in self._points:
                before = len(slots)
                try:
                    await self._post(place, slots)
                finally:
                    self._count -= before - len(slots)

    async def _post(self, place: Place, slots: deque[Slot]) -> None:
        lfdi = self._lfdis[place.resource]
        while slots and self._batches:
            some = tuple(islice(slots, SET_MOST))
            href = self._points[place]
            outcome = await self._sender.send("POST", href, telemetry.batch(some, lfdi, place), quiet=True)
            if outcome.fate is Fate.REFUSED:
                self._batches = False
                log.info("%s: takes no MirrorMeterReadingList; each reading is posted alone from now on", self._party)
            elif outcome.fate is Fate.UNWRITABLE:
                break
            elif not self._went(place, outcome.fate):
                return
            else:
                _drop(slots, len(some))
        for slot in tuple(islice(slots, SINGLES_MOST)):
            for reading in telemetry.readings(slot, lfdi, place):
                outcome = await self._sender.send("POST", self._points[place], reading)
                if outcome.fate not in {Fate.REFUSED, Fate.UNWRITABLE} and not self._went(place, outcome.fate):
                    return
            _drop(slots, 1)

    def _went(self, place: Place, fate: Fate) -> bool:
        """Tell whether a body was taken in; a usage point that is gone is to be made anew."""
        if fate is Fate.GONE:
            del self._points[place]
            self._polled_s = None
        return fate is Fate.TAKEN

    @property
    def kept(self) -> int:
        """How many means wait to be taken in."""
        return self._count


def _drop(slots: deque[Slot], count: int) -> None:
    for _each in range(count):
        slots.popleft()
