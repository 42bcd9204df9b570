"""What a simulated 2030.5 inverter says of itself: ratings, settings, status and mean readings, by envoy-schema."""

from collections.abc import Iterator

from envoy_schema.server.schema.sep2 import der, metering, types
from envoy_schema.server.schema.sep2 import metering_mirror as mirror
from pydantic_xml import BaseXmlModel

from hil.sep2 import bodies
from hil.sep2.records import mrid_of

PHOTOVOLTAIC = 4
MODES = "00508000"
DER_ROLE = "0049"
REVERSE = 19
POST_S = 60


class Telemetry:
    """The documents of one DER as they were put last, and the samples since the last reading."""

    def __init__(self, lfdi: str) -> None:
        self.href = ""
        self.posts = 0
        self._lfdi = lfdi
        self._samples: list[tuple[float, float, float]] = []
        self._since_s: int | None = None
        self._rated = False

    def sample(self, w: float, var: float, volts: float) -> None:
        """Take a sample."""
        self._samples.append((w, var, volts))

    def documents(self, rated_w: int, now_s: int, *, off: bool) -> Iterator[tuple[str, BaseXmlModel]]:
        """Give what is to be put now: ratings and settings once, the status every time."""
        if not self._rated:
            yield (
                "dercap",
                der.DERCapability(
                    modesSupported=MODES,
                    rtgMaxW=bodies.active_power(rated_w),
                    type_=der.DERType(PHOTOVOLTAIC),
                    doeModesSupported="05",
                ),
            )
            yield (
                "derg",
                der.DERSettings(
                    modesEnabled=MODES,
                    setGradW=0,
                    setMaxW=bodies.active_power(rated_w),
                    updatedTime=now_s,
                    doeModesEnabled="05",
                ),
            )
            self._rated = True
        connect = der.ConnectStatusTypeValue(dateTime=now_s, value="00" if off else "07")
        yield "ders", der.DERStatus(readingTime=now_s, genConnectStatus=connect)

    def due(self, now_s: int, post_s: int | None) -> bool:
        """Tell whether a reading is due; the first one begins the first period."""
        if self._since_s is None:
            self._since_s = now_s
            return False
        return now_s - self._since_s >= (post_s or POST_S) and bool(self._samples)

    def usage_point(self) -> mirror.MirrorUsagePointRequest:
        """Give the point that its readings belong to."""
        return mirror.MirrorUsagePointRequest(
            mRID=mrid_of(f"{self._lfdi} point"),
            description="DER",
            roleFlags=DER_ROLE,
            serviceCategoryKind=types.ServiceKind.ELECTRICITY,
            status=1,
            deviceLFDI=self._lfdi,
        )

    def readings(self, now_s: int) -> mirror.MirrorMeterReadingList:
        """Give the means of power, reactive power and voltage since the last reading, which is this one then."""
        count, since_s = len(self._samples), self._since_s or now_s
        w, var, volts = (sum(column) / count for column in zip(*self._samples, strict=True))
        period = types.DateTimeIntervalType(start=since_s, duration=now_s - since_s)
        self._samples, self._since_s = [], now_s
        self.posts += 1
        return mirror.MirrorMeterReadingList(
            all_=3,
            results=3,
            mirrorMeterReadings=[
                self._reading("W", types.UomType.REAL_POWER_WATT, round(w), 0, period),
                self._reading("var", types.UomType.REACTIVE_POWER_VAR, round(var), 0, period),
                self._reading("V", types.UomType.VOLTAGE, round(10 * volts), -1, period),
            ],
        )

    def _reading(
        self, what: str, uom: types.UomType, value: int, exponent: int, period: types.DateTimeIntervalType
    ) -> mirror.MirrorMeterReading:
        return mirror.MirrorMeterReading(
            mRID=mrid_of(f"{self._lfdi} {what}"),
            description=what,
            reading=metering.Reading(timePeriod=period, value=value),
            readingType=metering.ReadingType(
                flowDirection=types.FlowDirectionType(REVERSE),
                dataQualifier=types.DataQualifierType(2),
                powerOfTenMultiplier=exponent,
                uom=uom,
            ),
        )
