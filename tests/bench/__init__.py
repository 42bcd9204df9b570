"""The benchmarks: each says what is measured, ours beside the floor and the peers of the same run, and its goal."""
