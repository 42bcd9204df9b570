"""Resources that register themselves with a 2030.5 server whose list cannot be trusted to be whole."""

from pathlib import Path

import pytest
from sep2_world import SEP2, World, make_pki


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.mark.parametrize(
    ("listed", "entries", "posts"),
    [(0, "", True), (3, "", False), (1, '<EndDevice href="/edev/9"><sFDI>none</sFDI></EndDevice>', False)],
    ids=["whole", "short", "malformed"],
)
async def test_nothing_is_registered_by_a_list_that_was_not_read_whole(
    pki: Path, listed: int, entries: str, posts: bool
) -> None:
    """What is not seen in it may be listed all the same, and would be there twice."""
    world = World(pki, registers=True)
    results = entries.count("<EndDevice ")
    world.replace("/edev", SEP2.format("EndDeviceList", f'all="{listed}" results="{results}" pollRate="10"', entries))
    async with world:
        await world.polled("/edev", 4)
        assert bool(world.asked("POST")["/edev"]) is posts
