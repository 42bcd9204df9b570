"""Priorities of three protocols as one internal rank: the smaller precedence is the stronger (RULES C3, C4).

Ranks are compared only inside one server, so that numbers of different protocols never meet (C3).

    protocol       strongest   weakest         equal: C4
    IEEE 2030.5    0           255             the later creationTime
    OpenADR 2.0b   1           0 or absent     the later createdDateTime
    OpenADR 3      0           absent          the tighter limit; of set-points the later modificationDateTime

Where all of that is equal, the smaller id goes first.
"""

from gateway.core.orders import NO_PRIORITY, Rank, Tie

MOST_PRIMACY = 255
_RESERVED = (range(3, 65), range(192, 256))


def sep2_rank(primacy: int, created_ms: int) -> Rank:
    """Give the rank of an IEEE 2030.5 control: its program's primacy (0..255) and creationTime (ms, server's clock).

    The smaller primacy is the stronger, of equals the later creation (IEEE 2030.5-2018, 10.2.3 and PrimacyType, a
    UInt8). ValueError for another primacy.
    """
    if not 0 <= primacy <= MOST_PRIMACY:
        raise ValueError(f"primacy {primacy} is not within 0..{MOST_PRIMACY}; refuse the program that bears it")
    return Rank(primacy, created_ms)


def is_reserved(primacy: int) -> bool:
    """Tell whether the standard gives a primacy no meaning yet (2018 schema, PrimacyType: 3 to 64, 192 to 255).

    Our reading: it competes as the number that it is, and its server's operator is told.
    """
    return any(primacy in span for span in _RESERVED)


def openadr2_rank(priority: int | None, created_ms: int) -> Rank:
    """Give the rank of an OpenADR 2.0b event: its priority (>= 0) and createdDateTime (ms, VTN's clock).

    1 is the strongest, and 0, as an absent one, means none and is the weakest (OpenADR 2.0b schema, annotation of
    eventDescriptor/priority); of equals the later creation. ValueError for a negative priority or one past 2^62 - 1.
    """
    return Rank(_precedence(priority) or NO_PRIORITY, created_ms)


def openadr3_rank(priority: int | None, modified_ms: int) -> Rank:
    """Give the rank of an OpenADR 3 event: its priority (>= 0) and modificationDateTime (ms, VTN's clock).

    0 is the strongest, and an absent one the weakest (OpenADR 3 User Guide 7.1). The standard is silent on equals.
    Our reading: the tighter limit, and of set-points the later modification. ValueError for a negative priority or one
    past 2^62 - 1.
    """
    return Rank(_precedence(priority), modified_ms, Tie.TIGHTER_LIMIT)


def _precedence(priority: int | None) -> int:
    if priority is None:
        return NO_PRIORITY
    if not 0 <= priority < NO_PRIORITY:
        raise ValueError(f"priority {priority} is not within 0..{NO_PRIORITY - 1}; refuse the event that bears it")
    return priority
