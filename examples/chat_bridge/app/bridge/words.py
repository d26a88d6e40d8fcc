"""What is told of a job."""


def done(job):
    """In the chat, when it has been done."""
    return f"{job['project']}: {job['task']} is done"


def failed(job, error):
    """In the chat, when it could not be done."""
    return f"{job['project']}: {job['task']} failed: {error}"
