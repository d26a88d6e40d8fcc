"""How one change happens: the journaled attempt and its steps."""
