"""`gateway certs`: make the certificates of a test authority, and show whom one names and what is wrong with it.

Source of the profile: IEEE 2030.5-2018, 6.3 and 6.11.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.pki import PkiFault, files, identity, issue, profile

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names its type in private

DONE, FAULT_FOUND, WRONG_USE = 0, 1, 2
JUDGED = "judged"


def register(subparsers: "Commands") -> None:
    """Add `certs init` and `certs show` to the command line."""
    certs = subparsers.add_parser("certs", help="make and inspect IEEE 2030.5 certificates")
    actions = certs.add_subparsers(dest="action", required=True, metavar="init|show")
    init = actions.add_parser("init", help="make a test authority and certificates, where they are missing")
    init.add_argument("directory", type=Path, metavar="DIR")
    for kind in ("device", "server"):
        init.add_argument(
            f"--{kind}",
            dest="names",
            action="append",
            default=[],
            metavar="NAME",
            help=f"issue NAME.pem and NAME.key for a {kind} (again and again for more)",
        )
    init.add_argument("--replace", action="store_true", help="issue the named ones anew; each gets a new LFDI")
    show = actions.add_parser("show", help="LFDI, SFDI, expiry and faults of a certificate")
    show.add_argument("file", type=Path, metavar="FILE")
    show.add_argument(
        "--trust",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="root, MCA and MICA to judge the chain by",
    )
    show.add_argument("--test-policies", action="store_true", help="admit the policies of test certificates")
    for parser, action in ((init, _init), (show, _show)):
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.set_defaults(run=run, certs_action=action)


def run(args: argparse.Namespace) -> int:
    """Do what was asked for; give 0, 1 when a shown certificate has faults, 2 when the input cannot be used."""
    try:
        code: int = args.certs_action(args)
    except PkiFault as fault:
        print(f"gateway certs: {fault}", file=sys.stderr)
        return WRONG_USE
    return code


def _init(args: argparse.Namespace) -> int:
    issued = issue.init(args.directory, args.names, replace=args.replace)
    trust = [args.directory / file for file in (issue.SERCA, issue.MCA, issue.MICA)]
    if args.json:
        rows = [
            {
                "name": one.name,
                "lfdi": one.lfdi,
                "sfdi": one.sfdi,
                "certificate": str(one.certificate),
                "key": str(one.key),
            }
            for one in issued.values()
        ]
        _print_json({"trust": list(map(str, trust)), "issued": rows})
        return DONE
    print(f"trust: {' '.join(map(str, trust))}")
    if issued:
        width = max(len("name"), *map(len, issued))
        print(f"{'name':{width}}  {'LFDI':{identity.LFDI_DIGITS}}  SFDI")
        for one in issued.values():
            print(f"{one.name:{width}}  {one.lfdi}  {identity.sfdi_text(one.sfdi)}")
    return DONE


def _show(args: argparse.Namespace) -> int:
    chain = files.read_certificates(args.file)
    trust = files.read_trust(args.trust) if args.trust else []
    shown = _shown(chain, trust, args.test_policies)
    if args.json:
        _print_json(shown)
    else:
        for label in ("kind", "LFDI", "SFDI", "expires"):
            print(f"{label:8} {shown[label.lower()]}")
        print(f"chain    {_chain_in_words(shown)}")
        for fault in shown["faults"]:
            print(f"fault    {fault}")
    return FAULT_FOUND if shown["faults"] else DONE


def _chain_in_words(shown: dict[str, Any]) -> str:
    """Say what was looked at: `judged` alone does not tell whether it is good."""
    if shown["chain"] != JUDGED:
        alone = "this certificate alone was looked at: its form, dates and policies, and not who signed it"
        return f"{shown['chain']} ({alone})"
    good = "it leads" if not shown["faults"] else "with the faults below; it has to lead"
    return f"{JUDGED}: {good} by good signatures, dates and policies up to a root in the files of --trust"


def _shown(chain: list[x509.Certificate], trust: list[x509.Certificate], test_policies: bool) -> dict[str, Any]:
    leaf = chain[0]
    authority = profile.is_authority(leaf)
    lfdi = identity.lfdi(leaf.public_bytes(Encoding.DER))
    judged = bool(trust) and not authority
    if authority:
        faults = profile.check_authority(leaf)
    elif judged:
        ders = [certificate.public_bytes(Encoding.DER) for certificate in chain]
        faults = profile.check_peer(ders, trust, test_policies=test_policies)
    else:
        faults = profile.check_leaf(leaf, test_policies=test_policies)
    return {
        "kind": "authority" if authority else "device or server",
        "lfdi": lfdi,
        "sfdi": identity.sfdi_text(identity.sfdi(lfdi)),
        "expires": f"{leaf.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "chain": JUDGED if judged else "not judged" if authority else "not judged; give --trust FILE",
        "faults": faults,
    }


def _print_json(content: dict[str, Any]) -> None:
    print(json.dumps(content, indent=2))
