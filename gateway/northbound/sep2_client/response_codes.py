"""Which status a Response bears for each answer: by the edition that the server speaks, and how much it wants told."""

from collections.abc import Mapping
from typing import Any

from gateway.northbound.sep2_client.config import Responses

EDITION = "2018"


def response_codes(
    words: Mapping[str, Any], edition: str = EDITION, responses: Responses = Responses.COMMON
) -> dict[str, int]:
    """Give the status of each answer out of the words of the protocol's profile; what is not there is not sent.

    An edition of which the profile says nothing has the codes of 2018 (tables 27 of 2018 and 31 of 2023).
    """
    codes: dict[str, int] = {**words["answer"], **words.get("edition", {}).get(edition, {})}
    if responses is Responses.FULL:
        codes |= words.get("full", {})
    if responses is Responses.BASIC:
        codes = {name: code for name, code in codes.items() if code in words["basic"]["only"]}
    return codes
