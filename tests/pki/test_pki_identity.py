import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pki import hardware_module, identity

REFERENCE = Path(__file__).parents[2].parent / "shared" / "reference" / "identity-vectors.toml"
A = "3E4F45AB31EDFE5B67E343E5E4562E31984E23E5"
B = "30A13B2277D008C891E06E1D34EE728CC3A6DB2B"
C = "0671C144D27DC9E612AFE7DC6C79EC089ED3DCC5"


@pytest.mark.parametrize(
    ("lfdi", "sfdi"),
    [
        (A, 167261211391),  # the example of the standard
        (B, 130539648399),  # a Luhn digit would be 1
        (C, 17298934539),
        ("0" * 40, 0),
        ("F" * 40, 687194767357),
    ],
)
def test_sfdi_ends_in_a_sum_of_digits_check_digit(lfdi: str, sfdi: int) -> None:
    assert identity.sfdi(lfdi) == sfdi
    assert identity.check_sfdi(sfdi)


@pytest.mark.parametrize(("sfdi", "text"), [(167261211391, "167-261-211-391"), (17298934539, "017-298-934-539")])
def test_sfdi_is_written_with_its_leading_zero(sfdi: int, text: str) -> None:
    assert identity.sfdi_text(sfdi) == text


@pytest.mark.parametrize("sfdi", [167261211390, 167261211397, 130539648391, -1, 687194767367])
def test_wrong_sfdi_is_refused(sfdi: int) -> None:
    assert not identity.check_sfdi(sfdi)
    with pytest.raises(ValueError, match="is not an SFDI"):
        identity.sfdi_text(sfdi)


@pytest.mark.parametrize(("digits", "pin"), [("11111", 111115), ("12345", 123455), ("00000", 0), ("00019", 190)])
def test_pin_gets_its_check_digit(digits: str, pin: int) -> None:
    assert identity.pin_with_check(digits) == pin
    assert identity.check_pin(pin)


@pytest.mark.parametrize("pin", [12345, 111111, -5, 1000009])
def test_wrong_pin_is_refused(pin: int) -> None:
    assert not identity.check_pin(pin)


@pytest.mark.parametrize("digits", ["1234", "123456", "1234x", "+1234", "\u0661" * 5, ""])
def test_pin_that_is_not_five_digits_is_refused(digits: str) -> None:
    with pytest.raises(ValueError, match="is not 5 decimal digits"):
        identity.pin_with_check(digits)


def test_lfdi_is_the_first_160_bits_of_the_whole_certificates_hash() -> None:
    # SHA-256 of "abc" (FIPS 180-4)
    assert identity.fingerprint(b"abc") == "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"
    assert identity.lfdi(b"abc") == "BA7816BF8F01CFEA414140DE5DAE2223B00361A3"


@pytest.mark.parametrize("text", [A.lower(), "3E4F-45AB-31ED-FE5B-67E3-43E5-E456-2E31-984E-23E5", f" {A} "])
def test_lfdi_is_read_as_people_write_it(text: str) -> None:
    assert identity.parse_lfdi(text) == A


@pytest.mark.parametrize("text", [A[:-1], A + "0", "G" + A[1:], "", "0x" + A[2:]])
def test_text_that_is_no_lfdi_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not 40 hex digits"):
        identity.sfdi(text)


def test_reference_vectors() -> None:
    if not REFERENCE.exists():
        pytest.skip("the reference vectors are not beside this repository")
    vectors = tomllib.loads(REFERENCE.read_text())
    for one in vectors["certificate"]:
        assert identity.sfdi(one["lfdi"]) == one["sfdi"]
        assert one.get("sha256", one["lfdi"]).startswith(one["lfdi"])
        assert identity.sfdi_text(one["sfdi"]) == one.get("sfdi_text", identity.sfdi_text(one["sfdi"]))
    assert identity.sfdi("F" * 40) == vectors["limits"]["sfdi_max_valid"]
    assert not any(map(identity.check_sfdi, vectors["limits"]["refused_sfdi"]))
    for pin in vectors["pin"]:
        assert identity.pin_with_check(pin["digits"]) == pin["pin"]


@given(st.integers(0, 2**36 - 1), st.integers(0, 11), st.integers(1, 9))
def test_any_one_wrong_digit_is_noticed(bits: int, place: int, shift: int) -> None:
    digits = f"{identity.sfdi(f'{bits:09X}' + '0' * 31):012d}"
    wrong = digits[:place] + str((int(digits[place]) + shift) % 10) + digits[place + 1 :]
    assert identity.check_sfdi(int(digits))
    assert not identity.check_sfdi(int(wrong))


arcs = st.tuples(st.integers(0, 2), st.integers(0, 39), st.lists(st.integers(0, 2**40), max_size=6))


@given(arcs, st.binary(max_size=300))
def test_hardware_module_name_survives_der(arcs: tuple[int, int, list[int]], serial: bytes) -> None:
    module = hardware_module.HardwareModule(".".join(map(str, (arcs[0], arcs[1], *arcs[2]))), serial)
    assert hardware_module.decode(hardware_module.encode(module)) == module


@given(st.binary(max_size=40))
def test_hardware_module_name_has_one_encoding(der: bytes) -> None:
    try:
        module = hardware_module.decode(der)
    except ValueError:
        return
    assert hardware_module.encode(module) == der


@pytest.mark.parametrize(
    "der",
    [
        "",
        "3006 06012a 0400",  # one byte too few
        "3005 06012a 0400 00",  # and one after the end
        "300506012a040000",
        "30810506012a0400",  # long form of a short length
        "3006 06022a80 0400",  # unfinished arc
        "3007 06032a8001 0400",  # arc with a leading zero
        "3002 0400",
        "3006 060004024141",
    ],
)
def test_hardware_module_name_that_is_not_der_is_refused(der: str) -> None:
    with pytest.raises(ValueError, match=r"HardwareModuleName|hwType"):
        hardware_module.decode(bytes.fromhex(der))


@pytest.mark.parametrize("dotted", ["3.1", "1", "1.40", "1.-2", "x.y", ""])
def test_hardware_type_that_is_no_oid_is_refused(dotted: str) -> None:
    with pytest.raises(ValueError, match=r"is not an object identifier|invalid literal"):
        hardware_module.encode(hardware_module.HardwareModule(dotted, b""))
