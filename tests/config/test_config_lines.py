"""The line finder agrees with the text, however its author wrote it."""

import tomllib

import pytest
from example_site import SITE

from gateway.config.lines import Lines, Path

TRICKY = '''\
# a comment with [brackets] and "quotes"
top."dotted key".leaf = 1

[[device]] # the first
name = "a # not a comment"
text = """
name = "not a key"
[[device]]
ends in quotes"""""

[[device]]
'na me' = 'c:\\\\'
list = [ # of three
    "x", # one
    [1,
     2],
    { in = 3, "side" = [4] },
]
[device.link]
port = 1_000
when = 1979-05-27 07:32:00
[[device.link.point]]
[[device.link.point]]
at = 1.5

[last]
raw = \'\'\'
it's
raw = 1\'\'\'
after = true'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top", "dotted key", "leaf"), 2),
        (("top", "dotted key"), 2),
        (("device",), 4),
        (("device", 0), 4),
        (("device", 0, "name"), 5),
        (("device", 0, "text"), 6),
        (("device", 1), 11),
        (("device", 1, "na me"), 12),
        (("device", 1, "list", 0), 14),
        (("device", 1, "list", 1, 1), 16),
        (("device", 1, "list", 2, "side", 0), 17),
        (("device", 1, "link"), 19),
        (("device", 1, "link", "port"), 20),
        (("device", 1, "link", "point", 1), 23),
        (("device", 1, "link", "point", 1, "at"), 24),
        (("last", "raw"), 27),
        (("last", "after"), 30),
    ],
)
def test_every_path_has_its_line(path: Path, line: int) -> None:
    tomllib.loads(TRICKY)
    assert Lines(TRICKY).of(path) == line


def test_an_absent_key_has_the_line_of_the_table_around_it() -> None:
    assert Lines(TRICKY).of(("device", 1, "link", "absent", 3)) == 19
    assert Lines(TRICKY).of(("absent",)) == 1


def test_windows_line_ends_count_once() -> None:
    assert Lines(SITE.replace("\n", "\r\n")).of(("device", 1, "sunspec_modbus", "poll_s")) == 59


def test_every_key_of_a_site_file_stands_where_the_finder_says() -> None:
    lines = SITE.splitlines()
    finder = Lines(SITE)
    seen = 0
    for path in _paths(tomllib.loads(SITE)):
        if isinstance(path[-1], str) and isinstance(path[0], str):
            assert path[-1] in lines[finder.of(path) - 1]
            seen += 1
    assert seen > 50


def _paths(value: object, path: Path = ()) -> list[Path]:
    parts: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        parts = list(value.items())
    elif isinstance(value, list):
        parts = list(enumerate(value))
    return [path] * bool(path) + [found for key, below in parts for found in _paths(below, (*path, key))]
