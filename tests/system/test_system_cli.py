"""What the command line says to wrong use: one line for each fault on standard error, what to do next, exit code 2."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from street_bench import Line, ask

from gateway.cli.demo_site import site_file
from gateway.pki import issue
from gateway.store import Journal

SHORTEST = """
name = "shortest"
begins = "contact"
[[inverter]]
name = "roof"
resource = "house"
irradiance = 0.9
[[resource]]
name = "house"
lfdi = "2A342CD9BEB285455C8C8EAC11E4634600009D6C"
[[head_end]]
name = "dso"
certificate = "dso"
poll_rate_s = 20
[[head_end.program]]
name = "envelope"
primacy = 3
[[step]]
at_s = 1
end = true
"""
LFDI = "2A342CD9BEB285455C8C8EAC11E4634600009D6C"
READY: Line = {
    "resources": {"house": {"lfdi": LFDI, "pin": 111115}},
    "inverters": {"roof": {"host": "127.0.0.1", "port": 1, "unit": 1, "resource": "house", "rated_w": 5000}},
    "head_ends": {"dso": {"url": "https://127.0.0.1:1/dcap", "lfdi": LFDI}},
}
FAULTS = (
    ('tier = "distribution"', 'tier = "distributor"', 'did you mean "distribution"?'),
    ("rated_w = 5000", "rated_w = 0", "rated_w"),
    ("poll_s = 5", "pol_s = 5", 'did you mean "poll_s"?'),
    ('resource = "house"', 'resource = "hose"', 'did you mean "house"?'),
    ("last_resort_export_limit_w = 1500\n", "", "last_resort_export_limit_w"),
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    issue.init(tmp_path / "pki", ("gateway",))
    file = tmp_path / "site.toml"
    file.write_text(site_file(READY))
    return file


def complaints(*arguments: str | Path) -> list[str]:
    """Run a command that must end with exit code 2, and give what it says beside information."""
    done = ask(*arguments)
    assert done.returncode == 2, done
    assert done.stdout == ""
    return [line for line in done.stderr.splitlines() if not line.startswith("INFO ")]


@pytest.mark.parametrize("command", ["check", "run"])
def test_every_fault_of_a_site_file_gets_its_line(site: Path, command: str) -> None:
    text = site.read_text()
    for right, wrong, _said in FAULTS:
        assert right in text
        text = text.replace(right, wrong, 1)
    site.write_text(text)
    state = () if command == "check" else ("--state", site.parent / "state")
    said = complaints(command, site, *state)
    assert len(said) == len(FAULTS), said
    for line in said:
        name, number, _rest = line.removeprefix(str(site.parent)).removeprefix("/").split(":", 2)
        assert (name, number.isdigit()) == ("site.toml", True), line
    for _right, _wrong, wanted in FAULTS:
        assert sum(wanted in line for line in said) == 1, (wanted, said)
    assert not (site.parent / "state").exists()


def test_check_of_a_right_site_file_exits_0(site: Path) -> None:
    done = ask("check", site)
    assert (done.returncode, done.stderr) == (0, "")


def _no_certificate(site: Path) -> str:
    (site.parent / "pki" / "gateway.pem").write_text("not a certificate\n")
    return "gateway.pem"


def _no_key(site: Path) -> str:
    (site.parent / "pki" / "gateway.key").unlink()
    return "gateway.key"


def _another_key(site: Path) -> str:
    issue.init(site.parent / "other", ("gateway",))
    (site.parent / "pki" / "gateway.key").write_bytes((site.parent / "other" / "gateway.key").read_bytes())
    return "gateway.key"


def _no_root(site: Path) -> str:
    (site.parent / "pki" / "serca.pem").write_bytes(b"")
    return "serca.pem"


@pytest.mark.parametrize("spoil", [_no_certificate, _no_key, _another_key, _no_root])
def test_certificate_that_cannot_be_used_gets_one_line(site: Path, spoil: Callable[[Path], str]) -> None:
    named = spoil(site)
    said = complaints("run", site, "--state", site.parent / "state")
    assert len(said) == 1, said
    found_by_check = f'{site}:{_line_of(site, "key =")}: sep2_client 1: "key": '
    assert said[0].startswith(found_by_check if spoil is _no_key else "gateway run: ")
    assert named in said[0]


def _line_of(file: Path, beginning: str) -> int:
    return next(at for at, line in enumerate(file.read_text().splitlines(), 1) if line.startswith(beginning))


def test_run_refuses_what_check_refuses(site: Path) -> None:
    text = site.read_text()
    device = text[text.index("[[device]]") :].partition("\n\n")[0]
    site.write_text(f"{text}\n{device.replace('roof', 'shed')}\n")
    checked = complaints("check", site)
    assert len(checked) == 1
    assert "has this address already" in checked[0]
    assert complaints("run", site, "--state", site.parent / "state") == checked
    assert not (site.parent / "state").exists()


def test_state_folder_in_use_gets_one_line(site: Path) -> None:
    journal = Journal.open(site.parent / "state", reserve_bytes=4096)
    try:
        said = complaints("run", site, "--state", site.parent / "state")
    finally:
        journal.close()
    assert len(said) == 1, said
    assert str(site.parent / "state") in said[0]
    assert "another" in said[0]


def test_port_taken_gets_one_line(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        site.write_text(site.read_text().replace("health_port = 0", f"health_port = {port}"))
        said = complaints("run", site, "--state", site.parent / "state")
    assert len(said) == 1, said
    assert str(port) in said[0]


def test_clock_that_is_none_gets_one_line(site: Path) -> None:
    said = complaints("run", site, "--state", site.parent / "state", "--clock", "x0@1")
    assert len(said) == 1, said
    assert "xN@T0" in said[0]


@pytest.mark.parametrize(
    "command", [("explain", "roof"), ("explain", "--hour", "2026-06-21T12"), ("evidence",), ("replay",)]
)
def test_state_folder_that_is_none_gets_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    said = complaints(*command, "--state", tmp_path / "none")
    assert len(said) == 1, said
    assert str(tmp_path / "none") in said[0]
    assert not (tmp_path / "none").exists()


def test_demo_wants_a_scenario_that_there_is(tmp_path: Path) -> None:
    said = complaints("demo", "--scenario", "stret")
    assert said == ["gateway demo: no scenario 'stret'; did you mean street?"]
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ")
    said = complaints("demo", "--scenario", broken)
    assert len(said) == 1, said
    assert str(broken) in said[0]


def test_demo_does_not_go_on_in_the_folder_of_another(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    said = complaints("demo", "--keep", tmp_path)
    assert len(said) == 1, said
    assert "another folder" in said[0]


def test_demo_that_keeps_its_journal_ends_with_how_to_ask_it(tmp_path: Path) -> None:
    scenario, kept = tmp_path / "shortest.toml", tmp_path / "kept"
    scenario.write_text(SHORTEST)
    done = ask("demo", "--scenario", scenario, "--keep", kept)
    assert done.stdout, done
    state = kept / "state"
    last = done.stdout.splitlines()[-1]
    assert last == f"journal: {state}; try: gateway explain roof --state {state}"
    words = last.partition("try: gateway ")[2].split()
    assert ask(*words).returncode == 0
