"""What a client asks to be told of, and what it is told (IEEE 2030.5-2018, Subscription/Notification) as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.wire.sep2.faults import Faulty
from gateway.wire.sep2.resources import ListPage

XML: Final = 0
"""The encoding of notifications that is application/sep+xml."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Bounds of a reading that a notification is wanted beyond."""

    attribute_identifier: int
    lower_threshold: int
    upper_threshold: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One wish to be told at `notification_uri`; `limit` items of a list are to come with it at most."""

    href: str | None = None
    subscribed_resource: str
    condition: Condition | None = None
    encoding: int
    level: str
    limit: int
    notification_uri: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionList(ListPage):
    """One page of subscriptions."""

    poll_rate_s: int | None = None
    items: tuple[Subscription | Faulty, ...] = ()


@dataclass(frozen=True, slots=True)
class Untyped:
    """A resource of which nothing is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """Word that a resource changed (status 0), or that its subscription ended (1 to 4).

    `resource` is what it is now: `Untyped` where nothing says what it is or it is nothing that is read here, `Faulty`
    where it cannot be read.
    """

    href: str | None = None
    subscribed_resource: str
    created_date_time_s: int | None = None
    new_resource_uri: str | None = None
    resource: object | None = None
    status: int
    subscription_uri: str
