"""Starts the long runs of the street first, where a test wants them, so that they go on beside the others."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import street_runs


@pytest.fixture(scope="session", autouse=True)
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[street_runs.Runs | None]:
    """Give both runs, once for the whole session; none where the tests that want them are not selected."""
    if not any(item.path.name == "test_system_street_demo.py" for item in request.session.items):
        yield None
        return
    given_up = threading.Event()
    with ThreadPoolExecutor(2) as threads:
        yield street_runs.Runs(
            threads.submit(street_runs.demo, tmp_path_factory.mktemp("demo"), given_up),
            threads.submit(street_runs.killed, tmp_path_factory.mktemp("killed"), given_up),
        )
        given_up.set()
