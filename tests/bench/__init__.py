"""The benchmarks: each says what is measured, ours beside the floor and the peers of the same run, and its goal."""

import hil.sep2  # noqa: F401 - binds envoy-schema to the edition of CSIP-AUS that its models are made in, before any is
