"""Events that overlap, vanish or stand in lists that cannot be read: nothing loosens, and each is answered once."""

from collections.abc import Callable
from pathlib import Path

import pytest
from lifecycle_bench import CONTROLS, DEFAULT, PROGRAMS, RESPONSES, Life, Said
from procedure_clock import Requests

from gateway.pki import issue

ASSIGNMENTS = "/edev/2/fsa"
DEFAULT_W, ORDERED_W, OTHER_W = 4_000, 1_500, 1_000
LIMIT, OTHER = {"opModExpLimW": ORDERED_W}, {"opModExpLimW": OTHER_W}
LISTS = {CONTROLS: "DERControlList", PROGRAMS: "DERProgramList", ASSIGNMENTS: "FunctionSetAssignmentsList"}


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    issue.init(folder, ("gateway", "dso"))
    return folder


@pytest.fixture
def life(pki: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Life:
    return Life(pki, tmp_path, Requests(monkeypatch), {"opModExpLimW": DEFAULT_W})


def _limits(life: Life, since_s: float, until_s: float) -> set[int]:
    return {command.limit_w for command in life.told_between(since_s, until_s)}


# -- nested overlap of one primacy


@pytest.mark.parametrize(
    ("known_s", "newer_s"),
    [
        pytest.param(2, 20, id="both known beforehand"),
        pytest.param(12, 27, id="the newer one told of while the older runs"),
    ],
)
async def test_an_older_event_runs_until_a_newer_one_starts_and_never_again(
    life: Life, known_s: int, newer_s: int
) -> None:
    async with life:
        life.order("older", LIMIT, 10, 30)
        await life.switch_on()
        await life.until(known_s)
        life.order("newer", OTHER, newer_s, 35 - newer_s)
        await life.until(60)
        assert _limits(life, 11.5, newer_s) == {ORDERED_W}
        assert _limits(life, newer_s + 1.5, 35) == {OTHER_W}
        assert _limits(life, 36.5, 60) == {DEFAULT_W}
        assert life.said("older")[1:] == [Said(2, 10), Said(7, newer_s)]
        assert life.said("newer")[1:] == [Said(2, newer_s), Said(3, 35)]
        answers = [(one.control, one.status) for one in life.server.tree.intake.answers]
        assert answers.index(("older", 7)) < answers.index(("newer", 2))


# -- events that vanish, lists that cannot be read


async def test_an_event_that_vanishes_in_mid_event_runs_to_its_end(life: Life) -> None:
    async with life:
        life.order("runs", LIMIT, 10, 60)
        await life.switch_on()
        await life.until(2)
        life.order("waits", OTHER, 90, 20)
        await life.until(30)
        life.vanish(CONTROLS)
        await life.until(69.9)
        assert _limits(life, 11.5, 69.9) == {ORDERED_W}
        await life.until(89.9)
        assert life.command.limit_w == DEFAULT_W
        await life.until(109.9)
        assert life.command.limit_w == OTHER_W
        await life.until(120)
        assert life.command.limit_w == DEFAULT_W
        assert life.said("runs")[1:] == [Said(2, 10), Said(3, 70)]
        assert life.said("waits")[1:] == [Said(2, 90), Said(3, 110)]


def _tear(life: Life, path: str) -> None:
    life.server.torn = path


FAULTS: dict[str, Callable[[Life, str], None]] = {
    "an empty list": Life.vanish,
    "malformed": lambda life, path: life.fail(path, 200, life.body(path).replace(b"</", b"<", 1)),
    "half of it": lambda life, path: life.fail(path, 200, life.body(path)[: len(life.body(path)) // 2]),
    "cut off in the middle": _tear,
    "nothing at all": lambda life, path: life.fail(path, 200, b""),
    "status 500": lambda life, path: life.fail(path, 500),
    "status 404": lambda life, path: life.fail(path, 404),
    "another root": lambda life, path: life.fail(path, 200, life.body("/tm")),
    "a list of another kind": lambda life, path: life.fail(path, 200, life.body("/edev")),
    "all says more than is there": lambda life, path: life.fail(
        path, 200, life.body(path).replace(f'all="{life.count(path)}"'.encode(), b'all="7"', 1)
    ),
    "all says less than is there": lambda life, path: life.fail(
        path, 200, life.body(path).replace(f'all="{life.count(path)}"'.encode(), b'all="0"', 1)
    ),
}


@pytest.mark.parametrize("path", LISTS, ids=LISTS.values())
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_list_that_cannot_be_read_in_mid_event_loosens_nothing_and_costs_no_answer(
    life: Life, fault: str, path: str
) -> None:
    async with life:
        life.order("runs", LIMIT, 10, 60)
        await life.switch_on()
        await life.until(2)
        life.order("starts", OTHER, 30, 20)
        await life.until(22)
        asked = life.asked(path)
        FAULTS[fault](life, path)
        life.order("later", OTHER, 75, 10)
        await life.until(60)
        assert life.asked(path) >= asked + 3
        life.mend(path)
        await life.until(90)
        assert _limits(life, 11.5, 30) == {ORDERED_W}
        assert _limits(life, 31.5, 49.9) == {OTHER_W}
        assert life.said("runs")[1:] == [Said(2, 10), Said(7, 30)]
        assert life.said("starts")[1:] == [Said(2, 30), Said(3, 50)]
        assert life.said("later")[1:] == [Said(2, 75), Said(3, 85)]


@pytest.mark.parametrize("fault", ["malformed", "half of it", "cut off in the middle", "status 500", "status 404"])
async def test_a_cancellation_that_cannot_be_read_holds_the_event_and_is_obeyed_once_when_it_can(
    life: Life, fault: str
) -> None:
    async with life:
        life.order("runs", LIMIT, 10, 200)
        await life.switch_on()
        await life.until(25)
        FAULTS[fault](life, CONTROLS)
        life.server.cancel("runs")
        await life.until(75)
        assert _limits(life, 11.5, 75) == {ORDERED_W}
        assert life.statuses("runs") == [1, 2]
        life.mend(CONTROLS)
        await life.until(120)
        assert life.statuses("runs") == [1, 2, 6]
        assert life.command.limit_w == DEFAULT_W


@pytest.mark.parametrize("fault", ["malformed", "nothing at all", "status 500", "status 404", "another root"])
async def test_a_default_that_cannot_be_read_holds_as_it_was_read_last(life: Life, fault: str) -> None:
    async with life:
        life.order("runs", LIMIT, 10, 30)
        await life.switch_on()
        await life.until(25)
        FAULTS[fault](life, DEFAULT)
        await life.until(75)
        assert _limits(life, 42, 75) == {DEFAULT_W}
        life.mend(DEFAULT)
        life.server.set_default("program", {"opModExpLimW": 3_000})
        await life.until(100)
        assert life.command.limit_w == 3_000
        assert life.statuses("runs") == [1, 2, 3]


@pytest.mark.parametrize("fault", ["status 500", "taken and not acknowledged"])
async def test_answers_that_fail_to_arrive_come_later_in_the_order_of_their_event(life: Life, fault: str) -> None:
    async with life:
        life.order("older", LIMIT, 10, 30)
        await life.switch_on()
        await life.until(2)
        life.order("newer", OTHER, 20, 15)
        await life.until(8)
        if fault == "status 500":
            life.fail(RESPONSES, 500)
        else:
            life.server.swallows = True
        await life.until(50)
        assert _limits(life, 21.5, 34.9) == {OTHER_W}
        life.mend(RESPONSES)
        life.server.swallows = False
        await life.until(150)
        assert list(dict.fromkeys(life.said("older")))[1:] == [Said(2, 10), Said(7, 20)]
        assert list(dict.fromkeys(life.said("newer")))[1:] == [Said(2, 20), Said(3, 35)]
