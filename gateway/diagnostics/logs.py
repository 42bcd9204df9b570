"""Log lines: for people on a terminal, or one JSON object a line for machines."""

import json
import logging
import sys
import time
from typing import Any


class JsonLines(logging.Formatter):
    """One JSON object for each record."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        line: dict[str, Any] = {
            "t": _utc(record.created),
            "level": record.levelname.lower(),
            "from": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def _utc(created_s: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(created_s)) + f".{int(created_s * 1000) % 1000:03d}Z"


def set_up(*, as_json: bool, level: int = logging.INFO) -> None:
    """Log to standard error from `level` up."""
    to = logging.StreamHandler(sys.stderr)
    to.setFormatter(JsonLines() if as_json else logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[to], force=True)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
