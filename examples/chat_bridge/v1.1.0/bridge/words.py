"""What is told of a job: since 1.1.0 how long it took."""


def done(job):
    """In the chat, when it has been done."""
    return f"{job['project']}: {job['task']} is done, after {job['seconds']:g} s"


def failed(job, error):
    """In the chat, when it could not be done."""
    return f"{job['project']}: {job['task']} failed: {error}"
