"""What the site file gives arbitration at each resource, shared between the resources that are alike."""

from gateway.core.arbitrate import Ground
from gateway.core.authority import Authority
from gateway.core.orders import LIMITS, Function
from gateway.core.topology import Resource, Site


def authority(site: Site) -> Authority:
    """Unfold the site's grants: which control functions each party has at which resources."""
    members = {group.name: group.resources for group in site.groups}
    granted: dict[tuple[str, Function], frozenset[str]] = {}
    for grant in site.grants:
        for function in grant.functions:
            key = (grant.party, function)
            granted[key] = granted.get(key, frozenset()).union(members[grant.group])
    return Authority({party.name: party for party in site.parties}, granted)


class Grounds:
    """The grounds of a site's resources; resources that are alike get one and the same."""

    def __init__(self, site: Site) -> None:
        """Unfold the levels of every party's slots at every resource."""
        self._limit_parent = next((party.name for party in site.parties if party.limit_parent), "")
        self._party_rank = {party.name: party.rank for party in site.parties}
        members = {group.name: group.resources for group in site.groups}
        levels: dict[str, dict[tuple[str, Function], int]] = {resource.name: {} for resource in site.resources}
        for grant in site.grants:
            for resource in members[grant.group]:
                at = levels[resource]
                for function in grant.functions:
                    if function in LIMITS and grant.party != self._limit_parent:
                        continue
                    key = (grant.party, function)
                    at[key] = min(at.get(key, grant.level), grant.level)
        self._levels = levels
        self._made: dict[tuple[object, ...], Ground] = {}

    def of(self, resource: Resource, generation_max_w: int, charge_max_w: int) -> Ground:
        """Give a resource's ground for what its devices can do now (W)."""
        levels = self._levels[resource.name]
        key = (
            resource.export_limit_w,
            resource.last_resort_export_limit_w,
            generation_max_w,
            charge_max_w,
            tuple(levels.items()),
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
                levels,
            )
        return made
