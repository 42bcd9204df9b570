"""The site file of the demo: written of what the simulators say that they are."""

import json
from collections.abc import Iterator
from typing import Any, Final

LAST_RESORT_PCT: Final = 30
"""Of the rating: what a resource of the demo may export where no default was ever received."""
LIMITS: Final = '["export-limit", "generation-limit", "rating-limit", "load-limit", "connect", "energize"]'

Ready = dict[str, Any]

_NONE: Final[Ready] = {"vtns": {}, "meters": {}, "sep2_server": None, "broker": None, "feeder": None}
_OWN_PARTIES: Final = ("dso", "market")


def site_file(told: Ready) -> str:
    """Write the site file; what the simulators do not tell of there is none of."""
    ready = _NONE | told
    devices = dict(_devices(ready))
    rated_w: dict[str, int] = {}
    for device in devices.values():
        rated_w[device["resource"]] = rated_w.get(device["resource"], 0) + device["rated_w"]
    parts = ['[gateway]\nname = "street"\nhealth_port = 0\n', *_parties(ready)]
    parts.append(f'[[group]]\nname = "street"\nresources = {json.dumps(list(ready["resources"]))}\n')
    for name, resource in ready["resources"].items():
        parts.append(
            f'[[resource]]\nname = "{name}"\nexport_limit_w = {2 * rated_w[name]}\n'
            f"last_resort_export_limit_w = {rated_w[name] * LAST_RESORT_PCT // 100}\n"
            f'[resource.sep2]\nlfdi = "{resource["lfdi"]}"\npin = {resource["pin"]}\n'
        )
    for name, device in devices.items():
        placed = f'bus = "{device["bus"]}"\n' if ready["feeder"] and device["bus"] else ""
        stores = f"energy_wh = {device['energy_wh']}\n" if "energy_wh" in device else ""
        parts.append(
            f'[[device]]\nname = "{name}"\nresource = "{device["resource"]}"\nrated_w = {device["rated_w"]}\n'
            f"{placed}{stores}{device['table']}"
        )
    return "\n".join([*parts, *_meters(ready), *_servers(ready), *_feeder(ready)])


def site_devices(told: Ready) -> list[str]:
    """Name all devices, in the order of the site file."""
    return [name for name, _device in _devices(_NONE | told)]


def _parties(ready: Ready) -> Iterator[str]:
    yield '[[party]]\nname = "dso"\ntier = "distribution"\nlimit_parent = true\n'
    yield '[[party]]\nname = "market"\ntier = "customer"\n'
    yield f'[[grant]]\nparty = "dso"\nservice = "envelope"\nlevel = 3\ngroup = "street"\nfunctions = {LIMITS}\n'
    yield '[[grant]]\nparty = "dso"\nservice = "dispatch"\nlevel = 6\ngroup = "street"\nfunctions = ["active-power"]\n'
    yield '[[grant]]\nparty = "market"\nservice = "energy"\nlevel = 7\ngroup = "street"\nfunctions = ["active-power"]\n'
    for name in ready["vtns"]:
        if name in _OWN_PARTIES:
            continue
        yield f'[[party]]\nname = "{name}"\ntier = "distribution"\nwire_of = "dso"\nlimit_parent = true\n'
        yield (
            f'[[grant]]\nparty = "{name}"\nservice = "envelope"\nlevel = 3\ngroup = "street"\n'
            'functions = ["export-limit", "import-limit", "rating-limit"]\n'
        )


def _devices(ready: Ready) -> Iterator[tuple[str, Ready]]:
    """Yield every device with the table of its adapter."""
    for name, one in ready["inverters"].items():
        table = (
            f'[device.sunspec_modbus]\nhost = "{one["host"]}"\nport = {one["port"]}\n'
            f"unit = {one['unit']}\npoll_s = 5\nsettle_s = 15\nrevert_s = 60\n"
        )
        yield name, {**one, "table": table}
    for name, one in (ready["sep2_server"] or {"devices": {}})["devices"].items():
        table = f'[device.sep2_server]\nlfdi = "{one["lfdi"]}"\npin = {one["pin"]}\nsettle_s = 40\nrevert_s = 60\n'
        yield name, {**one, "table": table}
    for name, one in (ready["broker"] or {"batteries": {}})["batteries"].items():
        yield name, {**one, "table": "[device.mqtt_device]\nreport_s = 5\nsettle_s = 15\nrevert_s = 60\n"}


def _meters(ready: Ready) -> Iterator[str]:
    for name, one in ready["meters"].items():
        yield (
            f'[[meter]]\nname = "{name}"\nresource = "{one["resource"]}"\n[meter.sunspec_modbus]\n'
            f'host = "{one["host"]}"\nport = {one["port"]}\nunit = {one["unit"]}\npoll_s = 2\n'
        )


def _servers(ready: Ready) -> Iterator[str]:
    own = 'certificate = "pki/gateway.pem"\nkey = "pki/gateway.key"\n'
    trust = 'trust = ["pki/serca.pem", "pki/mca.pem", "pki/mica.pem"]\n'
    for name, head_end in ready["head_ends"].items():
        yield (
            f'[[sep2_client]]\nparty = "{name}"\nurl = "{head_end["url"]}"\nserver_lfdi = "{head_end["lfdi"]}"\n'
            f"{own}{trust}poll_s = 20\npost_s = 60\ncontact_lost_s = 60\n"
        )
    for name, vtn in ready["vtns"].items():
        yield (
            f'[[openadr_ven]]\nparty = "{name}"\nurl = "{vtn["url"]}"\nclient_id = "{vtn["client_id"]}"\n'
            f'client_secret_file = "{vtn["secret_file"]}"\nven_name = "street"\ntrust = ["{vtn["trust"]}"]\n'
            "poll_s = 10\nreport_s = 60\ncontact_lost_s = 60\n"
        )
    if ready["sep2_server"]:
        yield f"[sep2_server]\nport = {ready['sep2_server']['port']}\n{own}{trust}poll_s = 10\npost_s = 10\n"
    if ready["broker"]:
        broker = ready["broker"]
        yield (
            f'[mqtt_device]\nhost = "{broker["host"]}"\nport = {broker["port"]}\nusername = "{broker["username"]}"\n'
            f'password_file = "{broker["password_file"]}"\ntrust = "{broker["trust"]}"\n'
            f'topic_prefix = "{broker["topic_prefix"]}"\n'
        )


def _feeder(ready: Ready) -> Iterator[str]:
    if ready["feeder"]:
        yield f'[feeder]\nname = "ieee13"\nmodel = "{ready["feeder"]}"\nvoltage_max_pu = 1.06\n'
