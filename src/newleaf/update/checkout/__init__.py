"""The in_place layout: the checkout moves, and nothing of its user's is lost."""
