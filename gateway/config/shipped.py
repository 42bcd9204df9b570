"""Where the profiles that come with the gateway are."""

from pathlib import Path


def profiles() -> Path:
    """Give the folder of shipped profiles: beside the package in a checkout, inside it once installed."""
    inside = Path(__file__).parents[1] / "profiles"
    return inside if inside.is_dir() else Path(__file__).parents[2] / "profiles"
