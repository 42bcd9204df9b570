"""MQTT in the bench: a broker, and what stands behind it."""
