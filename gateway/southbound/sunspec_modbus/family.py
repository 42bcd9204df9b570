"""Which family a link's device is of: the one that its table names, else that of what it says of itself (model 1)."""

import logging
from collections.abc import Callable

from gateway.southbound.sunspec_modbus.config import SunspecModbus
from gateway.southbound.sunspec_modbus.connection import Door, Reply
from gateway.southbound.sunspec_modbus.points import Ask, Part
from gateway.southbound.sunspec_modbus.profiles import Catalogue, common, identity
from gateway.wire.sunspec import Chain

log = logging.getLogger(__name__)


class Family:
    """The profile of one device, which outlives its connections: a device does not change its maker."""

    def __init__(self, device: str, table: SunspecModbus, profiles: Catalogue) -> None:
        """Take the profile that the table names, else the plain one until the device is recognized."""
        self._device = device
        self._table = table
        self._profiles = profiles
        self._model: Part | None = None
        self._greeted = False
        self.profile = profiles.named(table.profile)

    @property
    def table(self) -> SunspecModbus:
        """The device's table with what its profile says in place of defaults."""
        return self.profile.on(self._table)

    def ask(self, chain: Chain) -> Ask | None:
        """Give the read that shows what the device is; None where nothing here depends on it."""
        self._model = common(chain) if self._profiles.profiles else None
        return None if self._model is None else self._model.ask

    def meet(self, door: Door | None, chain: Chain, met: Callable[[], None]) -> None:
        """Have a device say what it is, where anything depends on it, and go on then."""
        asked = self.ask(chain)
        if asked is None or door is None:
            met()
            return

        def recognized(answer: Reply) -> None:
            self.recognize(answer)
            met()

        door.read(*asked, recognized, slow=True)

    def recognize(self, answer: object) -> None:
        """Take the answer, and tell once what it is; a device that does not say keeps the profile that it had."""
        if not isinstance(answer, bytes) or self._model is None:
            return
        who = identity(self._model, answer)
        if not who.manufacturer and not who.model:
            return
        profile = self.profile if self._table.profile else self._profiles.of(who)
        if profile is self.profile and self._greeted:
            return
        self.profile, self._greeted = profile, True
        log.info("%s is a %s %s, firmware %s: profile %s", self._device, *who[:2], who.version, profile.name)
        for danger in profile.dangers:
            log.warning("%s: beware: %s", self._device, danger)
