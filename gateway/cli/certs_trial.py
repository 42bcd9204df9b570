"""`gateway certs issue | csr | import | deny | allow`: an identity from its request to its rotation and its end.

Source of the profile: IEEE 2030.5-2018, 6.3 and 6.11.
"""

import argparse
import datetime as dt
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding

from gateway.pki import PkiFault, files, identity, issue, requests
from gateway.pki.denied import FILE, DenyList
from gateway.pki.hardware_module import HardwareModule

if TYPE_CHECKING:
    Actions = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names its type in private

DONE: Final = 0
TAKEN_UP: Final = "a running gateway takes it up within 5 s"


def register(actions: "Actions") -> None:
    """Add the actions to `gateway certs`."""
    _register_issue(actions)
    _register_csr(actions)
    _register_import(actions)
    for word, action, about in (
        ("deny", _deny, "deny a device or an authority, cutting its open connections; alone, list who is denied"),
        ("allow", _allow, "let one in again that was denied"),
    ):
        parser = actions.add_parser(word, help=about, description=about)
        optional = "?" if word == "deny" else None
        parser.add_argument("who", nargs=optional, metavar="LFDI|FILE", help="its LFDI, or its certificate file")
        state = "the state folder of the gateway that is to know; default ./state"
        parser.add_argument("--state", type=Path, default=Path("state"), metavar="DIR", help=state)
        if word == "deny":
            parser.add_argument("--why", default="", metavar="TEXT", help="a note, kept in the list and logged")
        _finish(parser, action)


def _register_issue(actions: "Actions") -> None:
    about = "issue a certificate below the authority of a folder, for a request or with a key made here"
    parser = actions.add_parser("issue", help=about, description=about)
    parser.add_argument("directory", type=Path, metavar="DIR", help="the folder of gateway certs init")
    parser.add_argument("name", metavar="NAME", help="what it is called there: DIR/NAME.pem")
    parser.add_argument("--csr", type=Path, metavar="FILE", help="the request; its key stays where it was made")
    parser.add_argument("--days", type=int, metavar="N", help="how long it lasts; without, it never ends")
    chain = "certificates from the root to the device; default 4 (SERCA, MCA, MICA, device)"
    parser.add_argument("--chain", type=int, choices=issue.CHAINS, default=4, help=chain)
    parser.add_argument("--replace", action="store_true", help="issue it anew; it gets a new LFDI")
    _finish(parser, _issue)


def _register_csr(actions: "Actions") -> None:
    about = "make a key and ask for its certificate: NAME.csr goes to the authority, NAME.new.key stays here"
    parser = actions.add_parser("csr", help=about, description=about)
    parser.add_argument("name", type=Path, metavar="NAME", help="the identity, as pki/gateway for pki/gateway.pem")
    parser.add_argument("--serial", metavar="TEXT", help="serial number of this device; default NAME")
    kind = f"type of this device below its vendor's enterprise number; default {issue.HW_TYPE}, for examples"
    parser.add_argument("--hw-type", default=issue.HW_TYPE, metavar="OID", help=kind)
    _finish(parser, _csr)


def _register_import(actions: "Actions") -> None:
    about = "put the certificate that came for a request in its place; a running gateway takes it up"
    parser = actions.add_parser("import", help=about, description=about)
    parser.add_argument("name", type=Path, metavar="NAME", help="the identity that the request was made for")
    parser.add_argument("chain", type=Path, metavar="CHAIN", help="what came: the certificate and those above it")
    trust = "root, MCA and MICA to judge it by; what the chain lacks is taken from them"
    parser.add_argument("--trust", action="append", default=[], type=Path, metavar="FILE", help=trust)
    anyway = "take it even though it breaks the profile, where the other side is known to accept it"
    parser.add_argument("--despite-faults", action="store_true", help=anyway)
    _finish(parser, _import)


def _finish(parser: argparse.ArgumentParser, action: object) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(certs_action=action)


def _issue(args: argparse.Namespace) -> int:
    terms = {"days": args.days, "chain": args.chain, "replace": args.replace}
    made: issue.Issued | issue.Answered
    if args.csr is None:
        made = issue.issue(args.directory, args.name, **terms)
    else:
        made = issue.answer(args.directory, args.name, args.csr, **terms)
    ends = files.read_certificates(made.certificate)[0].not_valid_after_utc
    if isinstance(made, issue.Issued) and made.kept:
        kept = "was there already and is kept as it is; --replace makes a new one, with a new LFDI"
        print(f"gateway certs: {made.certificate}: {kept}", file=sys.stderr)
    _print(
        args,
        {
            "certificate": str(made.certificate),
            "lfdi": made.lfdi,
            "sfdi": identity.sfdi_text(made.sfdi),
            "ends": f"{ends:%Y-%m-%dT%H:%M:%SZ}",
        },
        "register it by its LFDI where it is to be known, then bring it in with gateway certs import"
        if args.csr
        else "register it by its LFDI where it is to be known",
    )
    return DONE


def _csr(args: argparse.Namespace) -> int:
    serial = args.serial or args.name.name
    try:
        module = HardwareModule(args.hw_type, serial.encode())
        request = requests.make(args.name, module)
    except ValueError as fault:
        raise PkiFault(f"--hw-type {args.hw_type}: {fault}; give one as 1.3.6.1.4.1.32473.1") from fault
    then = f"send it to the authority, then: gateway certs import {args.name} CHAIN.pem --trust ROOT.pem"
    _print(args, {"request": str(request), "serial": serial}, then)
    return DONE


def _import(args: argparse.Namespace) -> int:
    trust = files.read_trust(args.trust) if args.trust else []
    came = requests.bring_in(args.name, args.chain, trust, despite_faults=args.despite_faults)
    for fault in came.faults:
        print(f"gateway certs: taken despite a fault: {fault}", file=sys.stderr)
    shown = {"certificate": str(came.certificate), "lfdi": came.lfdi, "former_lfdi": came.former_lfdi or "none"}
    if not trust:
        shown["chain"] = "not judged; give --trust FILE"
    _print(args, shown, _after_import(came))
    return DONE


def _after_import(came: requests.Imported) -> str:
    """Say what is to be done once a certificate is in its place."""
    if came.former_lfdi is None:
        return "have it registered by its LFDI"
    if came.former_lfdi == came.lfdi:
        return "it is the certificate that was in its place before: its LFDI is the same, and nobody has to be told"
    return f"{TAKEN_UP}; whoever knows the former LFDI has to be told the new one"


def _deny(args: argparse.Namespace) -> int:
    path = args.state / FILE
    if args.who is None:
        _list(args, DenyList.read(path))
        return DONE
    lfdi = _lfdi_of(args.who)
    note = f"{dt.datetime.now(dt.UTC):%Y-%m-%d} {args.why}".strip()
    _change(path, lambda denied: denied.with_one(lfdi, note))
    _print(args, {"denied": lfdi, "list": str(path)}, f"{TAKEN_UP} and cuts its open connections")
    return DONE


def _allow(args: argparse.Namespace) -> int:
    path, lfdi = args.state / FILE, _lfdi_of(args.who)
    if lfdi not in DenyList.read(path).notes:
        raise PkiFault(f"{lfdi} is not denied in {path}; gateway certs deny --state {args.state} lists who is")
    _change(path, lambda denied: denied.without(lfdi))
    _print(args, {"allowed": lfdi, "list": str(path)}, TAKEN_UP)
    return DONE


def _change(path: Path, change: Callable[[DenyList], DenyList]) -> None:
    """Change the list with no other run beside."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.alone(path.parent):
            change(DenyList.read(path)).write(path)
    except OSError as fault:
        raise PkiFault(f"{path.parent}: cannot be written ({fault.strerror}); give the state folder") from fault


def _lfdi_of(who: str) -> str:
    """Read an LFDI, or take that of the first certificate of a file."""
    try:
        return identity.parse_lfdi(who)
    except ValueError as fault:
        if Path(who).exists():
            return identity.lfdi(files.read_certificates(Path(who))[0].public_bytes(Encoding.DER))
        raise PkiFault(f"{who}: is no LFDI (40 hex digits) and no certificate file; give either") from fault


def _list(args: argparse.Namespace, denied: DenyList) -> None:
    if args.json:
        print(json.dumps({"denied": dict(denied.notes)}, indent=2))
        return
    for lfdi, note in denied.notes.items():
        print(f"{lfdi}  {note}".rstrip())
    if not denied.notes:
        print("nobody is denied")


def _print(args: argparse.Namespace, shown: dict[str, str], then: str) -> None:
    if args.json:
        print(json.dumps(shown, indent=2))
        return
    width = max(map(len, shown))
    for label, value in shown.items():
        print(f"{label:{width}}  {value}")
    print(then)
