"""What is said of a thing that was made: since 1.1.0 that it was tried out."""


def describe(thing):
    return f"a {thing}, tried out"
