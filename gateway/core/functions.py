"""Control functions: what an effect acts on."""

from enum import StrEnum


class Function(StrEnum):
    """A control function: what an effect acts on. Effects of different functions coexist (C5)."""

    EXPORT_LIMIT = "export-limit"
    IMPORT_LIMIT = "import-limit"
    GENERATION_LIMIT = "generation-limit"
    RATING_LIMIT = "rating-limit"
    LOAD_LIMIT = "load-limit"
    ACTIVE_POWER = "active-power"
    CONNECT = "connect"
    ENERGIZE = "energize"
    PRICE = "price"
    REACTIVE_POWER = "reactive-power"
    VOLT_WATT = "volt-watt"
    FREQUENCY_WATT = "frequency-watt"
    RIDE_THROUGH = "ride-through"


CEILINGS = (Function.EXPORT_LIMIT, Function.GENERATION_LIMIT, Function.RATING_LIMIT)
FLOORS = (Function.IMPORT_LIMIT, Function.LOAD_LIMIT)
LIMITS = CEILINGS + FLOORS
SWITCHES = (Function.CONNECT, Function.ENERGIZE)
MODES = (Function.REACTIVE_POWER, Function.VOLT_WATT, Function.FREQUENCY_WATT, Function.RIDE_THROUGH)
