"""The XML of the bad-input catalogue: refused in one line, by work that is counted, within memory that is bounded."""

import contextlib
import subprocess
import sys
import tomllib
from pathlib import Path

import lxml.etree
import pytest
from test_sep2_faults import base_of, body_of, middle, power

from gateway.wire.sep2 import MAX_BODY_OCTETS, Faulty, WireFault, decode
from gateway.wire.sep2.bounds import MAX_ATTRIBUTES, MAX_TAGS
from gateway.wire.sep2.quantities import ActivePower
from gateway.wire.sep2.resources import DERControl, DERControlBase, DERControlList, DERStatus, Error
from gateway.wire.sep2.subscriptions import Notification
from hil.sep2.hostile import BODIES, NS, UNTOLD, Frame

STATUS = Frame("DERStatus", inner="<readingTime>1</readingTime>")
ROOT = Path(__file__).parents[2]
GROWTH_MB = 64
"""What the worst of all bodies may add to a process: a tree of many times the octets that made it."""


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Give every body that reaches the parser."""
    seen: list[bytes] = []
    parse = lxml.etree.fromstring

    def counted(body: bytes, parser: lxml.etree.XMLParser) -> lxml.etree._Element:
        seen.append(body)
        return parse(body, parser)

    monkeypatch.setattr(lxml.etree, "fromstring", counted)
    return seen


def test_what_is_spoilt_is_read_as_it_was() -> None:
    assert decode(STATUS.whole) == DERStatus(reading_time_s=1)


@pytest.mark.parametrize("entry", BODIES)
def test_body_is_refused_in_one_line(entry: str, parsed: list[bytes]) -> None:
    hostile = BODIES[entry]
    body = hostile.body(STATUS)
    with pytest.raises(WireFault) as caught:
        decode(body)
    told = str(caught.value)
    assert hostile.why in told
    assert "\n" not in told
    assert len(told) < 300
    assert Path(UNTOLD).read_text().strip() not in told
    assert len(parsed) == hostile.is_parsed, "what can be refused unparsed is"
    for one in parsed:
        assert len(one) <= MAX_BODY_OCTETS
        assert one.count(b"<") <= MAX_TAGS
        assert one.count(b"=") <= MAX_ATTRIBUTES


def test_no_body_takes_much_memory(tmp_path: Path) -> None:
    """Decode all of them, and the most that fits under every cap, in a process of its own that counts its pages."""
    for number, body in enumerate([*(hostile.body(STATUS) for hostile in BODIES.values()), *_fullest()]):
        (tmp_path / f"{number}.xml").write_bytes(body)
    done = subprocess.run(
        [sys.executable, __file__, tmp_path], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": f"{ROOT}:{Path(__file__).parent}"},
    )  # fmt: skip
    grown_mb = int(done.stdout)
    assert 1 < grown_mb < GROWTH_MB


def _fullest() -> list[bytes]:
    """Give bodies that fill each cap to the brim."""
    many = "".join(f"<a{number} b='{number}'/>" for number in range(MAX_ATTRIBUTES - 10))
    readings = "<Reading><value>1</value></Reading>" * 300
    sets = f"<MirrorReadingSet><mRID>01</mRID>{readings}</MirrorReadingSet>" * 50
    return [
        STATUS.beside("<a/>" * (MAX_TAGS - 10)).encode(),
        STATUS.beside(many).encode(),
        STATUS.beside("x" * (MAX_BODY_OCTETS - 200)).encode(),
        f'<MirrorMeterReading xmlns="{NS}"><mRID>01</mRID>{sets}</MirrorMeterReading>'.encode(),
    ]


def _growth_mb(folder: Path) -> int:
    decode(STATUS.whole)
    before = _most_kb()
    for path in folder.iterdir():
        body = path.read_bytes()
        with contextlib.suppress(WireFault):
            decode(body)
    return (_most_kb() - before) // 1024


def _most_kb() -> int:
    """Give the most memory that this process has held (kB)."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])


# -- what is refused as one value of one item


def test_duplicate_singleton_is_refused() -> None:
    for once in ("<rampTms>1</rampTms>", "<opModConnect>true</opModConnect>", power(0, 1500)):
        faulty = middle(body_of(once * 2))
        assert isinstance(faulty, Faulty)
        assert faulty.why.endswith("is there twice")
    with pytest.raises(WireFault, match=r"readingTime \(line 1\): is there twice"):
        decode(STATUS.beside(STATUS.inner).encode())


def test_unknown_critical_element_is_named_and_never_taken_for_another() -> None:
    """What an edition to come asks of a DER is said to be lacking, so that the event is answered so."""
    assert base_of("<opModTomorrowW><value>1</value></opModTomorrowW>") == DERControlBase(
        other_modes=("opModTomorrowW",)
    )
    foreign = f'<x:opModMaxLimW xmlns:x="urn:x">100</x:opModMaxLimW>{power(0, 1500)}'
    assert base_of(foreign) == DERControlBase(op_mod_exp_lim_w=ActivePower(1500), other_modes=("{urn:x}opModMaxLimW",))


def test_comment_inside_a_number_never_shortens_it() -> None:
    for written in ("10<!-- -->0", "<!---->100", "1<!-- 9 -->00<!---->"):
        assert base_of(power(0, written)).op_mod_exp_lim_w == ActivePower(100)


def test_processing_instruction_inside_a_number_never_shortens_it() -> None:
    for written in ("10<?x 9?>0", "<?x?>100"):
        assert base_of(power(0, written)).op_mod_exp_lim_w == ActivePower(100)


def test_processing_instruction_of_a_style_sheet_is_not_followed(parsed: list[bytes]) -> None:
    body = f'<?xml-stylesheet type="text/xsl" href="http://127.0.0.1:9/x.xsl"?>{STATUS}'.encode()
    assert decode(body) == DERStatus(reading_time_s=1)
    assert parsed == [body]


@pytest.mark.parametrize(
    "namespace",
    [
        pytest.param("http://ieee.org/2030.5", id="2013 namespace"),
        pytest.param("http://zigbee.org/sep", id="zigbee namespace"),
    ],
)
def test_earlier_edition_is_read(namespace: str) -> None:
    body = STATUS.whole.replace(NS.encode(), namespace.encode())
    assert decode(body) == DERStatus(reading_time_s=1)
    with pytest.raises(WireFault, match="readingTime missing"):
        decode(body.replace(b"<readingTime", b'<readingTime xmlns="urn:x"'))


def test_xsi_type_substitution_inside_a_list_is_refused_and_one_that_says_what_it_is_read() -> None:
    typed = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type'
    head = f'<DERControlList xmlns="{NS}" all="1" results="1">'
    with pytest.raises(WireFault, match=r"DERControl \(line 1\): says that it is of type 'Lifted'"):
        decode(f'{head}<DERControl {typed}="x:Lifted"/></DERControlList>'.encode())
    controls = decode(f'{head}<DERControl {typed}="DERControl"><mRID>0A</mRID></DERControl></DERControlList>'.encode())
    assert isinstance(controls, DERControlList)
    note = (
        f'<Notification xmlns="{NS}"><subscribedResource>/derc</subscribedResource><Resource {typed}="DERControlList"/>'
        "<status>0</status><subscriptionURI>/sub/1</subscriptionURI></Notification>"
    )
    assert isinstance(decode(note.encode()), Notification)
    error = f'<Error xmlns="{NS}"><reasonCode {typed}="UInt16">1</reasonCode></Error>'
    assert decode(error.encode()) == Error(reason_code=1)


def test_iterparse_that_reads_external_entities_is_not_in_use() -> None:
    assert lxml.etree.LXML_VERSION >= (6, 1), "CVE-2026-41066"
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert "lxml>=6.1" in needed
    sources = [path.read_text() for path in (ROOT / "gateway").rglob("*.py")]
    assert not any(word in source for source in sources for word in ("iterparse", "ETCompatXMLParser"))


# -- what overflows


@pytest.mark.parametrize("multiplier", [-10, 10, 127, 10**30])
def test_multiplier_outside_minus_9_to_9_is_refused(multiplier: int) -> None:
    faulty = middle(body_of(power(multiplier, 1)))
    assert isinstance(faulty, Faulty)
    assert "is not in -9..9" in faulty.why


@pytest.mark.parametrize(
    ("element", "value"),
    [("opModMaxLimW", 10_001), ("opModMaxLimW", -1), ("opModFixedW", 10_001), ("opModFixedW", -10_001)],
)
def test_percent_over_10000_is_refused(element: str, value: int) -> None:
    faulty = middle(body_of(f"<{element}>{value}</{element}>"))
    assert isinstance(faulty, Faulty)
    assert f"DERControlBase/{element}" in faulty.why


@pytest.mark.parametrize("element", ["randomizeStart", "randomizeDuration"])
@pytest.mark.parametrize("seconds", [-3_601, 3_601])
def test_randomize_outside_3600_is_refused(element: str, seconds: int) -> None:
    faulty = middle(body_of(event=f"<{element}>{seconds}</{element}>"))
    assert isinstance(faulty, Faulty)
    assert "is not in -3600..3600" in faulty.why


def test_negative_duration_is_refused() -> None:
    faulty = middle(body_of(duration="-1"))
    assert isinstance(faulty, Faulty)
    assert "DERControl/interval/duration" in faulty.why


def test_duration_over_32_bits_is_refused() -> None:
    faulty = middle(body_of(duration="4294967296"))
    assert isinstance(faulty, Faulty)
    assert "is not in 0..4294967295" in faulty.why


def test_start_over_64_bits_is_refused() -> None:
    for start in (-(2**63) - 1, 2**63):
        faulty = middle(body_of().replace(b"<start>5</start>", f"<start>{start}</start>".encode()))
        assert isinstance(faulty, Faulty)
        assert "DERControl/interval/start" in faulty.why


@pytest.mark.parametrize("value", [2**47 + 1, 3 * 10**15, -(2**47) - 1, 10**40])
def test_int48_reading_overflow_is_refused(value: int) -> None:
    reading = f"<mRID>01</mRID><Reading><value>{value}</value></Reading>"
    body = f'<MirrorMeterReading xmlns="{NS}">{reading}</MirrorMeterReading>'
    with pytest.raises(WireFault, match=r"Reading/value \(line 1\): .* is not in -140737488355328\.\.140737488355328"):
        decode(body.encode())


def test_one_control_without_faults_stands_between_the_others() -> None:
    assert isinstance(middle(body_of(power(0, 1500))), DERControl)


if __name__ == "__main__":
    sys.stdout.write(f"{_growth_mb(Path(sys.argv[1]))}\n")
