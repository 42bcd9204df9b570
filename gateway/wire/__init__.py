"""Bytes to values and back, one folder per protocol: no input or output, no clock, nothing else of this package."""
