"""Every scenario on the real daemon over real sockets in accelerated time: the same rulings and answers."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from scenario_daemon import DaemonPlayer, make_certificates
from scenario_file import Case, cases
from scenario_records import Streams, came, differences

EARLY_MS = 5_000
SIDE_BY_SIDE = 6
CASES = [case for case in cases() if not case.timeline().core_only]
Runs = dict[str, "Future[Streams]"]


def play(case: Case, folder: Path, pki: Path) -> Streams:
    """Play one scenario to a daemon and give what came out."""
    with DaemonPlayer(case, folder, pki) as player:
        tells = player.run()
        return came(tells, player.begin_ms, player.timeline.also)


@pytest.fixture(scope="module")
def daemon_runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Play the scenarios that are selected, six side by side in the order of their tests; they go on meanwhile."""
    wanted = [case for item in request.session.items if (case := _played(item)) is not None]
    pki = make_certificates(tmp_path_factory.mktemp("scenarios") / "pki")
    threads = ThreadPoolExecutor(SIDE_BY_SIDE)
    runs: Runs = {
        case.name: threads.submit(play, case, tmp_path_factory.mktemp(case.name.replace("/", "-")), pki)
        for case in wanted
    }
    with contextlib.ExitStack() as stack:
        stack.callback(threads.shutdown, wait=True, cancel_futures=True)
        yield runs


def _played(item: pytest.Item) -> Case | None:
    call = getattr(item, "callspec", None)
    case = None if call is None else call.params.get("played")
    return case if isinstance(case, Case) else None


@pytest.mark.timeout(600)
@pytest.mark.parametrize("played", CASES, ids=lambda case: case.name)
def test_the_daemon_rules_as_the_rules_say(played: Case, daemon_runs: Runs, request: pytest.FixtureRequest) -> None:
    timeline = played.timeline()
    differs = timeline.differs.get("both") or timeline.differs.get("daemon")
    if differs:
        request.applymarker(pytest.mark.xfail(strict=True, reason=differs))
    streams = daemon_runs[played.name].result()
    found = differences(played.expected(), streams, early_ms=EARLY_MS, late_ms=1000 * timeline.late_s)
    assert not found, "\n".join((timeline.says, *found))
