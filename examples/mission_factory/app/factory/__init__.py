"""A factory: makes what missions ask for, and is updated by missions between two of them."""
