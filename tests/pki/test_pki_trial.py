"""`gateway certs` in a field trial: from the request to the rotation, and to the end of it."""

import json
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from forge import authority, forge, good_leaf, leaf
from test_pki_command import gateway

from gateway.pki import PkiFault, files, hardware_module, identity, issue, profile, requests
from gateway.pki.denied import FILE, DenyList

LENGTHS = (2, 3, 4)
OPENSSL = shutil.which("openssl")


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    issue.init(tmp_path / "ca")
    return tmp_path / "ca"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The name of an identity at the site."""
    return tmp_path / "site" / "gateway"


def lfdi(path: Path) -> str:
    return identity.lfdi(files.read_certificates(path)[0].public_bytes(Encoding.DER))


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path.is_file()}


def shown(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("length", LENGTHS)
def test_from_request_to_rotation(length: int, ca: Path, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = ca / "serca.pem"
    assert gateway("csr", own, "--serial", "SN-1") == 0
    assert modes(own.parent) == {"gateway.csr": 0o644, "gateway.new.key": 0o600}
    assert gateway("issue", ca, "gw", "--csr", f"{own}.csr", "--chain", length, "--days", 90) == 0
    assert not (ca / "gw.key").exists(), "the key stays where it was made"
    assert gateway("check", ca / "gw.pem", "--trust", root) == 0
    assert f"a chain of {length}, judged by the trust files: good" in capsys.readouterr().out
    assert gateway("import", own, ca / "gw.pem", "--trust", root, "--json") == 0
    first = lfdi(own.with_suffix(".pem"))
    assert shown(capsys) == {"certificate": f"{own}.pem", "lfdi": first, "former_lfdi": "none"}
    assert modes(own.parent) == {"gateway.pem": 0o644, "gateway.key": 0o600}
    chain, _key = files.read_pair(own.with_suffix(".pem"), own.with_suffix(".key"))
    assert len(chain) == length - 1, "all but the root are shown"
    assert profile.check_peer([one.public_bytes(Encoding.DER) for one in chain], files.read_trust(root)) == []
    (name,) = chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert isinstance(name, x509.OtherName)
    assert hardware_module.decode(name.value) == hardware_module.HardwareModule(issue.HW_TYPE, b"SN-1")

    assert gateway("csr", own) == 0
    assert gateway("issue", ca, "gw", "--csr", f"{own}.csr", "--chain", length) == 2, "not without --replace"
    assert gateway("issue", ca, "gw", "--csr", f"{own}.csr", "--chain", length, "--replace") == 0
    capsys.readouterr()
    assert gateway("import", own, ca / "gw.pem", "--trust", root, "--json") == 0
    assert shown(capsys)["former_lfdi"] == first
    assert lfdi(own.with_suffix(".pem")) != first
    assert modes(own.parent) == {
        "gateway.pem": 0o644, "gateway.key": 0o600, "gateway.old.pem": 0o644, "gateway.old.key": 0o600,
    }  # fmt: skip
    old, _key = files.read_pair(own.parent / "gateway.old.pem", own.parent / "gateway.old.key")
    assert identity.lfdi(old[0].public_bytes(Encoding.DER)) == first


@pytest.mark.skipif(OPENSSL is None, reason="no openssl command here to judge by")
@pytest.mark.parametrize("length", LENGTHS)
def test_openssl_verifies_chains_of_every_length(length: int, ca: Path) -> None:
    assert OPENSSL
    issue.issue(ca, "roof", chain=length)
    roof = str(ca / "roof.pem")
    words = [OPENSSL, "verify", "-x509_strict", "-CAfile", str(ca / "serca.pem"), "-untrusted", roof, roof]
    done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout.endswith("roof.pem: OK\n"), done.stderr


def test_a_request_made_again_keeps_the_key_so_that_the_one_sent_stays_good(ca: Path, own: Path) -> None:
    gateway("csr", own)
    sent = own.with_suffix(".csr").read_bytes()
    waiting = own.parent / "gateway.new.key"
    before = waiting.read_bytes()
    gateway("csr", own)
    assert waiting.read_bytes() == before
    own.with_suffix(".csr").write_bytes(sent)
    issue.answer(ca, "gw", own.with_suffix(".csr"))
    assert gateway("import", own, ca / "gw.pem") == 0


def test_an_import_broken_off_halfway_is_finished_by_importing_again(ca: Path, own: Path) -> None:
    gateway("csr", own)
    issue.answer(ca, "gw", own.with_suffix(".csr"))
    own.parent.joinpath("gateway.new.key").rename(own.with_suffix(".key"))
    assert gateway("import", own, ca / "gw.pem", "--trust", ca / "serca.pem") == 0
    files.read_pair(own.with_suffix(".pem"), own.with_suffix(".key"))


def test_the_same_certificate_imported_again_is_no_new_lfdi(
    ca: Path, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway("csr", own)
    issue.answer(ca, "gw", own.with_suffix(".csr"))
    for told in ("have it registered by its LFDI", "it is the certificate that was in its place before"):
        capsys.readouterr()
        assert gateway("import", own, ca / "gw.pem", "--trust", ca / "serca.pem") == 0
        last = capsys.readouterr().out.splitlines()[-1]
        assert last.startswith(told)
        assert "has to be told the new one" not in last


def test_without_a_request_an_import_says_how_to_make_one(
    ca: Path, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    issue.issue(ca, "gw")
    assert gateway("import", own, ca / "gw.pem") == 2
    assert f"{own}: there is no request here; make one with gateway certs csr {own}\n" in capsys.readouterr().err


def test_a_certificate_that_is_kept_is_said_to_be(ca: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = f"gateway certs: {ca / 'roof.pem'}: was there already and is kept as it is; --replace makes a new one"
    for replace, said in (([], False), (["--days", "10"], True), (["--replace"], False)):
        assert gateway("issue", ca, "roof", *replace) == 0
        assert (kept in capsys.readouterr().err) is said


def test_a_chain_may_come_in_any_order_and_lacking_what_the_trust_files_have(ca: Path, own: Path) -> None:
    gateway("csr", own)
    issue.answer(ca, "gw", own.with_suffix(".csr"))
    certificates = files.read_certificates(ca / "gw.pem")
    came = own.parent / "came.pem"
    trust = ["--trust", ca / "serca.pem", "--trust", ca / "mca.pem", "--trust", ca / "mica.pem"]
    whole = own.with_suffix(".pem")
    for given in (certificates[::-1], [*files.read_certificates(ca / "serca.pem"), *certificates], certificates[:1]):
        came.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in given))
        assert gateway("import", own, came, *trust) == 0
        assert files.read_certificates(whole) == certificates


def test_an_import_that_is_refused_changes_nothing(
    ca: Path, own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway("csr", own)
    issue.init(ca, ["other"])
    issue.init(tmp_path / "theirs")
    theirs = issue.answer(tmp_path / "theirs", "gw", own.with_suffix(".csr")).certificate
    before = {path.name: path.read_bytes() for path in own.parent.iterdir()}
    capsys.readouterr()
    for chain, why in (
        (ca / "other.pem", "holds no certificate for"),
        (theirs, "is not in the trust files"),
        (ca / "nothing.pem", "no such file"),
    ):
        assert gateway("import", own, chain, "--trust", ca / "serca.pem") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert why in line
        assert {path.name: path.read_bytes() for path in own.parent.iterdir()} == before


def test_a_certificate_that_breaks_the_profile_is_imported_only_when_told_to(
    ca: Path, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mica, mca = authority(ca), authority(ca, "mca")
    odd = leaf(mica, names=None)
    own.parent.mkdir()
    odd.save(own.parent, "gateway.new")
    came = own.parent / "came.pem"
    came.write_bytes(b"".join(one.certificate.public_bytes(Encoding.PEM) for one in (odd, mica, mca)))
    assert gateway("import", own, came, "--trust", ca / "serca.pem") == 2
    assert "has no subjectAltName; have it issued by the profile" in capsys.readouterr().err
    assert gateway("import", own, came, "--trust", ca / "serca.pem", "--despite-faults") == 0
    assert "taken despite a fault: certificate: has no subjectAltName" in capsys.readouterr().err
    assert modes(own.parent)["gateway.key"] == 0o600


def test_requests_that_are_not_fit_are_refused(ca: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    builder = x509.CertificateSigningRequestBuilder(x509.Name([]))
    curve = builder.sign(ec.generate_private_key(ec.SECP384R1()), SHA256()).public_bytes(Encoding.PEM)
    kind = builder.sign(rsa.generate_private_key(65537, 2048), SHA256()).public_bytes(Encoding.DER)
    whole = builder.sign(ec.generate_private_key(ec.SECP256R1()), SHA256()).public_bytes(Encoding.DER)
    tampered = whole[:-1] + bytes((whole[-1] ^ 1,))
    for content, why in (
        (curve, "its key is not on P-256"),
        (kind, "its key is not on P-256"),
        (tampered, "is not signed by the key that it names"),
        (b"nonsense", "holds no readable certificate request"),
        (None, "no such file"),
    ):
        file = tmp_path / "asked.csr"
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_bytes(content)
        assert gateway("issue", ca, "gw", "--csr", file) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert why in line
    assert not (ca / "gw.pem").exists()
    (tmp_path / "asked.csr").write_bytes(whole)
    named = files.read_certificates(issue.answer(ca, "gw", tmp_path / "asked.csr").certificate)[0]
    assert profile.check_leaf(named) == [], "a request without a device name gets that of the authority"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["issue", "nowhere", "roof"], "holds no authority; make one with gateway certs init nowhere"),
        (["issue", "CA", "mica"], "use up to 64 letters"),
        (["issue", "CA", "roof", "--days", "0"], "at least one day"),
        (["issue", "CA", "roof", "--days", "9999999"], "past the year 9999"),
        (["csr", "x/gateway", "--hw-type", "one"], "--hw-type one: "),
        (["show", "CA/serca.pem", "--pin", "1234"], "--pin: PIN '1234' is not 5 decimal digits"),
        (["show", "CA/serca.pem", "--pin", "111116"], "its check digit is wrong; 111115 would be right"),
        (["check", "CA/mica.pem"], "holds no root to judge by; give --trust FILE"),
        (["deny", "3E4F", "--state", "CA"], "is no LFDI (40 hex digits) and no certificate file"),
        (["allow", "A" * 40, "--state", "CA"], "is not denied in"),
        (["deny", "A" * 40, "--state", "CA/mica.pem"], "cannot be written"),
    ],
)
def test_wrong_use_is_one_line_that_says_what_to_do(
    words: list[str], why: str, ca: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gateway(*(word.replace("CA", str(ca)) for word in words)) == 2
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert line.startswith("gateway certs: ")
    assert why in line
    assert said.out == ""


def test_show_gives_the_pin_what_is_left_and_what_is_wrong_with_the_key(
    ca: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    issue.issue(ca, "roof", days=20)
    assert gateway("show", ca / "roof.pem", "--pin", "12345") == 0
    said = capsys.readouterr().out
    assert "\nPIN      123455\n" in said
    assert "(in 19 days; put a new one in its place before)" in said
    assert gateway("show", ca / "roof.pem", "--pin", "123455", "--json") == 0
    assert shown(capsys)["days_left"] == 19
    (ca / "roof.key").chmod(0o644)
    assert gateway("show", ca / "roof.pem") == 1
    assert f"fault    key file {ca / 'roof.key'}: others may read it; chmod 600 it" in capsys.readouterr().out
    issue.init(ca, ["wall"])
    shutil.copy(ca / "wall.key", ca / "roof.key")
    assert gateway("show", ca / "roof.pem") == 1
    assert "is not the key of" in capsys.readouterr().out


def test_check_tells_of_every_certificate_and_of_their_order(ca: Path, capsys: pytest.CaptureFixture[str]) -> None:
    issue.init(ca, ["roof"])
    trust = ["--trust", ca / "serca.pem"]
    assert gateway("check", ca / "roof.pem", *trust, "--json") == 0
    good = shown(capsys)
    assert [row["kind"] for row in good["certificates"]] == ["device", "authority", "authority", "root"]
    assert (good["length"], good["faults"]) == (4, [])
    device, mica, mca = files.read_certificates(ca / "roof.pem")
    odd = ca / "odd.pem"
    odd.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in (device, mca, mica)))
    assert gateway("check", odd, *trust) == 1
    assert "is not in the order device, MICA, MCA" in capsys.readouterr().out
    (serca,) = files.read_certificates(ca / "serca.pem")
    odd.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in (device, mica, mca, serca)))
    assert gateway("check", odd) == 0
    assert "judged by the root in the file itself; give --trust to prove more: good" in capsys.readouterr().out
    bad = forge(authority(ca), good_leaf(), curve=ec.SECP384R1())
    odd.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in (bad.certificate, mica, mca)))
    assert gateway("check", odd, *trust) == 1
    assert "fault     certificate: its key is on curve secp384r1, not P-256" in capsys.readouterr().out


def test_deny_and_allow_by_lfdi_and_by_file(ca: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = ["--state", tmp_path / "state"]
    roof = issue.init(ca, ["roof"])["roof"]
    assert gateway("deny", *state) == 0
    assert capsys.readouterr().out == "nobody is denied\n"
    grouped = "-".join(roof.lfdi[i : i + 4] for i in range(0, 40, 4)).lower()
    assert gateway("deny", grouped, "--why", "stolen\nvan", *state) == 0
    assert gateway("deny", ca / "mica.pem", *state) == 0
    notes = DenyList.read(tmp_path / "state" / FILE).notes
    assert set(notes) == {roof.lfdi, lfdi(ca / "mica.pem")}
    assert notes[roof.lfdi].endswith("stolen van")
    capsys.readouterr()
    assert gateway("deny", "--json", *state) == 0
    assert shown(capsys)["denied"] == dict(notes)
    assert gateway("allow", roof.certificate, *state) == 0
    assert set(DenyList.read(tmp_path / "state" / FILE).notes) == {lfdi(ca / "mica.pem")}


def test_a_request_does_not_take_the_name_of_a_pair_made_here(ca: Path, own: Path) -> None:
    issue.init(ca, ["roof"])
    request = requests.make(own, hardware_module.HardwareModule(issue.HW_TYPE, b"1"))
    with pytest.raises(PkiFault, match="is the key of another roof, made here; take another name"):
        issue.answer(ca, "roof", request, replace=True)
