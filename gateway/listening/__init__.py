"""How this gateway listens for peers over mutual TLS: again where an address is taken, paced, all of it bounded.

It knows no resource of any protocol: who asks and what is answered is the adapter's, here is only how long, how much
and how many. Limits are of wall time.
"""

from gateway.listening.door import Door, Opened
from gateway.listening.guest import Guest, guest_of
from gateway.listening.limits import Limits
from gateway.listening.peer import leaf_of, lfdi_of
from gateway.listening.refusals import Reason, Refusals, one_line

__all__ = ["Door", "Guest", "Limits", "Opened", "Reason", "Refusals", "guest_of", "leaf_of", "lfdi_of", "one_line"]
