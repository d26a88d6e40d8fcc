"""The Redis and Valkey servers of the examples' stage, for tests: see there."""

from examples.stage.redis_server import ENGINES, RedisServer, serve_redis

__all__ = ["ENGINES", "RedisServer", "serve_redis"]
