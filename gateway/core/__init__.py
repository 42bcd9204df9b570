"""What is right: pure functions over values, standard library only, no clock, no input or output."""
