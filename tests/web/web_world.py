"""A deciding loop with a journal and the local API beside it, and parties that speak to it over a real socket."""

import asyncio
import logging
import re
from contextlib import AsyncExitStack
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from gateway.config import SiteFile, check
from gateway.core.events import Event, LinkUp, Started
from gateway.core.guard import Cleared
from gateway.core.known import Known
from gateway.core.machine import Machine
from gateway.ports.south import Lease
from gateway.runtime import wiring
from gateway.runtime.clock import RealClock
from gateway.runtime.daemon import recover
from gateway.runtime.decider import Decider
from gateway.runtime.domain import core_site
from gateway.store import Journal
from gateway.web import local_api

Json = dict[str, Any]
SITE = """\
[gateway]
name = "street-7"
health_port = 0

[local_api]
port = 0

[[party]]
name = "dso"
tier = "distribution"
limit_parent = true
token_file = "dso.token"

[[party]]
name = "market"
tier = "customer"
token_file = "market.token"

[[grant]]
party = "dso"
service = "envelope"
level = 3
functions = ["export-limit", "import-limit", "connect", "energize"]
group = "street"

[[grant]]
party = "dso"
service = "reliability"
level = 4
functions = ["active-power", "reactive-power"]
group = "street"

[[grant]]
party = "market"
service = "schedule"
level = 7
functions = ["active-power"]
group = "one"

[[group]]
name = "street"
resources = ["house-1", "house-2"]

[[group]]
name = "one"
resources = ["house-1"]

[[resource]]
name = "house-1"
export_limit_w = 10000
last_resort_export_limit_w = 1500

[[resource]]
name = "house-2"
export_limit_w = 10000
last_resort_export_limit_w = 1500

[[device]]
name = "roof-1"
resource = "house-1"
rated_w = 5000
segment = "s1"
[device.sunspec_modbus]
host = "127.0.0.1"

[[device]]
name = "roof-2"
resource = "house-2"
rated_w = 5000
segment = "s1"
[device.sunspec_modbus]
host = "127.0.0.1"
unit = 2

[interface]
name = "street"
"""
TOKENS = {"dso": "the-dso-speaks-for-itself", "market": "the-market-speaks-for-itself"}


def site_in(folder: Path, text: str = SITE) -> SiteFile:
    """Put the tokens into a folder, and give the site as it is read there."""
    for party, token in TOKENS.items():
        path = folder / f"{party}.token"
        path.write_text(f"{token}\n")
        path.chmod(0o600)
    checked = check(text, str(folder / "site.toml"), wiring.TABLES)
    assert checked.site is not None, checked.faults
    return checked.site


class Told:
    """Devices that are told and say nothing: what a party is answered does not wait for them."""

    def __init__(self) -> None:
        self.wanted: dict[str, Cleared] = {}

    @property
    def writes(self) -> int:
        return len(self.wanted)

    def want(self, cleared: Cleared) -> None:
        self.wanted[cleared.command.device] = cleared

    async def run(self) -> None:
        await asyncio.Event().wait()


class Listening(logging.Handler):
    """Reads in the log where the API listens."""

    base = ""

    def emit(self, record: logging.LogRecord) -> None:
        found = re.search(r"local API at (http://127\.0\.0\.1:\d+)", record.getMessage())
        self.base = found[1] if found is not None else self.base


class World:
    """The loop and the API; a context in whose end both are down and the journal is closed."""

    def __init__(self, folder: Path, site: SiteFile | None = None) -> None:
        self.site = site_in(folder) if site is None else site
        self.south = Told()
        self.base = ""
        self._folder = folder
        self._stack = AsyncExitStack()

    @property
    def machine(self) -> Machine:
        return self.decider.machine

    async def __aenter__(self) -> Self:
        clock = RealClock()
        journal = Journal.open(self._folder / "state", reserve_bytes=4096)
        self._stack.callback(journal.close)
        self.decider = Decider(recover(journal), journal, clock, Lease(clock))
        self.decider.south = {device.name: self.south for device in self.site.devices}
        self._http = await self._stack.enter_async_context(aiohttp.ClientSession())
        await self.decider.settle(Started(core_site(self.site)))
        serving = local_api(self.site)(self.decider, clock)
        log, heard = logging.getLogger("gateway.web.server"), Listening()
        log.addHandler(heard)
        log.setLevel(logging.INFO)
        await serving.__aenter__()
        log.removeHandler(heard)
        self.base = heard.base
        self.decider.resume()
        self.deciding = asyncio.create_task(self.decider.run())

        async def down() -> None:
            await serving.__aexit__(None, None, None)
            self.decider.stop()
            await self.deciding

        self._stack.push_async_callback(down)
        for device in self.site.devices:
            await self.hear(LinkUp(device.name, Known(5000, 0), Known(0, 0)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def hear(self, event: Event) -> None:
        """Let the loop decide an event that no party sent."""
        await self.decider.decided(event)

    async def send(self, method: str, path: str, content: bytes | None, headers: dict[str, str]) -> tuple[int, Json]:
        """Send anything."""
        async with self._http.request(
            method, self.base + path, data=BytesIO(content or b""), headers=headers
        ) as answer:
            body: Json = await answer.json()
            return answer.status, body

    async def ask(self, party: str, method: str, path: str, body: object = None) -> tuple[int, Json]:
        """Send what a party says with its token; give the status and what came back."""
        headers = {"Authorization": f"Bearer {TOKENS[party]}"}
        async with self._http.request(method, self.base + path, json=body, headers=headers) as answer:
            said: Json = await answer.json()
            return answer.status, said

    async def told(self, party: str, method: str, path: str, body: object = None) -> Json:
        """Send what a party says, which is understood; give what came back."""
        status, said = await self.ask(party, method, path, body)
        assert status == 200, said
        return said

    async def refused(self, party: str, method: str, path: str, body: object = None, status: int = 400) -> str:
        """Send what a party says, which is not understood; give the one line that came back."""
        found, said = await self.ask(party, method, path, body)
        assert found == status, said
        assert list(said) == ["error"]
        line = str(said["error"])
        assert "\n" not in line
        return line


def order(name: str, *effects: Json, group: str = "street", **more: Any) -> Json:
    """Give the body of an order."""
    return {"id": name, "group": group, "effects": list(effects), **more}


def limit(w: int) -> Json:
    """Give an export limit."""
    return {"function": "export-limit", "w": w}


def power(w: int) -> Json:
    """Give a set-point."""
    return {"function": "active-power", "w": w}
