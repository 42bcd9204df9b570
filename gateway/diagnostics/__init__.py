"""What people and machines are shown: records, metrics, logs."""
