"""What a device says of itself, in the forms that the editions give it."""

import pytest
from sep2_values import AUS, NS

from gateway.wire.sep2 import WireFault, decode
from gateway.wire.sep2.devices import ConnectionPoint


@pytest.mark.parametrize("namespace", [AUS, f"{AUS}/v1.3", f"{AUS}/v1.3-beta/storage"])
@pytest.mark.parametrize("element", ["connectionPointId", "id"])
def test_a_connection_point_is_read_in_every_australian_edition(namespace: str, element: str) -> None:
    body = f'<a:ConnectionPoint xmlns:a="{namespace}" href="/cp"><a:{element}>410233</a:{element}></a:ConnectionPoint>'
    assert decode(body.encode()) == ConnectionPoint(href="/cp", connection_point_id="410233")
    with pytest.raises(WireFault, match="root element 'ConnectionPoint' is no resource"):
        decode(body.replace(namespace, NS).encode())
