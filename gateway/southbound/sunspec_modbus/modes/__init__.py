"""Modes on SunSpec: curves by adoption, reactive power, ride-through; carried behind the limits, or told as cannot."""
