"""IEEE 2030.5 bodies to values and back, driven by the tables (2018 schema; 2013 namespaces read, never written)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from itertools import islice
from typing import Any, NoReturn, TypeAlias

from lxml import etree
from lxml.etree import _Element

from gateway.wire.sep2.bodies import Resource
from gateway.wire.sep2.bounds import refuse_other_types, refuse_too_many
from gateway.wire.sep2.dialects import Dialect
from gateway.wire.sep2.drafts import draft
from gateway.wire.sep2.faults import Faulty, Glance, Peek, WireFault
from gateway.wire.sep2.moulds import Moulds
from gateway.wire.sep2.namespaces import CSIPAUS, CSIPAUS_NAMESPACES, NAMESPACE, NAMESPACES, spaces, tags
from gateway.wire.sep2.scalars import HEX8, MRID, URI, Scalar, shown
from gateway.wire.sep2.shapes import ListShapes
from gateway.wire.sep2.table import Row, Table
from gateway.wire.sep2.tables import ROOTS
from gateway.wire.sep2.typed import XSI, typed_reader, typed_writer

MAX_BODY_OCTETS = 1 << 20
MAX_DEPTH = 32
MAX_ITEMS = 300
MAX_STRANGERS = 255
"""Modes of one control that are not known here; each is named to whoever asks."""

ANY = Dialect(2023, NAMESPACE, csip_aus="1.3", csip_aus_namespace=CSIPAUS)
"""All that is known here, for a peer of whom nothing is known."""

_ASIDE: Any = object()
"""Stands for a value that could not be read and unseats nothing beside it."""
_DISABLED = "disabled"
_KNOWN_NAMESPACES = frozenset((*NAMESPACES, *CSIPAUS_NAMESPACES, _DISABLED))
_DECLARED_ENCODING = re.compile(rb"^(?:\xef\xbb\xbf)?<\?xml[^>]{0,200}?encoding\s{0,9}=\s{0,9}[\"']([^\"'>]{0,40})")
_HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n'
_TOO_DEEP = etree.XPath("boolean(" + "/*" * (MAX_DEPTH + 1) + ")")
_MARKED = etree.XPath("//*[@disabled]")
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def _parser(*, recover: bool) -> etree.XMLParser:
    return etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        recover=recover,
    )


_STRICT = _parser(recover=False)
_TOLERANT = _parser(recover=True)


def decode(body: bytes) -> Resource:
    """Return the resource that a body holds.

    Strict about values; tolerant of order, of elements unknown to us, of trimmed hex and of the namespaces of 2013.
    A faulty item of a list becomes `Faulty` in its place.

    Raises:
        WireFault: the body as a whole cannot be trusted; its text says what and where.

    """
    found = None
    if len(body) <= MAX_BODY_OCTETS:
        refuse_too_many(body)
        found = _LISTS.read(body, MAX_ITEMS)
    if found is None:
        resource = _by_tree(body)
        _LISTS.learn(body)
        return resource
    envelope, items = found
    page: Any = _by_tree(envelope)
    return dataclasses.replace(page, items=items)  # type: ignore[no-any-return]  # still the class of its table


def _by_tree(body: bytes) -> Resource:
    root = _parse(body)
    if b"disabled" in body:
        _set_disabled_aside(root)
    read = _ROOT_READERS.get(root.tag)
    if read is None:
        raise _wrong_root(root.tag)
    try:
        return read(root)  # type: ignore[no-any-return]  # the tables say which class, not the type checker
    except WireFault as fault:
        raise fault.inside(_local(root.tag), _line(root)) from None


def encode(resource: Resource, dialect: Dialect = ANY) -> bytes:
    """Return the body of a resource: UTF-8, schema order, the same octets for the same value.

    What a dialect lacks is left out; a mode of a control that it lacks is a fault.

    Raises:
        WireFault: a value outside its range, a missing one, a `Faulty` item, modes of which only the names are kept, or
            a resource or mode that the dialect lacks.
        TypeError: not a resource that stands alone.

    """
    writers = _root_writers.get(dialect)
    if writers is None:
        writers = _root_writers[dialect] = _make_root_writers(dialect)
    write = writers.get(type(resource))
    if write is None:
        raise TypeError(f"{type(resource).__name__} is not a body of IEEE 2030.5; encode one of tables.ROOTS")
    out: list[str] = []
    try:
        write(resource, out)
    except WireFault as fault:
        raise fault.inside(type(resource).__name__) from None
    text, declared = "".join(out), dialect.declaration
    if "<csipaus:" in text:
        text = text.replace(declared, f'{declared} xmlns:csipaus="{dialect.csip_aus_namespace}"', 1)
    if ' xsi:type="' in text:
        text = text.replace(declared, f'{declared} xmlns:xsi="{XSI}"', 1)
    return _HEAD + text.encode()


def peek(body: bytes) -> Peek:
    """Return what can be said of any body, so that a failure can still be answered; never raises.

    Reads what stands before the first break; looks at the first MiB; a body with a DOCTYPE is not looked at.
    """
    body = body[:MAX_BODY_OCTETS]
    if body.startswith(_UTF16_MARKS):
        body = body.decode("utf-16", "replace").encode()
    if b"<!DOCTYPE" in body:
        return Peek()
    try:
        root = etree.fromstring(body, _TOLERANT)
    except (etree.XMLSyntaxError, ValueError):
        return Peek()
    if root is None:
        return Peek()
    glances = (_glance(element) for element in (root, *islice(root.iterchildren("{*}*"), MAX_ITEMS)))
    return Peek(_local(root.tag), tuple(seen for seen in glances if seen.mrid or seen.reply_to))


def _parse(body: bytes) -> _Element:
    if len(body) > MAX_BODY_OCTETS:
        raise WireFault(f"body of {len(body)} octets, at most {MAX_BODY_OCTETS} are read")
    if b"<!DOCTYPE" in body:
        raise WireFault("a document type declaration is not allowed")
    declared = _DECLARED_ENCODING.match(body)
    if body.startswith(_UTF16_MARKS) or (declared and declared[1].lower() not in {b"utf-8", b"utf8"}):
        raise WireFault("encoding is not UTF-8")
    refuse_too_many(body)
    try:
        root = etree.fromstring(body, _STRICT)
    except etree.XMLSyntaxError as error:
        raise WireFault(f"not well-formed XML: {_one_line(error)}") from None
    if _TOO_DEEP(root):
        raise WireFault(f"elements nested deeper than {MAX_DEPTH}")
    refuse_other_types(body, root)
    return root


def _set_disabled_aside(root: _Element) -> None:
    """Move what 2023 marks disabled out of the namespaces that are read."""
    marked: Any = _MARKED(root)
    for element in marked:
        if element.get("disabled").strip() not in {"false", "0"}:
            element.tag = f"{{{_DISABLED}}}{_local(element.tag)}"


def _one_line(error: Exception) -> str:
    return ascii(" ".join(str(error).split()))[1:-1][:200]


def _wrong_root(tag: str) -> WireFault:
    namespace, _, local = tag.rpartition("}")
    if not namespace:
        return WireFault(f"root element {shown(local)} has no namespace, {NAMESPACE} belongs here")
    if namespace[1:] not in NAMESPACES:
        return WireFault(f"root element {shown(local)} is of namespace {shown(namespace[1:])}, not {NAMESPACE}")
    return WireFault(f"root element {shown(local)} is no resource that is read here")


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _line(element: _Element) -> int | None:
    line: Any = element.sourceline
    return line  # type: ignore[no-any-return]  # the stubs give no type for it


def _glance(element: _Element) -> Glance:
    mrid = next((child.text for child in element.iterchildren("{*}mRID")), None)
    return Glance(
        element=_local(element.tag),
        href=_lenient(URI, element.get("href")),
        mrid=_lenient(MRID, mrid),
        reply_to=_lenient(URI, element.get("replyTo")),
        response_required=_lenient(HEX8, element.get("responseRequired")),
    )


def _lenient(kind: Scalar, text: str | None) -> Any:  # noqa: ANN401 - of the type that `kind` reads
    if text is None:
        return None
    try:
        return kind.read(text)
    except WireFault:
        return None


def _faulty(element: _Element, fault: WireFault) -> Faulty:
    seen = _glance(element)
    placed = fault.inside(seen.element, _line(element))
    return Faulty(seen.href, seen.mrid, seen.reply_to, str(placed), seen.response_required)


_Read: TypeAlias = "Callable[[_Element], Any]"
_Write: TypeAlias = "Callable[[Any, list[str]], None]"
_readers: dict[int, _Read] = {}


def _reader(table: Table) -> _Read:
    reader = _readers.get(id(table))
    if reader is None:
        reader = _readers[id(table)] = _make_reader(table)
    return reader


def _make_reader(table: Table) -> _Read:
    attributes = tuple((a.name, a.field, a.kind.read) for a in table.attributes)
    elements = {tag: _entry(row) for row in table.rows for tag in tags(row)}
    names = {row.field: row.element for row in table.rows if row.required}
    names |= {a.field: f"@{a.name}" for a in table.attributes if a.required}
    required = frozenset(names)
    many = tuple(row.field for row in table.rows if row.many)
    build, find, prefix = _builder(table.cls), elements.get, table.rest_prefix

    def read(element: _Element) -> Any:  # noqa: ANN401 - the table's class
        values: dict[str, Any] = {}
        others: list[str] = []
        at: _Element | None = None
        name = ""
        try:
            for name, field, parse_text in attributes:
                text = element.get(name)
                if text is not None:
                    values[field] = parse_text(text)
            for at in element:
                entry = find(at.tag)
                if entry is None:
                    if prefix and _local(at.tag).startswith(prefix):
                        _note(others, at)
                    continue
                field, parse, read_nested, row = entry
                if parse is not None:
                    if len(at):
                        _refuse("has elements inside, a plain value belongs here")
                    value = parse(at.text)
                elif row is None:
                    value = read_nested(at)
                elif row.aside:
                    values[field] = _ASIDE if field in values else read_nested(at)
                    if values[field] is _ASIDE:
                        others.append(_mode_name(at.tag))
                    continue
                else:
                    _append(values.setdefault(field, []), at, read_nested, row)
                    continue
                if field in values:
                    _refuse("is there twice")
                values[field] = value
        except WireFault as fault:
            if at is None:
                raise fault.inside(f"@{name}") from None
            raise fault.inside(_local(at.tag), _line(at)) from None
        if not required <= values.keys():
            raise WireFault(f"{' and '.join(sorted(names[field] for field in required - values.keys()))} missing")
        for field in many:
            if field in values:
                values[field] = tuple(values[field])
        if others:
            values = {field: value for field, value in values.items() if value is not _ASIDE}
            values[table.rest] = tuple(sorted(set(others)))
        return build(values)

    return read


def _builder(cls: type) -> Callable[[dict[str, Any]], Any]:
    make = draft(cls)

    def build(values: dict[str, Any]) -> Any:  # noqa: ANN401 - of class `cls`
        value = make(**values)
        value.__class__ = cls
        return value

    return build


def _refuse(why: str) -> NoReturn:
    raise WireFault(why)


def _entry(row: Row) -> tuple[str, Any, Any, Row | None]:
    if row.aside:
        return row.field, None, _aside(row.kind), row
    if isinstance(row.kind, Scalar):
        return row.field, row.kind.read, None, None
    read = typed_reader(row, _reader(row.kind), _reader) if row.typed else _reader(row.kind)
    return row.field, None, read if row.many or not row.isolated else _isolated(read), row if row.many else None


def _isolated(read: _Read) -> _Read:
    def read_or_name(element: _Element) -> Any:  # noqa: ANN401 - what is read, or `Faulty`
        try:
            return read(element)
        except WireFault as fault:
            return _faulty(element, fault)

    return read_or_name


def _aside(kind: Scalar | Table) -> _Read:
    """Return a reader that gives `_ASIDE` for what cannot be read."""
    read: _Read = _reader(kind) if isinstance(kind, Table) else lambda element: _plain(kind, element)

    def read_or_leave(element: _Element) -> Any:  # noqa: ANN401 - of the type that `kind` reads
        try:
            return read(element)
        except WireFault:
            return _ASIDE

    return read_or_leave


def _plain(kind: Scalar, element: _Element) -> Any:  # noqa: ANN401 - as above
    return _ASIDE if len(element) else kind.read(element.text)


def _append(items: list[Any], element: _Element, read: _Read, row: Row) -> None:
    most = row.most or MAX_ITEMS
    if len(items) == most:
        raise WireFault(f"more than {most} items")
    if not row.isolated:
        items.append(read(element))
        return
    try:
        items.append(read(element))
    except WireFault as fault:
        items.append(_faulty(element, fault))


def _name(name: str, part: Row | Table) -> str:
    return f"csipaus:{name}" if part.australian else name


def _note(others: list[str], stranger: _Element) -> None:
    """Name a mode that is not known here."""
    others.append(_mode_name(stranger.tag))
    if len(others) > MAX_STRANGERS:
        raise WireFault(f"is one of more than {MAX_STRANGERS} modes that are not known")


def _mode_name(tag: str) -> str:
    namespace, _, local = tag.rpartition("}")
    return local if namespace[1:] in _KNOWN_NAMESPACES else tag


def _make_writer(table: Table, name: str, dialect: Dialect, declare: str = "") -> _Write:
    attributes = tuple(
        (f"@{a.name}", a.field, f' {a.name}="', a.kind.write, a.required or a.must_write)
        for a in table.attributes
        if dialect.has(a)
    )
    rows = tuple(
        _row_writer(row, dialect)
        for row in table.rows
        if not row.read_only and (dialect.has(row) or table.rest)  # what is ordered is never left out unsaid
    )
    cls, opening, closing, rest = table.cls, f"<{name}{declare}", f"</{name}>", table.rest

    def write(value: Any, out: list[str]) -> None:  # noqa: ANN401 - checked on the first line
        if type(value) is not cls:
            raise WireFault(f"{type(value).__name__} where {cls.__name__} belongs")
        if rest and getattr(value, rest):
            raise WireFault(f"{', '.join(getattr(value, rest))}: only the name is known, there is no value to write")
        at, head = name, opening
        try:
            for place, field, before, text_of, required in attributes:
                at, content = place, getattr(value, field)
                if content is not None:
                    head += f'{before}{text_of(content)}"'
                elif required:
                    _refuse("is missing")
            out.append(head)
            start = len(out)
            for place, field, before, after, text_of, nested, required in rows:
                at, content = place, getattr(value, field)
                if content is None:
                    if required:
                        _refuse("is missing")
                elif text_of is not None:
                    out.append(f"{before}{text_of(content)}{after}")
                else:
                    nested(content, out)
        except WireFault as fault:
            raise fault.inside(at) from None
        if len(out) == start:
            out[-1] += "/>"
        else:
            out[start - 1] += ">"
            out.append(closing)

    return write


def _row_writer(row: Row, dialect: Dialect) -> tuple[str, str, str, str, Any, Any, bool]:
    if not dialect.has(row):
        return row.element, row.field, "", "", None, _refusing(dialect), False
    name = _name(row.element, row)
    if isinstance(row.kind, Scalar):
        return row.element, row.field, f"<{name}>", f"</{name}>", row.kind.write, None, row.required
    write = _make_writer(row.kind, name, dialect)
    if row.typed:
        write = typed_writer(row, write, lambda table, said: _make_writer(table, name, dialect, said), dialect)
    moulds = Moulds(row.kind, name, dialect) if row.isolated and not row.typed else None
    return row.element, row.field, "", "", None, _each(write, row, moulds) if row.many else write, row.required


def _refusing(dialect: Dialect) -> _Write:
    return lambda _value, _out: _refuse(f"is not of {dialect}")


def _each(write: _Write, row: Row, moulds: Moulds | None) -> _Write:
    most = row.most or MAX_ITEMS

    def write_all(values: tuple[Any, ...], out: list[str]) -> None:
        if len(values) > most:
            raise WireFault(f"more than {most} items")
        if row.required and not values:
            raise WireFault("is missing")
        if moulds is None:
            for value in values:
                write(value, out)
            return
        for value, text in zip(values, moulds.texts(values), strict=True):
            if text is None:
                write(value, out)
                moulds.learn(value)
            else:
                out.append(text)

    return write_all


_ROOT_READERS = {f"{{{space}}}{name}": _reader(table) for name, table in ROOTS.items() for space in spaces(table)}
_LISTS = ListShapes(
    {name: table for name, table in ROOTS.items() if [row.isolated for row in table.rows] == [True]},
)
_root_writers: dict[Dialect, dict[type, _Write]] = {}


def _make_root_writers(dialect: Dialect) -> dict[type, _Write]:
    return {
        table.cls: _make_writer(table, _name(name, table), dialect, dialect.declaration)
        if dialect.has(table)
        else _refusing(dialect)
        for name, table in ROOTS.items()
    }
