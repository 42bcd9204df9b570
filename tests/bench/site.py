"""Site files and DERControl bodies of the benchmarks."""

import time
from collections.abc import Sequence

from .devices import OURS, RATED_W

DSO = "dso"
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
name = "r{0}"
export_limit_w = {2}
last_resort_export_limit_w = 1500

[[device]]
name = "d{0}"
resource = "r{0}"
rated_w = {2}
[device.sunspec_modbus]
host = "127.0.0.1"
port = {1}
unit = {3}
poll_s = {4}
settle_s = 5
revert_s = 60
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


def site_file(ports: Sequence[int]) -> str:
    """Write a site of one device behind each resource."""
    names = ", ".join(f'"r{index}"' for index in range(len(ports)))
    parts = [_PARTY, f'\n[[group]]\nname = "all"\nresources = [{names}]\n']
    parts += [_RESOURCE.format(index, port, RATED_W, OURS, POLL_S) for index, port in enumerate(ports)]
    return "".join(parts)


def control_list(number: int, created_s: int, limit_w: int) -> str:
    """Write the body of a DERControlList whose one control limits the export from now on."""
    return _CONTROLS.format(
        mrid=f"{number:032X}", created_s=created_s, start_s=int(time.time()) - 1, duration_s=ORDER_S, limit_w=limit_w
    )
