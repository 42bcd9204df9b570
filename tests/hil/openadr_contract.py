"""The OpenADR 3.1 schema as a judge of answers, and a client that shows it every answer of a VTN."""

import datetime as dt
import json
from pathlib import Path
from typing import Any, NamedTuple, Self

import aiohttp
import jsonschema
import yaml

from hil.openadr_vtn import Vtn

SCHEMA = Path(__file__).parents[3] / "shared" / "reference" / "openadr3" / "3.1.0" / "openadr3.yaml"
PROBLEM = "application/problem+json"
SENTINELS = ("0001-01-01", "0001-01-01T00:00:00")

FORMATS = jsonschema.FormatChecker(())


def is_date_time(text: object) -> bool:
    return not isinstance(text, str) or dt.datetime.fromisoformat(text).tzinfo is not None


def is_uri(text: object) -> bool:
    return not isinstance(text, str) or "://" in text


FORMATS.checks("date-time", raises=ValueError)(is_date_time)
FORMATS.checks("uri")(is_uri)


class Contract:
    """Judges answers by the operations and schemas of the OpenAPI file, whose own defects it mends one by one."""

    def __init__(self) -> None:
        whole = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
        mend(whole)
        self._whole = without_nullable(whole)

    def check(self, method: str, path: str, status: int, media_type: str, body: object) -> None:
        """Raise when the operation may not answer so."""
        operation = self._operation(path)[method.lower()]
        answers = operation["responses"]
        assert str(status) in answers, f"{method} {path} may not answer {status}"
        answer = answers[str(status)]
        if "$ref" in answer:
            answer = self._whole["components"]["responses"][answer["$ref"].rpartition("/")[2]]
        expected = "application/json" if status >= 400 and media_type == PROBLEM else media_type
        schema = answer["content"][expected]["schema"] | {"components": self._whole["components"]}
        jsonschema.Draft4Validator(schema, format_checker=FORMATS).validate(body)

    def _operation(self, path: str) -> dict[str, Any]:
        parts = path.strip("/").split("/")
        for template, operation in self._whole["paths"].items():
            names = template.strip("/").split("/")
            if len(names) == len(parts) and all(
                name.startswith("{") or name == part for name, part in zip(names, parts, strict=True)
            ):
                found: dict[str, Any] = operation
                return found
        raise AssertionError(f"{path} is no path of the schema")


def mend(whole: dict[str, Any]) -> None:
    """Defects of the file: each is asserted, so that an edition that has mended it is noticed."""
    schemas, paths = whole["components"]["schemas"], whole["paths"]

    # a default that is the text "null          -"
    assert schemas["BlVenRequest"]["properties"]["targets"]["default"] == "null          -"
    schemas["BlVenRequest"]["properties"]["targets"]["default"] = None

    # ven and resource join objectMetadata with the request of business logic: two objectTypes exclude each other
    for name, request in (("ven", "BlVenRequest"), ("resource", "BlResourceRequest")):
        assert {"$ref": f"#/components/schemas/{request}"} in schemas[name]["allOf"]
        answered = json.loads(json.dumps(schemas[request]))
        assert answered["properties"].pop("objectType")["enum"] != schemas["objectTypes"]["enum"]
        answered["required"].remove("objectType")
        schemas[name]["allOf"][1] = answered

    # any objectType will do for any object, and the example is PROGRAM for all
    for name in ("program", "event", "report", "ven", "resource"):
        assert "objectType" not in json.dumps(schemas[name])
        schemas[name]["allOf"].append({"properties": {"objectType": {"enum": [name.upper()]}}})

    # the prose's "0001-01-01" is no date-time
    period = schemas["intervalPeriod"]["properties"]
    assert period["start"] == {"$ref": "#/components/schemas/dateTime"}
    period["start"] = {"anyOf": [period["start"], {"type": "string", "enum": list(SENTINELS)}]}

    # durations may be negative
    assert schemas["duration"]["pattern"].startswith("^(-?)P")
    schemas["duration"]["pattern"] = schemas["duration"]["pattern"].replace("^(-?)P", "^P")

    # venName is unique (Definition, Object names), yet POST /vens has no conflict
    assert "409" not in paths["/vens"]["post"]["responses"]
    paths["/vens"]["post"]["responses"]["409"] = {"$ref": "#/components/responses/conflict"}

    # PUT /programs/{programID} alone has no 401
    assert "401" not in paths["/programs/{programID}"]["put"]["responses"]
    paths["/programs/{programID}"]["put"]["responses"]["401"] = {"$ref": "#/components/responses/unauthorized"}


def without_nullable(node: Any) -> Any:
    """OpenAPI 3.0's `nullable` as JSON Schema says it; `exclusiveMaximum: true` is draft 4 as it stands."""
    if isinstance(node, list):
        return [without_nullable(each) for each in node]
    if not isinstance(node, dict):
        return node
    plain = {key: without_nullable(value) for key, value in node.items() if key != "nullable"}
    if node.get("nullable") is True and isinstance(plain.get("type"), str):
        plain["type"] = [plain["type"], "null"]
    return plain


CONTRACT = Contract() if SCHEMA.exists() else None


class Answer(NamedTuple):
    status: int
    body: Any
    headers: dict[str, str]


class VtnClient:
    """Asks a VTN and holds every answer against the schema, where there is one."""

    def __init__(self, vtn: Vtn) -> None:
        self.vtn = vtn
        self.token: str | None = None

    async def __aenter__(self) -> Self:
        self.session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.session.close()

    async def login(self, client_id: str, secret: str) -> None:
        url = (await self.ask("GET", "/auth/server")).body["tokenURL"]
        form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
        given = await self.ask("POST", url.removeprefix(self.vtn.url), form=form)
        assert given.status == 200
        self.token = given.body["access_token"]

    async def ask(self, method: str, path: str, body: object = None, *, form: dict[str, str] | None = None) -> Answer:
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        content: dict[str, Any] = {"json": body} if body is not None else {"data": form} if form is not None else {}
        async with self.session.request(method, self.vtn.url + path, headers=headers, **content) as reply:
            answered = await reply.json(content_type=None)
            if CONTRACT is not None:
                CONTRACT.check(method, path.partition("?")[0], reply.status, reply.content_type, answered)
            return Answer(reply.status, answered, dict(reply.headers))

    async def get(self, path: str) -> Any:
        answer = await self.ask("GET", path)
        assert answer.status == 200, answer
        return answer.body
