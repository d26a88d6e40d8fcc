"""Orders on a bus: what is an order, whom it is for, who may give it, and what came of it."""
