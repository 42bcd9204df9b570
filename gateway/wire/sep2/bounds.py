"""What a body is refused for before, and right after, it is parsed: too much of anything, and another type's name."""

from __future__ import annotations

from typing import Any, Final

from lxml import etree
from lxml.etree import _Element

from gateway.wire.sep2.faults import WireFault
from gateway.wire.sep2.scalars import shown

MAX_TAGS: Final = 1 << 16
MAX_ATTRIBUTES: Final = 1 << 14

_FEWEST_OCTETS_OF_TOO_MANY = min(len("<a/>") * MAX_TAGS, len(' a=""') * MAX_ATTRIBUTES)
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_TYPED = etree.XPath("//*[@xsi:type]", namespaces={"xsi": _XSI})
_ABSTRACT = frozenset({"Resource", "Response"})
"""Resources that stand for others, so that the type is what says which (2018 schema)."""


def refuse_too_many(body: bytes) -> None:
    """Refuse, before anything of it is parsed, what makes a tree of many times its own size.

    Raises:
        WireFault: more tags (elements, comments, instructions) or attributes than any body of the standard has.

    """
    if len(body) <= _FEWEST_OCTETS_OF_TOO_MANY:
        return
    for mark, most, what in ((b"<", MAX_TAGS, "tags"), (b"=", MAX_ATTRIBUTES, "attributes")):
        if body.count(mark) > most:
            raise WireFault(f"more than {most} {what}")


def refuse_other_types(body: bytes, root: _Element) -> None:
    """Refuse a resource that says it is of another type: what it means is not what would be read here.

    Raises:
        WireFault: an `xsi:type` that is not the name of its own element.

    """
    if b":type" not in body:
        return
    typed: Any = _TYPED(root)
    for element in typed:
        name, said = etree.QName(element).localname, element.get(f"{{{_XSI}}}type").strip().rpartition(":")[2]
        if name[:1].isupper() and name != said and name not in _ABSTRACT:
            raise WireFault(f"says that it is of type {shown(said)}", (name,), element.sourceline)
