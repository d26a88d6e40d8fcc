"""The jobs of one host, in Redis: a list for each project, and what has been done and is not told yet.

A job stands in `waiting` until it is taken, in `running` until it is done, and what came of it in `told`: it
is moved from one to the next whole, so that it is never in two of them and never in none. Whoever works on
a project looks into its `running` first: what lies there was cut off, by a crash or by a lost answer.
"""

import json

SEEN_SECONDS = 7 * 24 * 3600

ADD = """
if redis.call('SET', KEYS[1], 1, 'NX', 'EX', ARGV[1]) then
    redis.call('SADD', KEYS[2], ARGV[2])
    return redis.call('RPUSH', KEYS[3], ARGV[3])
end
return 0
"""
"""A message is a job once, however often it is read."""


class Jobs:
    """The jobs of the host of this name."""

    def __init__(self, redis, host):
        self.redis = redis
        self.prefix = f"bridge:{host}"

    async def add(self, message, job):
        """Takes the job of the message of this name; how many wait for its project, 0 where it was known."""
        project = job["project"]
        keys = f"{self.prefix}:seen:{message}", f"{self.prefix}:projects", self._list("waiting", project)
        return await self.redis.eval(ADD, len(keys), *keys, SEEN_SECONDS, project, json.dumps(job))

    async def projects(self):
        return {name.decode() for name in await self.redis.smembers(f"{self.prefix}:projects")}

    async def has_work(self, project):
        return await self.redis.exists(self._list("running", project), self._list("waiting", project))

    async def take(self, project):
        """What was cut off, else the next that waits; None where nothing does."""
        running, waiting = self._list("running", project), self._list("waiting", project)
        found = await self.redis.lindex(running, 0)
        found = found or await self.redis.lmove(waiting, running, "LEFT", "RIGHT")
        return json.loads(found) if found else None

    async def finish(self, project, chat, words):
        """The job that was taken is done, and these words are to be told."""
        async with self.redis.pipeline(transaction=True) as together:
            together.lpop(self._list("running", project))
            together.rpush(f"{self.prefix}:told", json.dumps([chat, words]))
            await together.execute()

    async def to_tell(self):
        """The chat and the words that are to be told next, else None."""
        found = await self.redis.lindex(f"{self.prefix}:told", 0)
        return json.loads(found) if found else None

    async def has_told(self):
        await self.redis.lpop(f"{self.prefix}:told")

    def _list(self, name, project):
        return f"{self.prefix}:{name}:{project}"
