"""The page on the site file is right: its example has no fault, and it names every key that there is."""

import re
from dataclasses import fields
from pathlib import Path

from gateway.config import check, site
from gateway.config.tables import NOT_A_KEY
from gateway.runtime import wiring
from gateway.runtime.domain import core_site

PAGE = (Path(__file__).parents[2] / "docs" / "site-file.md").read_text(encoding="utf-8")


def test_the_example_has_no_fault() -> None:
    [example] = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    checked = check(example, "site.toml", wiring.TABLES)
    assert checked.faults == ()
    assert checked.site is not None
    made = core_site(checked.site)
    assert [point.name for point in made.points] == ["t1", "s1", "street"]


def test_every_key_is_named() -> None:
    for spec in (*site.TABLES.values(), *wiring.TABLES.values()):
        for field in fields(spec.kind):
            if NOT_A_KEY not in field.metadata:
                assert re.search(rf"\b{field.name}\b", PAGE), field.name
