"""The site files of the benchmarks, and the bodies of their orders."""

import hashlib
import json
import time
from collections.abc import Sequence

from .devices import OURS, RATED_W

DSO = "dso"
PIN = 111_115
POLL_S = 10
ORDER_S = 3_600

_PARTY = """\
[gateway]
name = "bench"
health_port = 0

[[party]]
name = "dso"
tier = "distribution"
limit_parent = true

[[grant]]
party = "dso"
service = "operating-envelope"
level = 3
group = "all"
functions = ["export-limit", "generation-limit", "rating-limit", "connect", "energize"]
"""
_RESOURCE = """
[[resource]]
name = "{resource}"
export_limit_w = {rated_w}
last_resort_export_limit_w = 1500
[resource.sep2]
lfdi = "{lfdi}"
pin = {pin}

[[device]]
name = "{resource}-roof"
resource = "{resource}"
rated_w = {rated_w}
[device.sunspec_modbus]
host = "127.0.0.1"
port = {port}
unit = {unit}
poll_s = {poll_s}
settle_s = 5
revert_s = 60
"""
_SERVER = """
[[sep2_client]]
party = "dso"
url = "{url}"
server_lfdi = "{lfdi}"
certificate = "pki/gateway.pem"
key = "pki/gateway.key"
trust = ["pki/serca.pem", "pki/mca.pem", "pki/mica.pem"]
poll_s = 20
post_s = 20
"""
_CONTROLS = """\
<?xml version="1.0" encoding="UTF-8"?>
<DERControlList xmlns="urn:ieee:std:2030.5:ns" xmlns:csipaus="https://csipaus.org/ns" href="/derp/1/derc" all="1" \
results="1" subscribable="0"><DERControl href="/derp/1/derc/{mrid}" replyTo="/rsps/1/rsp" responseRequired="03">\
<mRID>{mrid}</mRID><description>burst</description><creationTime>{created_s}</creationTime>\
<EventStatus><currentStatus>1</currentStatus><dateTime>{created_s}</dateTime>\
<potentiallySuperseded>false</potentiallySuperseded></EventStatus>\
<interval><duration>{duration_s}</duration><start>{start_s}</start></interval>\
<DERControlBase><csipaus:opModExpLimW><multiplier>0</multiplier><value>{limit_w}</value></csipaus:opModExpLimW>\
</DERControlBase></DERControl></DERControlList>
"""


def resource_names(count: int) -> list[str]:
    """Name so many resources."""
    return [f"house-{number}" for number in range(1, count + 1)]


def lfdi(resource: str) -> str:
    """Give the identity under which a server knows a resource."""
    return hashlib.sha256(resource.encode()).hexdigest()[:40].upper()


def site_file(ports: Sequence[int], poll_s: int = POLL_S) -> str:
    """Write a site of one device behind each resource, all in one group."""
    names = resource_names(len(ports))
    parts = [_PARTY, f'\n[[group]]\nname = "all"\nresources = {json.dumps(names)}\n']
    for name, port in zip(names, ports, strict=True):
        given = {"resource": name, "lfdi": lfdi(name), "pin": PIN, "port": port, "unit": OURS}
        parts.append(_RESOURCE.format(**given, rated_w=RATED_W, poll_s=poll_s))
    return "".join(parts)


def server_table(url: str, server_lfdi: str) -> str:
    """Write the table of the DSO's server."""
    return _SERVER.format(url=url, lfdi=server_lfdi)


def control_list(number: int, created_s: int, limit_w: int, start_s: int | None = None) -> str:
    """Write the body of a DERControlList whose one control limits the export from a second on, by default now (W)."""
    start_s = int(time.time()) - 1 if start_s is None else start_s
    return _CONTROLS.format(
        mrid=f"{number:032X}", created_s=created_s, start_s=start_s, duration_s=ORDER_S, limit_w=limit_w
    )
