"""On which line each table and key of a TOML 1.0 text stands; the standard library's parser does not tell."""

import re
import tomllib
from typing import NamedTuple

Path = tuple[str | int, ...]

_TOKEN = re.compile(
    r"""
    (?P<blank>[ \t\r]+|\#[^\n]*)
    |(?P<newline>\n)
    |(?P<text>\"{3}(?:\\.|[^\\])*?\"{3,5}|'{3}.*?'{3,5}|"(?:\\.|[^"\\])*"|'[^']*')
    |(?P<mark>[\[\]{}=,.])
    |(?P<bare>[^\s\[\]{}=,.\#"']+)
    """,
    re.VERBOSE | re.DOTALL,
)


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


_END = _Token("newline", "", 0)


class Lines:
    """The line of every path of a text that the standard library's parser accepts; lines count from 1."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._next = 0
        self._lengths: dict[Path, int] = {}
        self._lines: dict[Path, int] = {(): 1}
        table: Path = ()
        while self._next < len(self._tokens):
            token = self._peek()
            if token.kind == "newline":
                self._next += 1
            elif token.text == "[":
                table = self._header(token.line)
            else:
                self._pair(table)

    def of(self, path: Path) -> int:
        """Give the line of a path, or of the nearest table around it where the path itself is absent."""
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]

    def _peek(self) -> _Token:
        return self._tokens[self._next] if self._next < len(self._tokens) else _END

    def _take(self) -> _Token:
        token = self._peek()
        self._next += 1
        return token

    def _note(self, path: Path, line: int) -> None:
        for length in range(1, len(path) + 1):
            self._lines.setdefault(path[:length], line)

    def _header(self, line: int) -> Path:
        self._take()
        array = self._peek().text == "["
        if array:
            self._take()
        keys = self._key()
        self._next += 2 if array else 1
        path: Path = ()
        for key in keys[:-1]:
            path = (*path, key)
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
        path = (*path, keys[-1])
        if array:
            index = self._lengths.get(path, 0)
            self._lengths[path] = index + 1
            path = (*path, index)
        self._note(path, line)
        return path

    def _key(self) -> Path:
        parts = [_unquoted(self._take())]
        while self._peek().text == ".":
            self._take()
            parts.append(_unquoted(self._take()))
        return tuple(parts)

    def _pair(self, table: Path) -> None:
        line = self._peek().line
        path = table + self._key()
        self._take()  # the equals sign
        self._note(path, line)
        self._value(path)

    def _value(self, path: Path) -> None:
        match self._peek().text:
            case "[":
                self._list(path)
            case "{":
                self._inline_table(path)
            case _:
                while self._peek().kind != "newline" and self._peek().text not in (",", "]", "}"):
                    self._take()

    def _list(self, path: Path) -> None:
        self._take()
        index = 0
        while (token := self._peek()).text != "]":
            if token.kind == "newline":
                self._take()
            elif token.text == ",":
                self._take()
                index += 1
            else:
                self._note((*path, index), token.line)
                self._value((*path, index))
        self._take()

    def _inline_table(self, path: Path) -> None:
        self._take()
        while (token := self._peek()).text != "}":
            if token.text == "," or token.kind == "newline":
                self._take()
            else:
                self._pair(path)
        self._take()


def _tokens(text: str) -> list[_Token]:
    tokens = []
    line = 1
    for found in _TOKEN.finditer(text):
        kind = str(found.lastgroup)
        if kind != "blank":
            tokens.append(_Token(kind, found.group(), line))
        line += found.group().count("\n")
    return tokens


def _unquoted(token: _Token) -> str:
    if token.kind != "text":
        return token.text
    return str(tomllib.loads(f"key = {token.text}")["key"])
