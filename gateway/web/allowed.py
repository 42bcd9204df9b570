"""What a value of a body may be, where what was given is none of it: so that the refusal says what to write."""

import re
from enum import StrEnum
from typing import Final

from msgspec import inspect

from gateway.core.functions import Function
from gateway.core.modes import FUNCTIONS, CurveKind

_WHERE: Final = re.compile(r"Invalid enum value '(?P<given>[^']*)' - at `\$(?P<path>[^`]*)`")
_NAME: Final = re.compile(r"\.(\w+)")


def allowed(kind: object, error: str) -> str:
    """Say what is allowed where a body of this kind is refused for a word that is not; empty for other errors."""
    found = _WHERE.search(error)
    words = None if found is None else _words(inspect.type_info(kind), _NAME.findall(found["path"]))
    if found is None or words is None:
        return ""
    if set(words) == set(Function) and found["given"] in set(CurveKind):
        given = CurveKind(found["given"])
        function = FUNCTIONS.get(given, Function.RIDE_THROUGH)
        return f"{given} is a curve of {function}: give that as the function"
    return f"give one of {', '.join(words)}"


def _words(found: inspect.Type, path: list[str]) -> list[str] | None:
    """Follow a path of field names to the words that are allowed at its end; None where none are listed there."""
    match found:
        case inspect.Metadata(type=inner):
            return _words(inner, path)
        case inspect.UnionType(types=types):
            return next((words for one in types if (words := _words(one, path)) is not None), None)
        case inspect.VarTupleType(item_type=item):
            return _words(item, path)
        case inspect.StructType(fields=fields) if path:
            return next((_words(one.type, path[1:]) for one in fields if one.name == path[0]), None)
        case inspect.EnumType(cls=cls) if not path and issubclass(cls, StrEnum):
            return [one.value for one in cls]
        case inspect.LiteralType(values=values) if not path:
            return sorted(map(str, values))
        case _:
            return None
