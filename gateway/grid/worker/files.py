"""What names a model: SHA-256 over its text, every file that it takes in, and where the DER are on it."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from gateway.grid.talk import Place

_TEXT = re.compile(
    r"""^\s*(?:redirect|compile)\s+(?:file\s*=\s*)?(?:"([^"]+)"|'([^']+)'|\(([^)]+)\)|([^\s!]+))""", re.IGNORECASE
)
_VALUES = re.compile(r"""\b(?:\w*file)\s*=\s*(?:"([^"]+)"|'([^']+)'|([^\s"'(){}\[\],!|]+))""", re.IGNORECASE)


def model_hash(model: Path, places: Mapping[str, tuple[Place, ...]]) -> str:
    """Give the hash (hexadecimal); raises OSError where a text that the model takes in cannot be read.

    A file of values that is named but does not exist is left to the engine, which may never open it.
    """
    digest = hashlib.sha256()
    for part in _parts(model, []):
        digest.update(hashlib.sha256(part.read_bytes()).digest())
    digest.update(json.dumps({name: list(map(list, places[name])) for name in sorted(places)}).encode())
    return digest.hexdigest()


def _parts(text: Path, seen: list[Path]) -> Iterator[Path]:
    """Give a text and all that it takes in, each once, in the order in which they are named."""
    text = text.resolve()
    if text in seen:
        return
    seen.append(text)
    yield text
    for line in text.read_text(encoding="utf-8", errors="replace").splitlines():
        taken_in = _TEXT.match(line)
        if taken_in:
            yield from _parts(_beside(text, taken_in), seen)
        for named in _VALUES.finditer(line.split("!")[0]):
            values = _beside(text, named).resolve()
            if values.is_file() and values not in seen:
                seen.append(values)
                yield values


def _beside(text: Path, named: re.Match[str]) -> Path:
    """Give the file that a text names, relative to its own folder as the engine takes it."""
    name = next(group for group in named.groups() if group is not None)
    return text.parent / name.strip().replace("\\", "/")
