"""What a tree asks to be installed."""
