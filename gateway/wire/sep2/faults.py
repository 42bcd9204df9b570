"""What is told of a body, or of a part of one, that cannot be read or written."""

from __future__ import annotations

from dataclasses import dataclass


class WireFault(Exception):  # noqa: N818 - the house word: a fault of the wire, told in one line
    """A body that cannot be read, or a value that cannot be written; its text says where and what in one line.

    Attributes:
        why: what is wrong, without the place.
        path: where, as element names from the outermost in, an attribute with a leading `@`.
        line: the line of the body, or None where it is not known.

    """

    def __init__(self, why: str, path: tuple[str, ...] = (), line: int | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.path = path
        self.line = line

    def inside(self, name: str, line: int | None = None) -> WireFault:
        """Return the same fault as seen from the enclosing element; the innermost line is kept."""
        return WireFault(self.why, (name, *self.path), line if self.line is None else self.line)

    def __str__(self) -> str:
        place = "/".join(self.path) + (f" (line {self.line})" if self.line is not None else "")
        return f"{place}: {self.why}" if place else self.why


@dataclass(frozen=True, slots=True)
class Glance:
    """What is needed to answer about an element that may be unreadable; None where it could not be found.

    Attributes:
        element: local name of the element, as `DERControl`.
        href: its own address.
        mrid: its identifier in hex digits, only where it is one (IEEE 2030.5-2018 mRIDType).
        reply_to: where responses go.
        response_required: bit 0 received, bit 1 specific, bit 2 end user.

    """

    element: str
    href: str | None = None
    mrid: str | None = None
    reply_to: str | None = None
    response_required: int | None = None


@dataclass(frozen=True, slots=True)
class Peek:
    """What can be said of any body, however broken: the root's local name and the elements that may want an answer."""

    root: str | None = None
    items: tuple[Glance, ...] = ()


@dataclass(frozen=True, slots=True)
class Faulty:
    """An item of a list that could not be read, in the place where it stood; its neighbours are not touched.

    Attributes are those of `Glance`, and `why`, one line.
    """

    href: str | None
    mrid: str | None
    reply_to: str | None
    why: str
    response_required: int | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """An identity that was sent but cannot be trusted: never equal to a known one, never absent."""

    written: str
    why: str
