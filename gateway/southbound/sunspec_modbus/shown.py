"""Which readings of a device are worth telling: past a dead band, changed in kind, or a minute after the last."""

from typing import Final

from gateway.core.alarms import Alarm
from gateway.core.known import Known, Reading, Unknown
from gateway.southbound.sunspec_modbus.readings import Live

HEARTBEAT_S: Final = 60.0
VOLTAGE_BAND_MV: Final = 2_000


class Shown:
    """What was told last; `rated_w` sets the dead band, half a percent of it and at least 10 W."""

    def __init__(self, rated_w: int) -> None:
        """Have told nothing."""
        self._band = max(10, rated_w // 200)
        self._last: Live | None = None
        self._at_s = 0.0
        self._faults: tuple[Alarm, ...] | None = None

    def faults_are_news(self, live: Live) -> bool:
        """Tell whether the faults are other than those told last; the first that are none at all are news as well."""
        before, self._faults = self._faults, live.faults
        return before != live.faults

    def forget(self) -> None:
        """Tell the next reading, whatever it is."""
        self._last = None

    def news(self, live: Live, now_s: float) -> bool:
        """Tell whether this is to be told, at this time (s) of the clock's rate; it is then what was told last."""
        last = self._last
        if last is not None and now_s - self._at_s < HEARTBEAT_S and not self._moved(last, live):
            return False
        self._last, self._at_s = live, now_s
        return True

    def _moved(self, last: Live, live: Live) -> bool:
        return (
            last.connected is not live.connected
            or _changed(last.power, live.power, self._band)
            or _changed(last.voltage, live.voltage, VOLTAGE_BAND_MV)
            or _changed(last.reactive, live.reactive, self._band)
            or _changed(last.stored, live.stored, self._band)
        )


def _changed(last: Reading, live: Reading, band: int) -> bool:
    if last is live:
        return False
    if isinstance(last, Known) and isinstance(live, Known):
        return abs(last.value - live.value) > band
    if isinstance(last, Unknown) and isinstance(live, Unknown):
        return last.why != live.why
    return True
