"""What a job is: the seconds that it takes stand for what a bridge would really do in a project."""

import asyncio
import re

REQUEST = re.compile(
    r"(?P<project>[a-z]+): (?P<task>.+?)(?:, (?P<seconds>[0-9]+(?:\.[0-9]+)?) s)?\s*\Z", re.IGNORECASE
)


def read_request(text):
    """The project, the task and its seconds of `website: build the pages, 10 s`; None for any other line."""
    found = REQUEST.match(text)
    if found is None:
        return None
    seconds = float(found["seconds"] or 0)
    return {"project": found["project"].lower(), "task": found["task"], "seconds": seconds}


async def work(job):
    """Does a job."""
    await asyncio.sleep(job["seconds"])
