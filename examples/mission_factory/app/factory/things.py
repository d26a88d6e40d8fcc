"""What is said of a thing that was made."""


def describe(thing):
    return f"a {thing}"
