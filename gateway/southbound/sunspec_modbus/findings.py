"""What a survey of a device says: which points it implements, what it can be told, and what to write down of it."""

import json
from collections.abc import Iterator
from typing import Final, NamedTuple

from gateway.southbound.sunspec_modbus.modes.carriers import MODERN
from gateway.southbound.sunspec_modbus.points import shown
from gateway.southbound.sunspec_modbus.profiles import PLAIN, WRITE_ONE
from gateway.southbound.sunspec_modbus.readings import describe, measurement, settings
from gateway.southbound.sunspec_modbus.survey import Surveyed
from gateway.southbound.sunspec_modbus.translate import meter
from gateway.wire.modbus import READ_MAX
from gateway.wire.sunspec import Absent, Block, EndedBy, Model, UnknownModelError, Value, compile_model


class Row(NamedTuple):
    """One model of a device: its registers, and which of its points it implements, has not, or has to have."""

    model: int
    name: str
    address: int
    length: int
    implemented: tuple[str, ...]
    absent: tuple[str, ...]
    missing: tuple[str, ...]


class Mode(NamedTuple):
    """One thing that the gateway can do with a device, by which model, and how; no model where it cannot."""

    mode: str
    model: int | None
    how: str


MODES: Final[tuple[tuple[str, tuple[tuple[int, tuple[str, ...], str], ...]], ...]] = (
    ("measure power", ((701, ("W",), ""), (103, ("W",), ""), (102, ("W",), ""), (101, ("W",), ""))),
    (
        "limit",
        (
            (704, ("WMaxLimPctEna", "WMaxLimPct"), "percent of WMax"),
            (123, ("WMaxLim_Ena", "WMaxLimPct"), "percent of WMax"),
        ),
    ),
    (
        "fall back by its own timer",
        (
            (704, ("WMaxLimPctRvrt", "WMaxLimPctEnaRvrt", "WMaxLimPctRvrtTms"), "to a value"),
            (123, ("WMaxLimPct_RvrtTms",), "by lifting the limit"),
        ),
    ),
    ("set-point", ((704, ("WSet", "WSetMod", "WSetEna"), "W"),)),
    ("ramp", ((123, ("WMaxLimPct_RmpTms",), "s"),)),
    ("cease to energize", ((703, ("ES",), "permit service"), (123, ("Conn",), "connect"))),
    ("energy stored", ((713, ("WHRtg",), ""), (124, ("ChaState",), "share of 120 WHRtg"))),
    ("meter", tuple((model, ("W",), "") for model in (201, 202, 203, 204, 211, 212, 213, 214))),
)
SLOTS: Final = "{NCrv} slots of {NPt} points, adopted"
TRIPS: Final = "{NCrvSet} slots of {NPt} points, adopted"
CURVES: Final = "{NCrv} curves of {NPt} points"
CARRIED: Final[tuple[tuple[str, tuple[tuple[int, tuple[str, ...], str], ...]], ...]] = (
    (
        "fixed var",
        ((704, ("VarSetEna", "VarSetMod", "VarSetPct"), "percent"), (123, ("VArPct_Ena", "VArPct_Mod"), "percent")),
    ),
    ("target var", ((704, ("VarSetEna", "VarSetMod", "VarSet"), "var"),)),
    (
        "power factor",
        (
            (704, ("PFWInjEna", "PFWInj.PF", "PFWInj.Ext"), "while injecting"),
            (123, ("OutPFSet_Ena", "OutPFSet"), "both directions; below 1 the profile has to give its sign"),
        ),
    ),
    ("power factor while absorbing", ((704, ("PFWAbsEna", "PFWAbs.PF", "PFWAbs.Ext"), ""),)),
    ("volt-var", ((705, ("Ena", "AdptCrvReq"), SLOTS), (126, ("ModEna", "ActCrv"), CURVES))),
    ("volt-watt", ((706, ("Ena", "AdptCrvReq"), SLOTS), (132, ("ModEna", "ActCrv"), CURVES))),
    ("watt-var", ((712, ("Ena", "AdptCrvReq"), SLOTS),)),
    ("watt-power-factor", ((131, ("ModEna", "ActCrv"), CURVES),)),
    ("frequency droop", ((711, ("Ena", "AdptCtlReq"), "{NCtl} slots, adopted"),)),
    ("frequency-watt", ((134, ("ModEna", "ActCrv"), CURVES),)),
    ("low-voltage must trip", ((707, ("AdptCrvReq",), TRIPS), (129, ("ActCrv",), CURVES))),
    ("low-voltage may trip", ((707, ("AdptCrvReq",), TRIPS), (137, ("ActCrv",), CURVES))),
    ("low-voltage momentary cessation", ((707, ("AdptCrvReq",), TRIPS),)),
    ("high-voltage must trip", ((708, ("AdptCrvReq",), TRIPS), (130, ("ActCrv",), CURVES))),
    ("high-voltage may trip", ((708, ("AdptCrvReq",), TRIPS), (138, ("ActCrv",), CURVES))),
    ("high-voltage momentary cessation", ((708, ("AdptCrvReq",), TRIPS),)),
    ("low-frequency must trip", ((709, ("AdptCrvReq",), TRIPS), (135, ("ActCrv",), CURVES))),
    ("low-frequency may trip", ((709, ("AdptCrvReq",), TRIPS),)),
    ("high-frequency must trip", ((710, ("AdptCrvReq",), TRIPS), (136, ("ActCrv",), CURVES))),
    ("high-frequency may trip", ((710, ("AdptCrvReq",), TRIPS),)),
)
"""What the gateway can carry beside limits and set-points (gateway/core/modes.py), by which points, and how."""
NOT_YET: Final = {127: "frequency droop with hysteresis", 802: "battery"}
"""Models that the gateway knows of and does not use."""
_NUMBERS: Final = ("NCrv", "NCrvSet", "NCtl", "NPt")
REACHED: Final = ("host", "port", "serial", "baud", "parity", "unit")
HIDDEN: Final = ("ID", "L")


def rows(found: Surveyed) -> tuple[Row, ...]:
    """Give the models of a device, in order."""
    return tuple(_row(found, block) for block in found.chain.models)


def _row(found: Surveyed, block: Block) -> Row:
    try:
        model = compile_model(block.id)
    except UnknownModelError:
        return Row(block.id, "not published", block.address, block.length, (), (), ())
    values = found.values(block)
    counted = [name for name, point in model.points.items() if name not in HIDDEN and point.type != "pad"]
    given = tuple(name for name in counted if not isinstance(values.get(name, Absent("")), Absent))
    absent = tuple(name for name in counted if name not in given)
    missing = tuple(name for name in absent if model.points[name].mandatory)
    return Row(block.id, model.name, block.address, block.length, given, absent, missing)


def modes(found: Surveyed) -> tuple[Mode, ...]:
    """Give what the gateway can do with a device, and what the device has that the gateway does not use."""
    told = []
    for name, ways in MODES:
        usable = (Mode(name, model, how) for model, points, how in ways if _implements(found, model, points))
        told.append(next(usable, Mode(name, None, "")))
    modern = any(block.id in MODERN for block in found.chain.models)
    for name, ways in CARRIED:
        kept = [each for each in ways if not modern or each[0] in MODERN]
        implemented = [(model, how) for model, points, how in kept if _implements(found, model, points)]
        usable = (Mode(name, model, _shown(found, model, how)) for model, how in implemented)
        told.append(next(usable, Mode(name, None, "")))
    unused = sorted({block.id for block in found.chain.models} & NOT_YET.keys())
    return (*told, *(Mode(NOT_YET[model], model, "not used by the gateway") for model in unused))


def _shown(found: Surveyed, model: int, how: str) -> str:
    """Say how, with the numbers that the model gives."""
    return how.format_map({name: shown(found.values(found.chain.of(model)[0]), name) for name in _NUMBERS})


def _implements(found: Surveyed, model: int, points: tuple[str, ...]) -> bool:
    return any(set(points) <= set(row.implemented) for row in rows(found) if row.model == model)


def rated_w(found: Surveyed) -> int | None:
    """Give the most that it generates (W): as it is set, else its rating, else None."""
    description = describe(found.chain)
    answers = []
    for each in description.parts:
        block = next(block for block in found.chain.models if block.id == each.model.id)
        answers.append(found.registers[block][2 * each.reader.offset :])
    said = settings(description, answers, 0).generation_max_w
    value = getattr(said, "value", None)
    return value if isinstance(value, int) else None


def points(found: Surveyed, block: Block) -> Iterator[tuple[str, str]]:
    """Give a model's points that have a value, each as text with its unit."""
    try:
        model = compile_model(block.id)
    except UnknownModelError:
        return
    for name, value in found.values(block).items():
        if name not in HIDDEN and not isinstance(value, Absent):
            yield name, _text(model, name, value)


def _text(model: Model, name: str, value: Value) -> str:
    point = model.points[name]
    if not isinstance(value, int):
        return str(value)
    if value in point.symbols:
        return f"{value} ({point.symbols[value]})"
    if point.exponent >= 0:
        number = str(value * 10**point.exponent)
    else:
        digits = f"{abs(value):0{1 - point.exponent}d}"
        whole, part = digits[: point.exponent], digits[point.exponent :].rstrip("0")
        number = ("-" if value < 0 else "") + whole + (f".{part}" if part else "")
    return f"{number} {point.units}".rstrip()


def table(found: Surveyed) -> dict[str, str | int]:
    """Give the device's table of the site file: what is needed to reach it, and what differs from the defaults."""
    said: dict[str, str | int] = {"host": found.host}
    if found.line is not None:
        said = {"serial": found.line.name, "baud": found.line.baud, "parity": found.line.parity.value}
    elif found.port != PLAIN.port:
        said["port"] = found.port
    if found.unit != PLAIN.unit:
        said["unit"] = found.unit
    if found.profile is not PLAIN:
        said["profile"] = found.profile.name
    keys = found.profile.keys()
    return said | {key: value for key, value in keys.items() if key in ("settle_s", "poll_s")}


def block_of_site(found: Surveyed, name: str) -> str:
    """Write the device or meter as it goes into a site file; what only its owner knows is a comment."""
    kind = "device" if measurement(found.chain) else "meter" if meter(found.chain) else ""
    rating = rated_w(found)
    rated = f"rated_w = {rating}" if rating else "# rated_w = its nameplate rating in W, which it does not give"
    who = " ".join(each for each in (found.identity.manufacturer, found.identity.model) if each) or "no model 1"
    lines = [
        f"# {who}, serial {found.identity.serial or 'unknown'}",
        *(f"# beware: {danger}" for danger in found.profile.dangers),
    ]
    if not kind:
        models = " ".join(str(block.id) for block in found.chain.models)
        return "\n".join([*lines, f"# at {found.where} unit {found.unit}: nothing to measure by in {models}"])
    keys = table(found) if kind == "device" else {key: table(found)[key] for key in REACHED if key in table(found)}
    lines += [
        f"[[{kind}]]",
        f"name = {quoted(name)}",
        f"resource = {quoted(name)} # the resource of the site file that it belongs to",
        *([rated] if kind == "device" else []),
        f"[{kind}.sunspec_modbus]",
        *(f"{key} = {quoted(value) if isinstance(value, str) else value}" for key, value in keys.items()),
    ]
    return "\n".join(lines)


def profile_start(found: Surveyed) -> str:
    """Write a device profile to start from: what was seen, and the place for who else has seen it."""
    who = found.identity
    seen: list[tuple[str, str]] = []
    if found.chain.ended_by is not EndedBy.MARKER:
        seen.append((f"The chain ends with {found.chain.ended_by}, not with the end marker", "end_marker = false"))
    if found.chain.base != PLAIN.bases[0]:
        rest = ", ".join(str(base) for base in PLAIN.bases if base != found.chain.base)
        seen.append((f"The map begins at {found.chain.base}", f"bases = [{found.chain.base}, {rest}]"))
    if found.unit != PLAIN.unit:
        seen.append((f"The unit id is {found.unit}", f"unit = {found.unit}"))
    if found.block_max < READ_MAX:
        seen.append((f"It gives at most {found.block_max} registers in one read", f"block_max = {found.block_max}"))
    if found.profile.write_function == WRITE_ONE:
        seen.append(("It is written by function 06 alone", "write_function = 6"))
    lines = [
        f"about = {quoted(' '.join(filter(None, who[:2])) or 'a device that does not name itself')}",
        "",
        "[[match]]",
    ]
    said = (("manufacturer", who.manufacturer), ("model", who.model), ("firmware", who.version))
    lines += [f"{key} = {quoted(_pattern(text))}" for key, text in said if text]
    for what, sets in seen or [("Nothing that differs from the models was seen", "")]:
        lines += ["", "[[quirk]]", f"what = {quoted(what)}", 'source = ["https://"] # the public issue that says so']
        lines += [f"sets = {{ {sets} }}"] if sets else []
    return "\n".join(lines)


def quoted(text: str) -> str:
    """Write a text as TOML does."""
    return json.dumps(text, ensure_ascii=True)


def _pattern(text: str) -> str:
    """Give a pattern that is this text and nothing else."""
    return "".join(each if each.isalnum() or each in " -_/" else f"\\{each}" for each in text)
