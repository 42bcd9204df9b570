import datetime as dt
import os
import re
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from forge import (
    BAD_LEAVES,
    EKU,
    UNKNOWN,
    Extensions,
    Pair,
    authority,
    common_name,
    forge,
    good_authority,
    good_leaf,
    leaf,
    names,
    policies,
)
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.pki import PkiFault, files, issue, profile

DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("pki")
    issue.init(directory, ["roof"])
    return directory


@pytest.fixture(scope="module")
def trust(pki: Path) -> list[x509.Certificate]:
    return files.read_trust([pki / "serca.pem", pki / "mca.pem", pki / "mica.pem"])


def ders(path: Path) -> list[bytes]:
    return [certificate.public_bytes(Encoding.DER) for certificate in files.read_certificates(path)]


def test_what_the_test_authority_issues_keeps_the_profile(pki: Path, trust: list[x509.Certificate]) -> None:
    assert profile.check_peer(ders(pki / "roof.pem")[0], trust) == []
    assert profile.check_peer(leaf(authority(pki)).der, trust) == []


@pytest.mark.parametrize("fault", BAD_LEAVES)
def test_leaf_that_breaks_one_rule_is_refused_with_one_reason(
    fault: str, pki: Path, trust: list[x509.Certificate]
) -> None:
    forger, reason = BAD_LEAVES[fault]
    reasons = profile.check_peer(forger(authority(pki)).der, trust)
    assert len(reasons) == 1, reasons
    assert reason in reasons[0]
    assert reasons[0].startswith("certificate: ")


def test_root_alone_does_for_a_peer_that_shows_its_chain(pki: Path) -> None:
    root = files.read_trust(pki / "serca.pem")
    assert profile.check_peer(ders(pki / "roof.pem"), root) == []
    (reason,) = profile.check_peer(ders(pki / "roof.pem")[0], root)
    assert re.search(r"its issuer .*CN=MICA .* is not in the trust files; add that MICA and its MCA", reason)


def test_chain_shown_by_the_peer_is_not_a_root_of_trust(pki: Path, tmp_path: Path) -> None:
    issue.init(tmp_path, ["rogue"])
    shown = [*ders(tmp_path / "rogue.pem"), *ders(tmp_path / "serca.pem")]
    reasons = profile.check_peer(shown, files.read_trust(pki / "serca.pem"))
    assert len(reasons) == 1
    assert "is not in the trust files" in reasons[0]


def test_namesake_of_the_authority_is_not_the_authority(pki: Path, trust: list[x509.Certificate]) -> None:
    imposter = Pair(authority(pki).certificate, ec.generate_private_key(ec.SECP256R1()))
    (reason,) = profile.check_peer(leaf(imposter).der, trust)
    assert "is not signed by the" in reason


def test_authority_without_its_root_leads_nowhere(pki: Path, trust: list[x509.Certificate]) -> None:
    (reason,) = profile.check_peer(ders(pki / "roof.pem")[0], trust[1:])
    assert "leads to no root in the trust files" in reason


def test_self_signed_device_is_refused(trust: list[x509.Certificate]) -> None:
    own = forge(None, good_leaf(), subject=common_name("self"))
    assert any("is self-signed" in reason for reason in profile.check_peer(own.der, [*trust, own.certificate]))
    nameless = forge(None, good_leaf())
    assert any("self-signed" in reason for reason in profile.check_peer(nameless.der, [*trust, nameless.certificate]))


@pytest.mark.parametrize("length", [2, 3, 4, 5])
def test_chain_has_two_to_four_certificates(length: int) -> None:
    signer = forge(None, _deep(9), subject=common_name("SERCA"))
    above = [signer.certificate]
    for depth in range(length - 2):
        signer = forge(signer, _deep(9), subject=common_name(f"CA {depth}"))
        above.append(signer.certificate)
    reasons = profile.check_peer(leaf(signer).der, above)
    assert bool(reasons) == (length == 5), reasons


def _deep(path_length: int) -> Extensions:
    constraints = (x509.BasicConstraints(ca=True, path_length=path_length), True)
    return {**good_authority(), "constraints": constraints}


BAD_MICAS: dict[str, tuple[Extensions, str]] = {
    "EKU": ({"more": (EKU, False)}, "has extendedKeyUsage, an authority has none"),
    "critical EKU": ({"more": (EKU, True)}, "has extendedKeyUsage, an authority has none"),
    "name constraints": (
        {"more": (x509.NameConstraints([x509.DNSName("x")], None), False)},
        "has nameConstraints, an authority has none",
    ),
    "critical name constraints": (
        {"more": (x509.NameConstraints([x509.DNSName("x")], None), True)},
        "has nameConstraints, an authority has none",
    ),
    "policy constraints": ({"more": (x509.PolicyConstraints(1, None), True)}, "has policyConstraints"),
    "policy mappings": (
        {"more": (x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.33"), b"\x30\x00"), False)},
        "has policyMappings",
    ),
    "alternative name": ({"more": (names(x509.DNSName("x")), False)}, "has subjectAltName"),
    "unknown critical": ({"more": (UNKNOWN, True)}, "critical extension 1.3.6.1.4.1.32473.9"),
    "not an authority": ({"constraints": (x509.BasicConstraints(ca=False, path_length=None), True)}, "is not an"),
    "constraints not critical": ({"constraints": (x509.BasicConstraints(ca=True, path_length=0), False)}, "basicC"),
    "other policy": ({"policies": (policies("1.3.6.1.4.1.40732.1.2"), True)}, "does not allow the device policy"),
    "policies not critical": ({"policies": (policies("1.3.6.1.4.1.40732.1.1"), False)}, "certificatePolicies is not"),
    "does not sign": ({"usage": good_leaf()["usage"]}, "its keyUsage does not allow it to sign"),
}


@pytest.mark.parametrize("fault", BAD_MICAS)
def test_authority_that_breaks_one_rule_is_refused_with_one_reason(
    fault: str, pki: Path, trust: list[x509.Certificate]
) -> None:
    changed, reason = BAD_MICAS[fault]
    mica = forge(authority(pki, "mca"), {**good_authority(), **changed}, subject=common_name("bad MICA"))
    reasons = profile.check_peer(leaf(mica).der, [*trust, mica.certificate])
    assert len(reasons) == 1, reasons
    assert reasons[0].startswith('authority "CN=bad MICA": ')
    assert reason in reasons[0]


def test_every_link_is_on_p256_with_sha256_and_in_date(pki: Path, trust: list[x509.Certificate]) -> None:
    mca, name = authority(pki, "mca"), common_name("odd MICA")
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    odd = {
        "curve secp384r1, not P-256": forge(mca, good_authority(), subject=name, curve=ec.SECP384R1()),
        "ecdsa-with-SHA384": forge(mca, good_authority(), subject=name, digest=SHA384()),
        "expired on 2020-01-01": forge(mca, good_authority(), subject=name, not_after=past),
    }
    for reason, mica in odd.items():
        (found,) = profile.check_peer(leaf(mica).der, [*trust, mica.certificate])
        assert found.startswith('authority "CN=odd MICA": ')
        assert reason in found


def test_key_that_is_not_elliptic_is_refused(pki: Path, trust: list[x509.Certificate]) -> None:
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    (reason,) = profile.check_peer(forge(authority(pki), good_leaf(), public=public).der, trust)
    assert "its key is not an EC key on P-256" in reason


def test_path_length_is_kept(pki: Path, trust: list[x509.Certificate]) -> None:
    below = forge(authority(pki, "mca"), _deep(0), subject=common_name("first"))
    second = forge(authority(pki, "serca"), _deep(0), subject=common_name("upper"))
    lower = forge(second, _deep(0), subject=common_name("lower"))
    assert profile.check_peer(leaf(below).der, [*trust, below.certificate]) == []
    reasons = profile.check_peer(leaf(lower).der, [*trust, second.certificate, lower.certificate])
    assert reasons == ['authority "CN=upper": allows 0 authorities below it, there are 1']


def test_policies_of_tests_need_the_switch_and_those_of_service_providers_do_not(
    pki: Path, trust: list[x509.Certificate]
) -> None:
    device, test, provider = (f"1.3.6.1.4.1.40732.{arc}" for arc in ("1.1", "2.1", "2.3"))
    tested = leaf(authority(pki), policies=(policies(device, test), True)).der
    provided = leaf(authority(pki), policies=(policies(device, provider), True)).der
    assert profile.check_peer(tested, trust, test_policies=True) == []
    assert profile.check_peer(tested, trust) != []
    assert profile.check_peer(provided, trust) == []


def test_dates_are_judged_at_the_given_instant(pki: Path, trust: list[x509.Certificate]) -> None:
    good = leaf(authority(pki)).der
    issued_ms = int(authority(pki).certificate.not_valid_before_utc.timestamp() * 1000)
    assert profile.check_peer(good, trust, now_ms=issued_ms + DAY_MS) == []
    early = profile.check_peer(good, trust, now_ms=issued_ms - DAY_MS)
    assert len(early) == 3
    assert all("is not valid before" in reason for reason in early)


def test_pinned_peer_is_required(pki: Path, trust: list[x509.Certificate]) -> None:
    issued = issue.init(pki, ["roof", "wall"])
    der = ders(pki / "roof.pem")[0]
    assert profile.require_peer(der, issued["roof"].lfdi.lower(), trust) == issued["roof"].lfdi
    assert profile.require_peer(der, None, trust) == issued["roof"].lfdi
    with pytest.raises(PkiFault, match=f"its LFDI is {issued['roof'].lfdi}, not the pinned {issued['wall'].lfdi}"):
        profile.require_peer(der, issued["wall"].lfdi, trust)
    with pytest.raises(PkiFault, match=r"^peer [0-9A-F]{40} refused: certificate: its key is on curve secp384r1"):
        profile.require_peer(BAD_LEAVES["P-384 key"][0](authority(pki)).der, None, trust)


def test_foreign_names_cannot_break_a_line(pki: Path, trust: list[x509.Certificate]) -> None:
    hostile = forge(authority(pki), good_leaf(), subject=common_name("a\nb\x1b[31m\u2028" * 4))
    (reason,) = profile.check_peer(hostile.der, trust)
    assert reason.isprintable()
    assert len(reason) < 200


@pytest.mark.parametrize("der", [b"", b"\x30\x00", os.urandom(64)])
def test_bytes_that_are_no_certificate_are_refused(der: bytes, trust: list[x509.Certificate]) -> None:
    assert profile.check_peer(der, trust) == ["certificate: it or its chain cannot be read as X.509"]


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
@given(st.integers(0, 10_000), st.integers(1, 255))
@example(12, 1)  # version
@example(243, 0x10)  # an extension twice
@example(295, 0x10)  # a kind of name that nobody reads
def test_certificate_with_any_byte_changed_is_refused(
    pki: Path, trust: list[x509.Certificate], place: int, change: int
) -> None:
    der = bytearray(ders(pki / "roof.pem")[0])
    der[place % len(der)] ^= change
    reasons = profile.check_peer(bytes(der), trust)
    assert reasons
    assert all(reason.isprintable() for reason in reasons)
