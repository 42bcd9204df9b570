"""The worker of one feeder: OpenDSS in a process of its own, asked line by line."""
