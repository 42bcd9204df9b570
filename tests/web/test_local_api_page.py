"""The examples of the page on the local API: each is decided as it stands there, by the site file of its page."""

import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from web_world import World, site_in

from gateway.core.capacity import Domain
from gateway.core.parties import Direction

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "local-api.md").read_text(encoding="utf-8")
SITE = re.findall(
    r"^```toml\n(.*?)^```$", (DOCS / "site-file.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)[0]
POSTS = {
    "/v1/orders",
    "/v1/commitments",
    "/v1/offers",
    "/v1/defaults",
    "/v1/colours",
    "/v1/network",
}


def examples() -> list[tuple[str, str, Any]]:
    """Give party, path and body of every example, those of a day to come moved to tomorrow."""
    day = (datetime.now(UTC) + timedelta(days=1)).date().isoformat()
    found = []
    for block in re.findall(r"^```\nAPI=(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        [party] = re.findall(r"cat (\w+)\.token", block)
        for command in re.findall(r"^curl .*?'$", block, re.MULTILINE | re.DOTALL):
            _curl, _header, who, address, _body, body = shlex.split(command)
            assert who == "$AS"
            found.append((party, address.removeprefix("$API"), json.loads(re.sub(r"\d{4}-\d\d-\d\d", day, body))))
    return found


async def test_every_example_is_admitted(tmp_path: Path) -> None:
    assert {path for _party, path, _body in examples()} == POSTS
    parent = "limit_parent = true "
    assert SITE.count(parent) == SITE.count("port = 9641 ") == SITE.count("health_port = 9640 ") == 1
    text = SITE.replace(parent, f'token_file = "dso.token"\n{parent}').replace("port = 9641 ", "port = 0 ")
    async with World(tmp_path, site_in(tmp_path, text)) as world:
        for party, path, body in examples():
            said = await world.told(party, "POST", path, body)
            assert said["admitted"], (path, said)
            assert said["refused"] == {}, (path, said)


def test_every_value_of_a_choice_is_named() -> None:
    domains, _field = re.findall(r"^\| `domain`.*$", PAGE, re.MULTILINE)
    directions = re.findall(r"^\| `direction`.*$", PAGE, re.MULTILINE)[0]
    assert all(f"`{one}`" in domains for one in Domain)
    assert all(f"`{one}`" in directions for one in Direction)
