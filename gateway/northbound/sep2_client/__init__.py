"""IEEE 2030.5 client, north: the servers that speak for the tier above."""

from gateway.northbound.sep2_client.config import Profile, Sep2Client, Sep2Resource, client_faults
from gateway.northbound.sep2_client.heard import Before
from gateway.northbound.sep2_client.link import Link
from gateway.northbound.sep2_client.speech import Speech, response_codes, speech

__all__ = [
    "Before",
    "Link",
    "Profile",
    "Sep2Client",
    "Sep2Resource",
    "Speech",
    "client_faults",
    "response_codes",
    "speech",
]
