"""A device may change its scale factors at any time: each read is decoded by those that came with it."""

from itertools import product
from struct import pack

from gateway.wire.sunspec import Absent, Reader, compile_model

MODEL = compile_model(701)
SCALES = (-10, -3, -1, 0, 1, 2, 10)
NOT_A_SCALE = -32768


def octets(reader: Reader, **raw: int) -> bytes:
    """Give the registers of a read that holds these points and zeros."""
    words = bytearray(2 * reader.quantity)
    for name, value in raw.items():
        at = 2 * (MODEL.points[name].offset - reader.offset)
        words[at : at + 2] = pack(">h", value)
    return bytes(words)


def test_each_read_is_decoded_by_its_own_scale_factors() -> None:
    reader = MODEL.reader(("W", "Var", "LNV"))
    for w_sf, var_sf, v_sf in product(SCALES, SCALES, SCALES):
        values = reader.decode(octets(reader, W=2_000, Var=-2_000, LNV=2_000, W_SF=w_sf, Var_SF=var_sf, V_SF=v_sf))
        assert values["W"] == (2_000 * 10**w_sf if w_sf >= 0 else round(2_000 / 10**-w_sf))
        assert values["Var"] == (-2_000 * 10**var_sf if var_sf >= 0 else -round(2_000 / 10**-var_sf))
        assert values["LNV"] == (2_000 * 10 ** (v_sf + 3) if v_sf >= -3 else round(2_000 / 10 ** (-v_sf - 3)))


def test_a_scale_factor_that_is_gone_for_one_read_is_gone_for_that_one_alone() -> None:
    reader = MODEL.reader(("W", "Var"))
    scaled, unscaled = octets(reader, W=5, Var=6), octets(reader, W=5, Var=6, W_SF=NOT_A_SCALE)
    for _ in range(2):
        assert reader.decode(scaled) == {"W": 5, "Var": 6}
        assert isinstance(reader.decode(unscaled)["W"], Absent)
        assert reader.decode(unscaled)["Var"] == 6
