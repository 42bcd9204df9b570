"""Test procedures run on a device and judged: what they say, how they are run, what is reported."""
