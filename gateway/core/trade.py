"""Commitments and offers taken into the machine's state, and what was delivered for them accounted (RULES C7 to C9)."""

from collections.abc import Iterable, Iterator

from gateway.core import commitments
from gateway.core.authority import Authority, Refused
from gateway.core.capacity import Capability, Commitment, CommitmentKey, InterfaceRoom
from gateway.core.clearing import Award, DeliveredEnergy, settle
from gateway.core.decide import Decider
from gateway.core.events import CommitmentEnded, CommitmentHeard, Effect, OfferHeard, OfferWithdrawn, Topic
from gateway.core.functions import Function
from gateway.core.known import Known
from gateway.core.meter import Metered
from gateway.core.narrate import tell
from gateway.core.offers import Nameplate, OfferKey
from gateway.core.orders import OrderKey
from gateway.core.parties import Direction
from gateway.core.state import DeviceState, State
from gateway.core.topology import PointKind

NAMELESS = ""


class Trade:
    """Takes commitments and offers into the machine's state; keeps nothing but the site's grants."""

    def __init__(self, state: State, decider: Decider, authority: Authority) -> None:
        """Trade in this state by these grants."""
        self._state = state
        self._decider = decider
        self.authority = authority

    # -- commitments

    def commitment_heard(self, event: CommitmentHeard) -> Iterator[Effect]:
        """Enter a commitment that keeps every promise made before; tell every buyer of the same DER (CPUC rule 9)."""
        state, commitment = self._state, event.commitment
        verdict = self._known(commitment.party) or commitments.admit(
            state.commitments, commitment, self._capabilities(commitment), state.now_ms
        )
        named = OrderKey(commitment.party, commitment.id)
        devices = [part.device for part in commitment.slices]
        values = [part.w for part in commitment.slices]
        if isinstance(verdict, Refused):
            yield tell(
                state.now_ms,
                Topic.REFUSED,
                named,
                verdict.rule,
                "no effect",
                devices,
                values,
                verdict.why,
                "commitment",
            )
            return
        told = commitments.disclosures(state.commitments, commitment, state.now_ms)
        commitments.enter(state.commitments, verdict)
        for at_ms in (commitment.start_ms, commitment.end_ms):
            state.remind(max(at_ms, state.now_ms + 1), "commitment", commitment.party, commitment.id)
        self._touch(devices)
        effect = f"{commitment.direction.value} for {commitment.service} to {commitment.buyer}"
        yield tell(state.now_ms, Topic.COMMITTED, named, "C8", effect, devices, values, "", "commitment")
        for one in told:
            why = f"{one.told.party}/{one.told.id} commits {one.told.service} to {one.told.buyer} on the same DER"
            yield tell(state.now_ms, Topic.DISCLOSED, named, "C8", f"told to {one.buyer}", (one.device,), (), why)

    def commitment_ended(self, event: CommitmentEnded) -> Iterator[Effect]:
        """Take a commitment back; only who made it can, and what was promised of others is as it was."""
        state, key = self._state, CommitmentKey(event.party, event.id)
        named = OrderKey(event.party, event.id)
        held = commitments.withdraw(state.commitments, key)
        if held is None:
            why = f"{event.party} holds no commitment {event.id!r}; name one that is held"
            yield tell(state.now_ms, Topic.REFUSED, named, "C1", "no effect", (), (), why, "commitment")
            return
        devices = [part.device for part in held.slices]
        self._touch(devices)
        yield tell(state.now_ms, Topic.COMMITTED, named, "C8", "withdrawn", devices, (), "", "commitment")

    def commitment_due(self, key: CommitmentKey) -> None:
        """Look again at the DER of a commitment that begins or ends; drop what is over."""
        held = self._state.commitments.held.get(key)
        if held is not None:
            self._touch(part.device for part in held.commitment.slices)
        commitments.drop_ended(self._state.commitments, self._state.now_ms)

    def _touch(self, devices: Iterable[str]) -> None:
        known = self._state.devices
        self._decider.touch(known[name].device.resource for name in devices if name in known)

    def _known(self, party: str) -> Refused | None:
        if party in self.authority.parties:
            return None
        return Refused("A1", f"party {party!r} is not known here; add it to the site file")

    def _capabilities(self, commitment: Commitment) -> dict[str, Capability]:
        state = self._state
        interface = next((point for point in state.site.points if point.kind is PointKind.INTERFACE), None)
        room = None
        if interface is not None:
            room = InterfaceRoom(interface.name, interface.export_limit_w, interface.import_limit_w)
        found: dict[str, Capability] = {}
        for part in commitment.slices:
            device = state.devices.get(part.device)
            if device is None:
                continue
            mine = self._may_offer(commitment.party, device.device.resource)
            owner = commitment.party if mine else NAMELESS
            charge_w = device.charge_max_w if device.device.energy_wh else 0
            found[part.device] = Capability(
                part.device,
                owner,
                device.device.domain,
                device.generation_max_w,
                charge_w,
                device.device.energy_wh or None,
                room,
            )
        return found

    def _may_offer(self, party: str, resource: str) -> bool:
        return resource in self.authority.resources(party, "", Function.ACTIVE_POWER)

    # -- offers

    def offer_heard(self, event: OfferHeard) -> Iterator[Effect]:
        """Take an offer of capacity at the T-D interface, or refuse it."""
        state, offer = self._state, event.offer
        plates = {name: self.nameplate(name, offer.party) for name in offer.resources if name in state.resources}
        refused = self._known(offer.party) or state.offers.admit(offer, plates, state.now_ms)
        named = OrderKey(offer.party, offer.id)
        names, values = offer.resources, (offer.capacity_w,)
        if refused is not None:
            rule, why = refused.rule, refused.why
            yield tell(state.now_ms, Topic.REFUSED, named, rule, "no effect", names, values, why, "offer")
            return
        for at_ms in (offer.start_ms, offer.end_ms):
            state.remind(max(at_ms, state.now_ms + 1), "offer")
        self._decider.touch(state.resources if state.awards else ())
        effect = f"offers {offer.capacity_w} W {offer.direction.value} for {offer.service}"
        yield tell(state.now_ms, Topic.OFFERED, named, "C8", effect, names, values, "", "offer")

    def offer_withdrawn(self, event: OfferWithdrawn) -> Iterator[Effect]:
        """Take an offer back; what was awarded already stands."""
        state, named = self._state, OrderKey(event.party, event.id)
        if state.offers.withdraw(OfferKey(event.party, event.id)):
            yield tell(state.now_ms, Topic.OFFERED, named, "C8", "withdrawn", (), (), "", "offer")
            return
        why = f"{event.party} holds no offer {event.id!r}; name one that stands"
        yield tell(state.now_ms, Topic.REFUSED, named, "C1", "no effect", (), (), why, "offer")

    def offers_due(self) -> None:
        """Drop the offers whose window is over."""
        self._state.offers.retire(self._state.now_ms)

    def nameplate(self, resource: str, party: str) -> Nameplate:
        """Give what a resource can do, as one party may offer it."""
        devices = [self._state.devices[name] for name in self._state.resources[resource].resource.devices]
        parties = (party,) if self._may_offer(party, resource) else ()
        return Nameplate(
            parties,
            sum(device.device.rated_w for device in devices),
            sum(device.charge_max_w for device in devices if device.device.energy_wh),
            stored_most_wh(devices),
        )

    # -- accounts

    def account(self, delivered: Iterable[Metered], since_ms: int) -> Iterator[Effect]:
        """Account what was delivered since an instant for the dispatches of that time, by service and party (C9)."""
        state = self._state
        awards = [award for own in state.awards.values() for award in _within(own, since_ms, state.now_ms)]
        awards += [award for own in state.past_awards for award in _within((own,), since_ms, state.now_ms)]
        state.past_awards.clear()
        if not awards:
            return
        services = {name: award.service for award in awards for name in award.resources}
        rows: dict[tuple[str, Direction], int] = {}
        for one in delivered:
            for device, wh in one.wh.items():
                resource = state.devices[device].device.resource
                if one.service and resource in services:
                    rows[resource, one.direction] = rows.get((resource, one.direction), 0) + wh
        energy = [DeliveredEnergy(name, services[name], direction, wh) for (name, direction), wh in rows.items()]
        for row in settle(awards, energy).accounts:
            effect = f"delivered {row.delivered_wh} Wh of {row.awarded_wh} Wh awarded in {row.direction.value}"
            why = f"deviation {row.deviation_wh} Wh, paid {row.amount_milli} thousandths"
            values = (row.delivered_wh,)
            yield tell(state.now_ms, Topic.ACCOUNTED, None, "C9", effect, (row.party,), values, why, row.service)


def stored_most_wh(devices: Iterable[DeviceState]) -> int | None:
    """Give what devices can give until they are empty (Wh), None where they store nothing."""
    stores = [device for device in devices if device.device.energy_wh]
    if not stores:
        return None
    return sum(each.stored.value if isinstance(each.stored, Known) else each.device.energy_wh for each in stores)


def _within(awards: Iterable[Award], since_ms: int, until_ms: int) -> Iterator[Award]:
    """Cut awards to a period."""
    for award in awards:
        start_ms, end_ms = max(award.start_ms, since_ms), min(award.end_ms, until_ms)
        if start_ms < end_ms:
            yield award._replace(start_ms=start_ms, end_ms=end_ms)
