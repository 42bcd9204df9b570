"""Makes this gateway and its resources known to a VTN, and learns by which targets the VTN calls them.

What is there under our name is taken; what is not is created (OpenADR 3.1.0, /vens and /resources). Where the VTN does
not let us, events that name a resource by its own name, or nobody, are obeyed all the same.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from gateway.northbound.openadr_ven.exchange import OK, Exchange, VtnDown, VtnFault
from gateway.northbound.openadr_ven.reader import read_list
from gateway.northbound.openadr_ven.said import Said
from gateway.wire.openadr3 import Payload, Resource, ResourceRequest, Ven, VenRequest, WireFault, decode_one, encode

FORBIDDEN: Final = 403
CONFLICT: Final = 409
RENEW_S: Final = 300
AGAIN_S: Final = 30
REFUSED_MS: Final = 3_600_000
"""How long what the VTN refused is not asked for again."""


class Refusal(NamedTuple):
    """What the VTN would not create: what is said of it, what at its end, and until when (ms) it is left alone."""

    text: str
    over: str
    until_ms: int


class Enrolment:
    """How one VTN knows this gateway: its VEN, its resources, and the targets of each."""

    def __init__(
        self, party: str, ven_name: str, names: Mapping[str, str], exchange: Exchange, now_ms: Callable[[], int]
    ) -> None:
        """Enrol under this name; `names` gives each resource's name there by its own. `now_ms` gives our clock."""
        self.targets: dict[str, frozenset[str]] = {name: frozenset((there,)) for name, there in names.items()}
        self.known = False
        self.renewals = 0
        self._ven_name = ven_name
        self._names = names
        self._exchange = exchange
        self._now_ms = now_ms
        self._said = Said(party)
        self._due_ms = 0
        self._refusals: dict[str, Refusal] = {}

    def all_targets(self) -> frozenset[str]:
        """Give every target that any of our resources is called by."""
        return frozenset().union(*self.targets.values())

    def ask(self, within_s: int = AGAIN_S) -> None:
        """Look again soon: the VTN may know us otherwise than we think."""
        self._due_ms = min(self._due_ms, self._now_ms() + 1000 * within_s)

    async def renew(self) -> None:
        """Look how the VTN knows us, where that is due, and create what is missing; no trouble with it is raised."""
        if self._now_ms() < self._due_ms:
            return
        self._due_ms = self._now_ms() + 1000 * (RENEW_S if self.known else AGAIN_S)
        try:
            await self._renew()
        except (VtnFault, VtnDown) as fault:
            self._said.amiss("enrolment", f"not enrolled: {fault}; targets are taken as they were", "enrolled")
        self._said.close()

    async def _renew(self) -> None:
        ven = await self._found_ven()
        if ven is None:
            return
        found = await self._resources(ven.id)
        if await self._created(found, ven.id):
            found = await self._resources(ven.id)
        own = targets_of(ven.targets)
        for name, there in self._names.items():
            resource = found.get(there)
            theirs = () if resource is None else targets_of(resource.targets)
            self.targets[name] = frozenset((there, *theirs, *own))
        self.known = True
        self.renewals += 1

    async def _found_ven(self) -> Ven | None:
        ven = await self._named_ven()
        if ven is not None or not self._may_create(self._ven_name):
            return ven
        got = await self._exchange.post("/vens", encode(VenRequest(self._ven_name)))
        if got.status in OK:
            return _decoded(got.body, Ven, "/vens")
        ven = await self._named_ven() if got.status == CONFLICT else None
        if ven is None:
            self._refused(self._ven_name, "VEN", got.status)
        return ven

    async def _named_ven(self) -> Ven | None:
        for _name, item in (await read_list(self._exchange, "/vens", {"venName": self._ven_name})).items:
            try:
                ven = decode_one(item, Ven)
            except WireFault:
                continue
            if ven.ven_name == self._ven_name:
                return ven
        return None

    async def _resources(self, ven: str) -> dict[str, Resource]:
        found: dict[str, Resource] = {}
        for name, item in (await read_list(self._exchange, "/resources", {"venID": ven})).items:
            try:
                resource = decode_one(item, Resource)
            except WireFault as fault:
                self._said.amiss(f"resource {name}", f"resource {name}: {fault}; it is passed over")
                continue
            found.setdefault(resource.resource_name, resource)
        return found

    async def _created(self, found: Mapping[str, Resource], ven: str) -> bool:
        """Create the resources that are missing; tell whether the list is to be read again."""
        missing = [there for there in self._names.values() if there not in found and self._may_create(there)]
        for there in missing:
            got = await self._exchange.post("/resources", encode(ResourceRequest(there, ven)))
            if got.status not in OK and got.status != CONFLICT:
                self._refused(there, "resource", got.status)
        return bool(missing)

    def _may_create(self, name: str) -> bool:
        """Tell whether a name may be sent; one that was refused is not, until it is time to try again."""
        refusal = self._refusals.get(name)
        if refusal is not None and self._now_ms() < refusal.until_ms:
            self._said.amiss(f"refused {name}", refusal.text, refusal.over)
            return False
        return self._exchange.may_write

    def _refused(self, name: str, what: str, status: int) -> None:
        why = {
            FORBIDDEN: "may not be created by us; have it created at the VTN",
            CONFLICT: "belongs to another client; give this gateway a name of its own",
        }.get(status, f"could not be created, status {status}")
        refusal = Refusal(f'{what} "{name}" {why}', f'{what} "{name}" is known to the VTN', self._now_ms() + REFUSED_MS)
        self._refusals[name] = refusal
        self._said.amiss(f"refused {name}", refusal.text, refusal.over)


def targets_of(listed: Iterable[str | Payload] | None) -> tuple[str, ...]:
    """Give targets as plain names; those of OpenADR 3.0 are values of a type."""
    names: list[str] = []
    for one in listed or ():
        if isinstance(one, str):
            names.append(one)
        else:
            names += [value for value in one.values if isinstance(value, str)]
    return tuple(dict.fromkeys(names))


def _decoded(body: bytes, kind: type[Ven], path: str) -> Ven:
    try:
        return decode_one(body, kind)
    except WireFault as fault:
        raise VtnFault(f"POST {path}: {fault}") from fault
