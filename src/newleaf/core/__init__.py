"""What is true: decisions without I/O, clock, environment or randomness."""
