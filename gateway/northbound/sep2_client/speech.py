"""How a server is spoken with, by the words of the protocol's profile: editions, statuses, readings of the standard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from gateway.northbound.sep2_client.config import Profile, Responses, Version
from gateway.wire.sep2 import ANY, Dialect

EDITION = "2018"


class Speech(NamedTuple):
    """What one server is told and how.

    Attributes:
        codes: the status of a Response for each answer; what is not there is not sent.
        dialect: the editions that it is written to in, `versions` those of each version of CSIP-AUS that may be found.
        joined: whether an event that starts where another ends takes over at the real end of that one.

    """

    codes: Mapping[str, int]
    dialect: Dialect = ANY
    versions: Mapping[str, Dialect] = {}
    joined: bool = True


def speech(words: Mapping[str, Any], profile: Profile, responses: Responses, versions: Iterable[Version]) -> Speech:
    """Give how a server of this profile is spoken with."""
    spoken = words["profile"]
    return Speech(
        response_codes(words, str(spoken[profile]["edition"]), responses),
        Dialect(**spoken[profile]),
        {version: Dialect(**spoken[f"csip-aus-{version}"]) for version in versions},
        words["events"]["successive"] == "joined",
    )


def response_codes(
    words: Mapping[str, Any], edition: str = EDITION, responses: Responses = Responses.COMMON
) -> dict[str, int]:
    """Give the status of each answer; what is not there is not sent.

    An edition of which the profile says nothing has the codes of 2018 (tables 27 of 2018 and 31 of 2023).
    """
    codes: dict[str, int] = {**words["answer"], **words.get("edition", {}).get(edition, {})}
    if responses is Responses.FULL:
        codes |= words.get("full", {})
    if responses is Responses.BASIC:
        codes = {name: code for name, code in codes.items() if code in words["basic"]["only"]}
    return codes
