import multiprocessing
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from forge import authority, forge, good_leaf

from gateway.pki import PkiFault, files, hardware_module, identity, issue, tls

OPENSSL = shutil.which("openssl")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="no openssl command here to judge by")


def openssl(*words: str | Path) -> str:
    assert OPENSSL
    done = subprocess.run([OPENSSL, *words], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_layout_and_modes(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        issued = issue.init(tmp_path / "new" / "pki", ["roof", "utility"])
    finally:
        os.umask(umask)
    pki = tmp_path / "new" / "pki"
    leaves = {"roof.pem", "roof.key", "utility.pem", "utility.key"}
    keys = {f"authority/{name}.key" for name in ("serca", "mca", "mica")}
    assert set(contents(pki)) == {"serca.pem", "mca.pem", "mica.pem"} | keys | leaves
    assert {stat.S_IMODE(path.stat().st_mode) for path in pki.rglob("*.key")} == {0o600}
    assert stat.S_IMODE((pki / "authority").stat().st_mode) == 0o700
    assert list(issued) == ["roof", "utility"]


def test_chain_file_has_the_leaf_then_mica_then_mca(tmp_path: Path) -> None:
    roof = issue.init(tmp_path, ["roof"])["roof"]
    leaf, mica, mca = files.read_certificates(roof.certificate)
    assert [mica] == files.read_certificates(tmp_path / "mica.pem")
    assert [mca] == files.read_certificates(tmp_path / "mca.pem")
    (name,) = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert isinstance(name, x509.OtherName)
    assert hardware_module.decode(name.value) == hardware_module.HardwareModule(issue.HW_TYPE, b"roof")
    assert roof.lfdi == identity.lfdi(leaf.public_bytes(Encoding.DER))
    assert roof.sfdi == identity.sfdi(roof.lfdi)


def test_calling_again_adds_what_is_missing_and_touches_nothing(tmp_path: Path) -> None:
    first = issue.init(tmp_path, ["roof"])
    before = contents(tmp_path)
    again = issue.init(tmp_path, ["roof", "wall", "wall"])
    after = contents(tmp_path)
    assert again["roof"] == first["roof"]
    assert {name: after[name] for name in before} == before
    assert after.keys() - before.keys() == {"wall.pem", "wall.key"}


def test_replacing_one_gives_it_a_new_identity_and_leaves_the_others(tmp_path: Path) -> None:
    first = issue.init(tmp_path, ["roof", "wall"])
    before = contents(tmp_path)
    second = issue.init(tmp_path, ["roof"], replace=True)
    after = contents(tmp_path)
    assert second["roof"].lfdi != first["roof"].lfdi
    assert {name for name in before if after[name] != before[name]} == {"roof.pem", "roof.key"}
    assert stat.S_IMODE(second["roof"].key.stat().st_mode) == 0o600


def test_upper_authorities_may_be_offline(tmp_path: Path) -> None:
    issue.init(tmp_path)
    for stem in ("serca", "mca"):
        (tmp_path / "authority" / f"{stem}.key").unlink()
    assert issue.init(tmp_path, ["roof"])["roof"].certificate.exists()


def test_key_left_by_a_broken_run_is_used(tmp_path: Path) -> None:
    key = issue.init(tmp_path, ["roof"])["roof"].key
    before = key.read_bytes()
    (tmp_path / "roof.pem").unlink()
    issue.init(tmp_path, ["roof"])
    assert key.read_bytes() == before


def test_failed_replacement_keeps_the_old_pair(tmp_path: Path) -> None:
    issue.init(tmp_path, ["roof"])
    (tmp_path / "authority" / "mica.key").unlink()
    before = contents(tmp_path)
    with pytest.raises(PkiFault, match=r"key file .*mica\.key: no such file"):
        issue.init(tmp_path, ["roof"], replace=True)
    assert contents(tmp_path) == before


def test_write_that_fails_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    target = tmp_path / "roof.key"
    target.mkdir()
    with pytest.raises(OSError, match=r"roof\.key"):
        files.write_whole(target, b"secret", files.OWNER_ONLY)
    assert [path.name for path in tmp_path.iterdir()] == ["roof.key"]


def _init_in_process(directory: Path) -> None:
    issue.init(directory, [f"der-{i}" for i in range(5)])


def test_runs_at_the_same_time_agree(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    runs = [context.Process(target=_init_in_process, args=(tmp_path,)) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(30)
        assert run.exitcode == 0
    for i in range(5):
        files.read_pair(tmp_path / f"der-{i}.pem", tmp_path / f"der-{i}.key")
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["", "a/b", "..", "../a", "mica", "SERCA", "x" * 65, "a b", ".hidden", "a\n"])
def test_name_that_is_no_file_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(PkiFault, match="use up to 64 letters"):
        issue.init(tmp_path / "pki", [name])
    assert not (tmp_path / "pki").exists()


def test_directory_that_cannot_be_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PkiFault, match=r"file.*: cannot be written \(.*\); choose another") as fault:
        issue.init(tmp_path / "file" / "pki")
    assert str(fault.value).isprintable()


def test_missing_pieces_are_named(tmp_path: Path) -> None:
    issue.init(tmp_path, ["roof"])
    (tmp_path / "roof.key").unlink()
    with pytest.raises(PkiFault, match=r"roof\.pem: its key roof\.key is gone; restore it or .* --replace"):
        issue.init(tmp_path, ["roof"])
    (tmp_path / "mca.pem").unlink()
    with pytest.raises(PkiFault, match=r"mca\.pem: is gone while what it signed is there"):
        issue.init(tmp_path, ["roof"])


def test_key_of_another_authority_does_not_sign(tmp_path: Path) -> None:
    issue.init(tmp_path)
    shutil.copy(tmp_path / "authority" / "mca.key", tmp_path / "authority" / "mica.key")
    with pytest.raises(PkiFault, match=r"mica\.key: is not that of its authority"):
        issue.init(tmp_path, ["roof"])


def _without_key(pki: Path) -> None:
    (pki / "roof.key").unlink()


def _without_certificate(pki: Path) -> None:
    (pki / "roof.pem").unlink()


def _directory_for_key(pki: Path) -> None:
    (pki / "roof.key").unlink()
    (pki / "roof.key").mkdir()


def _key_of_wall(pki: Path) -> None:
    shutil.copy(pki / "wall.key", pki / "roof.key")


def _garbled_key(pki: Path) -> None:
    began, ended = (f"-----{edge} PRIVATE KEY-----" for edge in ("BEGIN", "END"))
    (pki / "roof.key").write_text(f"{began}\nAAAA\n{ended}\n")


def _empty_certificate(pki: Path) -> None:
    (pki / "roof.pem").write_text("")


def _encrypted_key(pki: Path) -> None:
    key = files.read_key(pki / "roof.key")
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass"))
    (pki / "roof.key").write_bytes(pem)


def _rsa_key(pki: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    (pki / "roof.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _p384_pair(pki: Path) -> None:
    forge(authority(pki), good_leaf(), curve=ec.SECP384R1()).save(pki, "roof")


def _der_certificate(pki: Path) -> None:
    leaf = files.read_certificates(pki / "roof.pem")[0]
    (pki / "roof.pem").write_bytes(leaf.public_bytes(Encoding.DER))


def _no_root(pki: Path) -> None:
    shutil.copy(pki / "mica.pem", pki / "serca.pem")


def _no_trust(pki: Path) -> None:
    (pki / "serca.pem").unlink()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_without_key, 'key file .*roof.key: no such file; correct the path or run "gateway certs init"'),
        (_without_certificate, "certificate file .*roof.pem: no such file"),
        (_directory_for_key, r"key file .*roof.key: cannot be read \(Is a directory\); correct its permissions"),
        (_key_of_wall, "key file .*roof.key: is not the key of .*roof.pem"),
        (_garbled_key, "key file .*roof.key: holds no readable private key"),
        (_empty_certificate, "certificate file .*roof.pem: holds no readable certificate"),
        (_encrypted_key, "key file .*roof.key: is encrypted; a daemon cannot ask"),
        (_rsa_key, "key file .*roof.key: is no EC key; IEEE 2030.5 needs one on curve P-256"),
        (_p384_pair, "key file .*roof.key: is on curve secp384r1; IEEE 2030.5 needs P-256"),
        (_der_certificate, "certificate file .*roof.pem: cannot be used .*; give PEM, the leaf first"),
        (_no_root, r"trust \(.*serca.pem\): holds no root certificate; add the SERCA"),
        (_no_trust, "certificate file .*serca.pem: no such file"),
    ],
)
def test_unusable_file_is_one_clear_line(spoil: object, message: str, tmp_path: Path) -> None:
    issue.init(tmp_path, ["roof", "wall"])
    assert callable(spoil)
    spoil(tmp_path)
    for context in (tls.client_context, tls.server_context):
        with pytest.raises(PkiFault, match=message) as fault:
            context(tmp_path / "roof.pem", tmp_path / "roof.key", tmp_path / "serca.pem")
        assert str(fault.value).isprintable()


def test_pin_that_is_no_lfdi_is_one_clear_line(tmp_path: Path) -> None:
    issue.init(tmp_path, ["roof"])
    with pytest.raises(PkiFault, match="pinned LFDI 'abc' is not 40 hex digits; take it from"):
        tls.client_context(tmp_path / "roof.pem", tmp_path / "roof.key", tmp_path / "serca.pem", pinned_lfdi="abc")


@needs_openssl
def test_openssl_verifies_the_chain_strictly(tmp_path: Path) -> None:
    issue.init(tmp_path, ["roof"])
    shown = openssl(
        "verify", "-x509_strict", "-CAfile", tmp_path / "serca.pem", "-untrusted", tmp_path / "roof.pem",
        "-purpose", "sslclient", tmp_path / "roof.pem",
    )  # fmt: skip
    assert shown.endswith("roof.pem: OK\n")


@needs_openssl
def test_openssl_reads_the_same_identity_and_profile(tmp_path: Path) -> None:
    roof = issue.init(tmp_path, ["roof"])["roof"]
    fingerprint = openssl("x509", "-in", roof.certificate, "-noout", "-fingerprint", "-sha256")
    assert fingerprint.partition("=")[2].replace(":", "").startswith(roof.lfdi)
    text = openssl("x509", "-in", roof.certificate, "-noout", "-text")
    for shown in (
        r"Version: 3 ",
        r"Signature Algorithm: ecdsa-with-SHA256",
        r"Not After : Dec 31 23:59:59 9999 GMT",
        r"Subject: *\n",
        r"NIST CURVE: P-256",
        r"X509v3 Key Usage: critical\s+Digital Signature, Key Agreement\n",
        r"X509v3 Certificate Policies: critical\s+Policy: 1\.3\.6\.1\.4\.1\.40732\.1\.1\n",
        r"X509v3 Subject Alternative Name: critical\s+othername",
        r"X509v3 Authority Key Identifier: \n",
    ):
        assert re.search(shown, text), shown


@needs_openssl
def test_openssl_reads_the_hardware_module_name(tmp_path: Path) -> None:
    der = hardware_module.encode(hardware_module.HardwareModule("1.3.6.1.4.1.40732.99.16384", b"x" * 200))
    (tmp_path / "name.der").write_bytes(der)
    shown = openssl("asn1parse", "-inform", "DER", "-in", tmp_path / "name.der")
    assert re.search(r"OBJECT +:1\.3\.6\.1\.4\.1\.40732\.99\.16384\n", shown)
    assert re.search(r"l= 200 prim: OCTET STRING", shown)
