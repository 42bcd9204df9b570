"""What a simulated device does physically: the plants behind the registers."""
