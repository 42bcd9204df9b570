"""The objects that a VTN holds, with the metadata that it stamps (3.1 Definition, Object Metadata), and problems."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hil.openadr.events import Body, instant

METADATA = ("id", "createdDateTime", "modificationDateTime", "objectType")


class ProblemError(Exception):
    """The request is answered with a problem of this status."""

    def __init__(self, status: int, title: str, why: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(why)
        self.status = status
        self.headers = dict(headers or {})
        self.body: Body = {"title": title, "status": status, "detail": why}


def bad_request(why: str) -> ProblemError:
    return ProblemError(400, "Bad Request", why)


def forbidden(why: str) -> ProblemError:
    return ProblemError(403, "Forbidden", why)


def not_found(why: str) -> ProblemError:
    return ProblemError(404, "Not Found", why)


def conflict(why: str) -> ProblemError:
    return ProblemError(409, "Conflict", why)


@dataclass(slots=True)
class Held:
    """One object: `body` is served as it is, `client_id` is whose it is; `modified_ms` is the VTN's own clock."""

    id: str
    body: Body
    modified_ms: int
    client_id: str | None = None


class Shelf:
    """All objects of one type ("EVENT", "VEN" ...) in the order of their creation; ids are never used twice."""

    def __init__(self, object_type: str, now_ms: Callable[[], int]) -> None:
        self.object_type = object_type
        self._now_ms = now_ms
        self._held: dict[str, Held] = {}
        self._count = 0

    def __iter__(self) -> Iterator[Held]:
        return iter([*self._held.values()])

    def __len__(self) -> int:
        return len(self._held)

    @property
    def bodies(self) -> list[Body]:
        """What is served of each."""
        return [held.body for held in self]

    def add(self, body: Mapping[str, Any], *, client_id: str | None = None) -> Held:
        """Hold a new object; metadata that the body brings is not heeded."""
        key, now_ms = self._new_id(), self._now_ms()
        stamp = {"id": key, "createdDateTime": instant(now_ms)}
        return self._keep(Held(key, {}, now_ms, client_id), stamp, body)

    def add_raw(self, body: Body) -> Held:
        """Hold an object that is served as it is, odd or not, under its own id where it has one of its own."""
        own = body.get("id")
        free = isinstance(own, str) and own and own not in self._held
        held = Held(str(own) if free else self._new_id(), body, self._now_ms())
        self._held[held.id] = held
        return held

    def replace(self, held: Held, body: Mapping[str, Any]) -> Held:
        """Put another body in its place; the time of modification always moves on, by 1 ms at least."""
        held.modified_ms = max(self._now_ms(), held.modified_ms + 1)
        stamp = {"id": held.id, "createdDateTime": held.body.get("createdDateTime", instant(held.modified_ms))}
        return self._keep(held, stamp, body)

    def get(self, key: str) -> Held:
        """Return the object of this id; ProblemError 404 where there is none."""
        if key not in self._held:
            raise not_found(f'there is no {self.object_type} "{key}"')
        return self._held[key]

    def remove(self, held: Held) -> None:
        """Hold it no longer."""
        del self._held[held.id]

    def clear(self) -> None:
        """Hold nothing; ids go on counting."""
        self._held.clear()

    def _new_id(self) -> str:
        self._count += 1
        return f"{self.object_type.lower()}-{self._count}"

    def _keep(self, held: Held, stamp: Body, body: Mapping[str, Any]) -> Held:
        given = {key: value for key, value in body.items() if key not in METADATA}
        modified = {"modificationDateTime": instant(held.modified_ms), "objectType": self.object_type}
        held.body = stamp | modified | given
        self._held[held.id] = held
        return held
