"""The Bot API of the examples' stage, for tests: see there."""

from examples.stage.bot_api import BOT, TOKEN, BotApi, bot_api

__all__ = ["BOT", "TOKEN", "BotApi", "bot_api"]
