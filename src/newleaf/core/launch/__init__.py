"""What the launcher runs, what may happen to it, and what it decides: the daemon's life as pure rules."""
