"""The daemon: clock, deciding loop, wiring and health."""
