"""Code lists of IEEE 2030.5 that more than one reader needs: event status, responses, control modes and their bits."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum


class EventState(IntEnum):
    """EventStatus.currentStatus (2018 schema; COMPLETED is of 2023, SUPERSEDED deprecated there)."""

    SCHEDULED = 0
    ACTIVE = 1
    CANCELLED = 2
    CANCELLED_WITH_RANDOMIZATION = 3
    SUPERSEDED = 4
    COMPLETED = 5


class UnitReference(IntEnum):
    """DERUnitRefType: what a percentage is of (MAX_VA is of 2023)."""

    NOT_APPLICABLE = 0
    MAX_W = 1
    MAX_VAR = 2
    AVAILABLE_VAR = 3
    EFFECTIVE_V = 4
    MAX_CHARGE_W = 5
    MAX_DISCHARGE_W = 6
    AVAILABLE_W = 7
    MAX_VA = 8


class ResponseCode(IntEnum):
    """Response.status for DER controls (IEEE 2030.5-2018 table 27)."""

    RECEIVED = 1
    STARTED = 2
    COMPLETED = 3
    OPT_OUT = 4
    OPT_IN = 5
    CANCELLED = 6
    SUPERSEDED = 7
    PARTIAL_OPT_OUT = 8
    PARTIAL_OPT_IN = 9
    NO_PARTICIPATION = 10
    ACKNOWLEDGED = 11
    CANNOT_BE_DISPLAYED = 12
    ABORTED_OTHER_SERVER = 13
    ABORTED_OTHER_PROGRAM = 14
    NOT_APPLICABLE = 252
    INVALID = 253
    TOO_LATE = 254


MODES = (
    "charge",
    "discharge",
    "opModConnect",
    "opModEnergize",
    "opModFixedPFAbsorbW",
    "opModFixedPFInjectW",
    "opModFixedVar",
    "opModFixedW",
    "opModFreqDroop",
    "opModFreqWatt",
    "opModHFRTMayTrip",
    "opModHFRTMustTrip",
    "opModHVRTMayTrip",
    "opModHVRTMomentaryCessation",
    "opModHVRTMustTrip",
    "opModLFRTMayTrip",
    "opModLFRTMustTrip",
    "opModLVRTMayTrip",
    "opModLVRTMomentaryCessation",
    "opModLVRTMustTrip",
    "opModMaxLimW",
    "opModTargetVar",
    "opModTargetW",
    "opModVoltVar",
    "opModVoltWatt",
    "opModWattPF",
    "opModWattVar",
    # 2023
    "opModDeltaVar",
    "opModDeltaW",
    "opModFixedV",
    "opModGridConnectPermit",
    "opModIslandPermit",
)
"""DERControlType: the place of a name is its bit in modesSupported and modesEnabled."""

MODES_2 = (
    "opModMaxLimPctVAAbsorb",
    "opModMaxLimPctVAInject",
    "opModMaxLimPctVarAbsorb",
    "opModMaxLimPctVarInject",
    "opModMaxLimPctWAbsorb",
    "opModMaxLimVarAbsorb",
    "opModMaxLimVarInject",
    "opModMaxLimWAbsorb",
    "opModMaxLimWInject",
    "opModTargetV",
)
"""DERControlType2 of 2023: bits of modesSupported2 and modesEnabled2."""

DOE_MODES = ("opModExpLimW", "opModImpLimW", "opModGenLimW", "opModLoadLimW")
"""CSIP-AUS DOEControlType: bits of doeModesSupported and doeModesEnabled. Our reading: the schema's text swaps the
meanings of bits 0 and 1, the names rule."""

VPP_MODES = ("opModStorageTargetW",)
"""CSIP-AUS 1.3 VPPControlType."""

CURVE_MODES = (
    "opModFreqWatt",
    "opModHFRTMayTrip",
    "opModHFRTMustTrip",
    "opModHVRTMayTrip",
    "opModHVRTMomentaryCessation",
    "opModHVRTMustTrip",
    "opModLFRTMayTrip",
    "opModLFRTMustTrip",
    "opModLVRTMayTrip",
    "opModLVRTMomentaryCessation",
    "opModLVRTMustTrip",
    "opModVoltVar",
    "opModVoltWatt",
    "opModWattPF",
    "opModWattVar",
)
"""DERCurveType: the place of a name is the curveType of the curves that this mode links to."""

MODE_NAMES = frozenset(name for names in (MODES, MODES_2, DOE_MODES, VPP_MODES) for name in names if name[:2] == "op")
"""Every mode a DERControlBase can carry in the editions known here (2018, 2023, CSIP-AUS 1.2 and 1.3)."""


def mode_bits(names: Iterable[str], of: tuple[str, ...] = MODES) -> int:
    """Return the bitmap that names these modes; `of` is the list whose places are the bits.

    Raises:
        ValueError: a name that is not in the list.

    """
    bitmap = 0
    for name in names:
        if name not in of:
            raise ValueError(f"{name} has no bit here; known are {', '.join(of)}")
        bitmap |= 1 << of.index(name)
    return bitmap
