"""What is installed, what is owed, and how it gets there."""
