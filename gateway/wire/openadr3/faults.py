"""What is told of a body, or of a part of one, that cannot be read."""

from dataclasses import dataclass


class WireFault(Exception):  # noqa: N818 - the house word: a fault of the wire, told in one line
    """A body, or a value in it, that cannot be read; its text says what is wrong in one line."""


@dataclass(frozen=True, slots=True)
class Odd:
    """One item that cannot be read as it stands among others that can; `id` is empty where it tells none."""

    id: str
    why: str
