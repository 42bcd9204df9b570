"""Writes the tables of docs/local-api.md out of the bodies that the local API reads; `--check` only compares."""

import sys
from collections.abc import Iterator
from pathlib import Path

from gateway.web.contents import BODIES, REQUESTS, fields

PAGE = Path(__file__).parents[2] / "docs" / "local-api.md"
COMMAND = "python tests/docs/local_api_page.py"
HEAD = "## Requests\n"


def tables() -> Iterator[str]:
    """Yield the lines from the heading of the requests to the end of the page."""
    yield f"{HEAD}\nWritten by `{COMMAND}` from what the gateway reads.\n"
    yield "| request | does | body |\n|---|---|---|"
    for one in REQUESTS:
        yield f"| `{one.method} {one.path}` | {one.does} | {one.body and f'[{one.body}](#{one.body})'} |"
    for name in BODIES:
        yield f"\n### {name}\n"
        yield "| field | is | unit | required |\n|---|---|---|---|"
        for each in fields(name):
            yield f"| `{each.field}` | {each.kind} | {each.unit} | {each.required} |"


def page() -> str:
    """Give the page as it would be written: what stands above the requests is as it is."""
    above = PAGE.read_text(encoding="utf-8").partition(HEAD)[0].rstrip()
    return "\n".join([f"{above}\n", *tables()]) + "\n"


def main(arguments: list[str]) -> int:
    """Write the page, or tell whether it is as it would be written."""
    written = page()
    if "--check" not in arguments:
        PAGE.write_text(written, encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == written:
        return 0
    sys.stderr.write(f"docs/local-api.md is not what the gateway reads; write it again: {COMMAND}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
