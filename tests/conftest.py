"""How Hypothesis draws: the same examples in every run of `make test`, new ones in `make soak`."""

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True)
settings.register_profile("exploring", derandomize=False)


def pytest_configure(config: pytest.Config) -> None:
    """Explore only where the long tests are asked for, so that a build fails for what changed in it."""
    asked = str(config.getoption("-m"))
    settings.load_profile("exploring" if asked == "soak" else "repeatable")
