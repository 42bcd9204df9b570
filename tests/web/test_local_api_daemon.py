"""`gateway run` with a local API: it serves it, keeps what it was told over a kill, and refuses a bad token."""

import http.client
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from web_world import SITE, TOKENS, limit, order, site_in


@contextmanager
def running(folder: Path) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Run the gateway until its API listens; give the port."""
    arguments = [sys.executable, "-m", "gateway", "run", "site.toml", "--dry"]
    process = subprocess.Popen(arguments, cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"local API at http://127\.0\.0\.1:(\d+)", line):
                yield int(found[1]), process
                break
        else:
            raise AssertionError("it never said where it listens")
    finally:
        process.kill()
        process.communicate(timeout=20)


def ask(port: int, method: str, path: str, body: object = None) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        headers = {"Authorization": f"Bearer {TOKENS['dso']}"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        said = json.loads(answer.read())
        assert answer.status == 200, said
        return said
    finally:
        connection.close()


def test_what_was_answered_outlives_a_kill_and_a_stop_is_clean(tmp_path: Path) -> None:
    site_in(tmp_path)
    (tmp_path / "site.toml").write_text(SITE)
    with running(tmp_path) as (port, process):
        assert ask(port, "POST", "/v1/orders", order("a", limit(3000)))["admitted"]
        process.kill()
        process.wait(20)
    with running(tmp_path) as (port, process):
        standing = ask(port, "GET", "/v1/orders/a")
        assert standing["resources"]["house-1"]["status"] == "in-force"
        assert [one["answer"] for one in standing["answers"]] == ["received", "received", "started", "started"]
        process.send_signal(signal.SIGTERM)
        began_s = time.monotonic()
        assert process.wait(20) == 0
        assert time.monotonic() - began_s < 10


def test_a_token_that_cannot_be_used_is_one_line_and_exit_2(tmp_path: Path) -> None:
    site_in(tmp_path)
    (tmp_path / "site.toml").write_text(SITE)
    (tmp_path / "dso.token").chmod(0o644)
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "run", "site.toml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        'site.toml:12: party "dso": "token_file": dso.token: others can read this token; run chmod 600 on it, '
        "or make one: openssl rand -hex 16 > dso.token && chmod 600 dso.token"
    )
