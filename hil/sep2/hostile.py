"""Bodies of the bad-input catalogue that are refused whole, made of any body that would be read otherwise."""

import gzip
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

NS: Final = "urn:ieee:std:2030.5:ns"
XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
UNTOLD: Final = "/etc/hostname"
BOMB: Final = "compression bomb"
DOCTYPE = "a document type declaration is not allowed"
MALFORMED = "not well-formed XML"


class Frame(NamedTuple):
    """A body that is read: its root, the root's attributes, and what stands inside."""

    root: str
    attributes: str = ""
    inner: str = ""

    def __str__(self) -> str:
        return self.with_inner(self.inner)

    @property
    def whole(self) -> bytes:
        return str(self).encode()

    def with_inner(self, inner: str, more: str = "") -> str:
        return f'<{self.root} xmlns="{NS}" {self.attributes} {more}>{inner}</{self.root}>'

    def beside(self, more: str) -> str:
        """Give the body with more inside."""
        return self.with_inner(more + self.inner)


class Hostile(NamedTuple):
    """How a body is spoilt, what the one line on it says, and whether its octets ever reach the parser."""

    spoil: Callable[[Frame], str | bytes]
    why: str
    is_parsed: bool = False

    def body(self, frame: Frame) -> bytes:
        spoilt = self.spoil(frame)
        return spoilt.encode() if isinstance(spoilt, str) else spoilt


def _declared(subset: str, inner: str = "") -> Callable[[Frame], str]:
    return lambda frame: f"<!DOCTYPE {frame.root} {subset}>{frame.beside(inner)}"


LAUGHS = "".join(f'<!ENTITY e{level + 1} "{f"&e{level};" * 10}">' for level in range(1, 10))

BODIES: Final[Mapping[str, Hostile]] = {
    "billion laughs": Hostile(_declared(f'[<!ENTITY e1 "lol">{LAUGHS}]', "<x>&e10;</x>"), DOCTYPE),
    "quadratic blow-up": Hostile(_declared(f'[<!ENTITY e "{"x" * 50_000}">]', f"<x>{'&e;' * 50_000}</x>"), DOCTYPE),
    "XXE file": Hostile(_declared(f'[<!ENTITY x SYSTEM "file://{UNTOLD}">]', "<x>&x;</x>"), DOCTYPE),
    "XXE HTTP": Hostile(_declared('[<!ENTITY x SYSTEM "http://127.0.0.1:9/x">]', "<x>&x;</x>"), DOCTYPE),
    "parameter entity": Hostile(_declared('[<!ENTITY % x SYSTEM "http://127.0.0.1:9/x.dtd"> %x;]'), DOCTYPE),
    "external DTD": Hostile(_declared('SYSTEM "http://127.0.0.1:9/x.dtd"'), DOCTYPE),
    "depth": Hostile(lambda frame: frame.beside("<x>" * 100_000 + "</x>" * 100_000), "more than 65536 tags"),
    "depth of 5,000": Hostile(lambda frame: frame.beside("<x>" * 5_000 + "</x>" * 5_000), MALFORMED, is_parsed=True),
    "depth of 40": Hostile(
        lambda frame: frame.beside("<x>" * 40 + "</x>" * 40), "elements nested deeper than 32", is_parsed=True
    ),
    "2M children": Hostile(lambda frame: frame.beside("<a/>" * 2_000_000), "1048576"),
    "children that fit": Hostile(lambda frame: frame.beside("<a/>" * 250_000), "more than 65536 tags"),
    "200k attributes": Hostile(
        lambda frame: frame.with_inner("", " ".join(f'a{n:x}=""' for n in range(200_000))), "1048576"
    ),
    "attributes that fit": Hostile(
        lambda frame: frame.with_inner("", " ".join(f'a{n:x}=""' for n in range(80_000))), "more than 16384 attributes"
    ),
    "20k namespaces": Hostile(
        lambda frame: frame.with_inner("", " ".join(f'xmlns:n{n}="u{n}"' for n in range(20_000))),
        "more than 16384 attributes",
    ),
    "10 MB text": Hostile(lambda frame: frame.beside(f"<x>{'x' * 10_000_000}</x>"), "1048576"),
    "gzip body": Hostile(lambda frame: gzip.compress(frame.whole), MALFORMED, is_parsed=True),
    BOMB: Hostile(lambda frame: gzip.compress(frame.beside(" " * 20_000_000).encode(), 9), MALFORMED, is_parsed=True),
    "absent namespace": Hostile(
        lambda frame: str(frame).replace(f' xmlns="{NS}"', ""), "has no namespace", is_parsed=True
    ),
    "wrong namespace": Hostile(
        lambda frame: str(frame).replace(NS, "urn:x"), "is of namespace 'urn:x'", is_parsed=True
    ),
    "xsi:type substitution": Hostile(
        lambda frame: frame.with_inner(frame.inner, f'xmlns:xsi="{XSI}" xsi:type="Other"'),
        "says that it is of type 'Other'",
        is_parsed=True,
    ),
    "UTF-16": Hostile(lambda frame: str(frame).encode("utf-16"), "encoding is not UTF-8"),
    "UTF-16 without a mark": Hostile(lambda frame: str(frame).encode("utf-16-be"), MALFORMED, is_parsed=True),
    "UTF-7": Hostile(
        lambda frame: f'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE x+AD4-{frame}', "encoding is not UTF-8"
    ),
    "EXI body": Hostile(lambda _frame: b"$EXI\xa0\x01" + bytes(range(128, 255)), MALFORMED, is_parsed=True),
    "not UTF-8": Hostile(lambda frame: str(frame).encode().replace(b"<", b"\xff<", 2), MALFORMED, is_parsed=True),
}
"""By the words of the catalogue; those beside it are its neighbours that fit under one cap and meet the next."""
