"""Who passed the profile is not judged at every handshake, and is judged again as soon as what is trusted changes."""

import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.pki import issue, judge, profile, tls
from gateway.pki.judge import PeerRefusedError


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    issue.init(folder, ("server", "roof", "barn"))
    return folder


@pytest.fixture
def made(pki: Path) -> tls.Judged:
    return tls.judged_server(pki / "server.pem", pki / "server.key", [pki / f"{one}.pem" for one in ("serca", "mca")])


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The leaves that were judged by the profile, in turn."""
    found: list[bytes] = []
    real = profile.require_peer

    def counting(peer: Sequence[bytes], *given: object, **named: object) -> str:
        found.append(peer[0])
        return real(peer, *given, **named)  # type: ignore[arg-type] # handed on as they come

    monkeypatch.setattr(profile, "require_peer", counting)
    return found


def shaken(pki: Path, server: ssl.SSLContext, name: str) -> None:
    """Shake hands in memory with a client that judges nobody; raise what either end raises."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(tls.CIPHERS)
    context.check_hostname = False
    context.load_verify_locations(pki / "serca.pem")
    context.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [context.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True)]
    while ends:
        ends = [end for end in ends if not _done(end)]


def _done(end: ssl.SSLObject) -> bool:
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def test_a_peer_that_comes_back_is_not_judged_again(pki: Path, made: tls.Judged, judged: list[bytes]) -> None:
    for name in ("roof", "barn", "roof", "barn"):
        shaken(pki, made.context, name)
    assert len(judged) == len(set(judged)) == 2


def test_it_is_judged_again_under_another_trust(pki: Path, made: tls.Judged, judged: list[bytes]) -> None:
    shaken(pki, made.context, "roof")
    made.judge.trusted = tuple(reversed(made.judge.trusted))
    shaken(pki, made.context, "roof")
    assert len(judged) == 2
    made.judge.trusted = ()
    with pytest.raises(PeerRefusedError):
        shaken(pki, made.context, "roof")


def test_it_is_judged_again_after_a_while(
    pki: Path, made: tls.Judged, judged: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    shaken(pki, made.context, "roof")
    monkeypatch.setattr(judge, "_PASSED_S", 0.0)
    shaken(pki, made.context, "roof")
    assert len(judged) == 2


def test_who_was_refused_is_not_remembered_as_passed(pki: Path, made: tls.Judged, judged: list[bytes]) -> None:
    trusted, made.judge.trusted = made.judge.trusted, ()
    for _ in range(2):
        with pytest.raises(PeerRefusedError):
            shaken(pki, made.context, "roof")
    made.judge.trusted = trusted
    shaken(pki, made.context, "roof")
    assert len(judged) == 3
