"""What the site file gives arbitration at each resource, shared between the resources that are alike."""

from typing import NamedTuple

from gateway.core.arbitrate import Ground
from gateway.core.authority import Authority
from gateway.core.functions import LIMITS, Function
from gateway.core.parties import Grant, Level, Tier
from gateway.core.topology import Resource, Site


def authority(site: Site) -> Authority:
    """Unfold the site's grants: which control functions each party has at which resources."""
    members = {group.name: group.resources for group in site.groups}
    granted: dict[tuple[str, Function], frozenset[str]] = {}
    granted_for: dict[tuple[str, str, Function], frozenset[str]] = {}
    strongest: dict[tuple[str, Function], int] = {}
    for grant in site.grants:
        for function in grant.functions:
            key = (grant.party, function)
            granted[key] = granted.get(key, frozenset()).union(members[grant.group])
            named = (grant.party, grant.service, function)
            granted_for[named] = granted_for.get(named, frozenset()).union(members[grant.group])
            strongest[key] = min(strongest.get(key, grant.level), grant.level)
    return Authority({party.name: party for party in site.parties}, granted, strongest, granted_for)


class _Standing(NamedTuple):
    """Where parties stand at one resource: by function, by service and function, and the service of each level."""

    levels: dict[tuple[str, Function], int]
    by_service: dict[tuple[str, str, Function], int]
    services: dict[tuple[str, int, Function], str]

    def take(self, grant: Grant, function: Function) -> None:
        """Note what one grant gives in one function."""
        key = (grant.party, function)
        self.levels[key] = min(self.levels.get(key, grant.level), grant.level)
        named = (grant.party, grant.service, function)
        self.by_service[named] = min(self.by_service.get(named, grant.level), grant.level)
        self.services.setdefault((grant.party, int(grant.level), function), grant.service)


class Grounds:
    """The grounds of a site's resources; resources that are alike get one and the same."""

    def __init__(self, site: Site) -> None:
        """Unfold the levels of every party's slots at every resource."""
        parents = [party.name for party in site.parties if party.limit_parent]
        self._limit_parent = next(
            (party.name for party in site.parties if party.limit_parent and not party.wire_of), ""
        )
        ranked = sorted(site.parties, key=lambda party: (party.standing, party.rank))
        self._party_rank = {party.name: place for place, party in enumerate(ranked)}
        self._party_standing = {party.name: party.standing for party in site.parties if party.standing}
        members = {group.name: group.resources for group in site.groups}
        tiers = {party.name: party.tier for party in site.parties}
        self._standing: dict[str, _Standing] = {resource.name: _Standing({}, {}, {}) for resource in site.resources}
        for grant in site.grants:
            bound = grant.party not in parents and grant.level > Level.EMERGENCY
            for resource in members[grant.group]:
                at = self._standing[resource]
                for function in grant.functions:
                    if bound and function in LIMITS and tiers[grant.party] is not Tier.CUSTOMER:
                        continue
                    at.take(grant, function)
        alike: dict[tuple[object, ...], _Standing] = {}
        for name, one in self._standing.items():
            self._standing[name] = alike.setdefault(tuple(one.by_service.items()), one)
        self._precedence = site.precedence
        self._made: dict[tuple[object, ...], Ground] = {}

    def of(self, resource: Resource, generation_max_w: int, charge_max_w: int) -> Ground:
        """Give a resource's ground for what its devices can do now (W)."""
        standing = self._standing[resource.name]
        key = (
            resource.export_limit_w,
            resource.last_resort_export_limit_w,
            generation_max_w,
            charge_max_w,
            resource.price_response,
            id(standing),
        )
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = Ground(
                self._limit_parent,
                resource.export_limit_w,
                resource.last_resort_export_limit_w,
                generation_max_w,
                charge_max_w,
                self._party_rank,
                standing.levels,
                service_levels=standing.by_service,
                services=standing.services,
                precedence=self._precedence,
                price_response=resource.price_response,
                party_standing=self._party_standing,
            )
        return made
