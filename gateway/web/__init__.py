"""What the gateway serves to parties on this machine."""

from gateway.web.server import local_api
from gateway.web.tokens import TokenFault

__all__ = ["TokenFault", "local_api"]
