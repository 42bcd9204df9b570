"""`gateway certs`: make the certificates of an authority, and show whom one names and what is wrong with it.

Source of the profile: IEEE 2030.5-2018, 6.3 and 6.11.
"""

import argparse
import datetime as dt
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.cli import certs_trial
from gateway.pki import PkiFault, files, identity, issue, live, profile

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse names its type in private

DONE, FAULT_FOUND, WRONG_USE = 0, 1, 2
JUDGED = "judged"
PIN_DIGITS = 6
LONG_DAYS = 36_500


def register(subparsers: "Commands") -> None:
    """Add `certs` and its actions to the command line."""
    about = "make, inspect, rotate and deny IEEE 2030.5 certificates; docs/certificates.md goes from CSR to rotation"
    certs = subparsers.add_parser("certs", help="make, inspect, rotate and deny certificates", description=about)
    certs.set_defaults(run=run)
    actions = certs.add_subparsers(dest="action", required=True, metavar="ACTION")
    init = actions.add_parser("init", help="make an authority and certificates, where they are missing")
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
    show.add_argument("--pin", metavar="DIGITS", help="five digits give a registration PIN, six are checked as one")
    check = actions.add_parser("check", help="judge a chain, certificate by certificate, up to a root")
    check.add_argument("file", type=Path, metavar="CHAIN", help="the certificate and those above it")
    for parser in (show, check):
        parser.add_argument(
            "--trust",
            action="append",
            default=[],
            type=Path,
            metavar="FILE",
            help="root, MCA and MICA to judge the chain by",
        )
        parser.add_argument("--test-policies", action="store_true", help="admit the policies of test certificates")
    for parser, action in ((init, _init), (show, _show), (check, _check)):
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.set_defaults(certs_action=action)
    certs_trial.register(actions)


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
    shown["faults"] += _key_faults(args.file, chain[0])
    if args.pin is not None:
        shown["pin"] = _pin(args.pin)
    if args.json:
        _print_json(shown)
    else:
        for label in ("kind", "LFDI", "SFDI", "PIN", "expires"):
            if label.lower() in shown:
                left = f" ({_left(shown['days_left'])})" if label == "expires" else ""
                print(f"{label:8} {shown[label.lower()]}{left}")
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
        "days_left": (leaf.not_valid_after_utc - dt.datetime.now(dt.UTC)).days,
        "chain": JUDGED if judged else "not judged" if authority else "not judged; give --trust FILE",
        "faults": faults,
    }


def _left(days: int) -> str:
    if days < 0:
        return "ended; put a new one in its place"
    if days > LONG_DAYS:
        return "as good as never"
    return f"in {days} days" + ("; put a new one in its place before" if days <= live.WARN_DAYS else "")


def _key_faults(file: Path, leaf: x509.Certificate) -> list[str]:
    """Give what is wrong with the key that stands beside a certificate file, if one does."""
    key = file.with_suffix(".key")
    if not key.exists() or key == file:
        return []
    try:
        files.require_pair([leaf], file, files.read_key(key), key)
        files.require_private(key)
    except PkiFault as fault:
        return [str(fault)]
    return []


def _pin(digits: str) -> str:
    """Give a registration PIN with its check digit; raises PkiFault where it is none."""
    try:
        if len(digits) != PIN_DIGITS:
            return f"{identity.pin_with_check(digits):06d}"
        if identity.pin_with_check(digits[:-1]) == int(digits):
            return digits
    except ValueError as fault:
        raise PkiFault(f"--pin: {fault}") from fault
    raise PkiFault(
        f"--pin {digits}: its check digit is wrong; {identity.pin_with_check(digits[:-1]):06d} would be right"
    )


def _check(args: argparse.Namespace) -> int:
    """Judge every certificate of a chain; without --trust by the root in the file itself, which proves nothing."""
    chain = files.read_certificates(args.file)
    roots = [one for one in chain if one.subject == one.issuer]
    trust = files.read_trust(args.trust) if args.trust else roots
    if not trust:
        raise PkiFault(f"{args.file}: holds no root to judge by; give --trust FILE with root, MCA and MICA")
    leaf = chain[0]
    above = profile.authorities(leaf, [*trust, *chain[1:]])
    faults = profile.check_peer(
        [one.public_bytes(Encoding.DER) for one in chain], trust, test_policies=args.test_policies
    )
    shown_above = [one for one in chain[1:] if one.subject != one.issuer]
    if shown_above != [one for one in above if one in shown_above]:
        faults.append(f"{args.file}: is not in the order device, MICA, MCA; peers may refuse it")
    rows = [_row(one, depth) for depth, one in enumerate((leaf, *above))]
    if args.json:
        by = "trust files" if args.trust else "root in the file"
        _print_json({"length": len(rows), "judged_by": by, "certificates": rows, "faults": faults})
        return FAULT_FOUND if faults else DONE
    for row in rows:
        print(f"{row['kind']:9} {row['lfdi']}  ends {row['expires'][:10]}  {row['name']}".rstrip())
    for fault in faults:
        print(f"fault     {fault}")
    by = "the trust files" if args.trust else "the root in the file itself; give --trust to prove more"
    print(f"a chain of {len(rows)}, judged by {by}: {f'{len(faults)} faults' if faults else 'good'}")
    return FAULT_FOUND if faults else DONE


def _row(certificate: x509.Certificate, depth: int) -> dict[str, str]:
    root = certificate.subject == certificate.issuer
    return {
        "kind": "root" if root else "authority" if depth else "device",
        "lfdi": identity.lfdi(certificate.public_bytes(Encoding.DER)),
        "expires": f"{certificate.not_valid_after_utc:%Y-%m-%dT%H:%M:%SZ}",
        "name": ascii(certificate.subject.rfc4514_string()[:80])[1:-1],
    }


def _print_json(content: dict[str, Any]) -> None:
    print(json.dumps(content, indent=2))
