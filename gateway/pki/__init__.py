"""Who a peer is and whether its certificate may be believed (IEEE 2030.5-2018, clause 6)."""


class PkiFault(Exception):  # noqa: N818 - "fault" is the word of this house for what is broken
    """A certificate, key, peer or TLS library that cannot be used; the text is one line that says what to do."""
