"""The servers of docs/how-to/serve-without-losing-a-request.md, and an app for each to serve.

The app answers with the name of its release: `RELEASE` of its environment, else what the file `version`
beside it says.
"""

from __future__ import annotations

import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/how-to/serve-without-losing-a-request.md"
PROGRAMS = dict(re.findall(r"^```python (\S+)\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL))
SLOW_SECONDS = 0.3

RELEASE = """
import asyncio, os, time
from pathlib import Path
RELEASE = (os.environ.get("RELEASE") or Path(__file__).with_name("version").read_text()).encode()
LENGTH = str(len(RELEASE))
"""

ASGI = f"""{RELEASE}
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({{"type": "lifespan.startup.complete"}})
        return await send({{"type": "lifespan.shutdown.complete"}})
    await asyncio.sleep({SLOW_SECONDS} if scope["path"] == "/slow" else 0)
    headers = [(b"content-length", LENGTH.encode())]
    await send({{"type": "http.response.start", "status": 200, "headers": headers}})
    await send({{"type": "http.response.body", "body": RELEASE}})
"""
WSGI = f"""{RELEASE}
def app(environ, start_response):
    time.sleep({SLOW_SECONDS} if environ["PATH_INFO"] == "/slow" else 0)
    start_response("200 OK", [("Content-Length", LENGTH)])
    return [RELEASE]
"""
AIOHTTP = f"""{RELEASE}
from aiohttp import web
async def answer(request):
    await asyncio.sleep({SLOW_SECONDS} if request.path == "/slow" else 0)
    return web.Response(body=RELEASE)
app = web.Application()
app.router.add_get("/{{any:.*}}", answer)
"""
ASYNCIO = f"""{RELEASE}
async def answer(reader, writer):
    head = await reader.readuntil(b"\\r\\n\\r\\n")
    await asyncio.sleep({SLOW_SECONDS} if head.startswith(b"GET /slow") else 0)
    writer.write(b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n")
    writer.write(b"Content-Length: " + LENGTH.encode() + b"\\r\\n\\r\\n" + RELEASE)
    await writer.drain()
"""


@dataclass(frozen=True)
class Served:
    """One server of the page."""

    app: str
    argv: tuple[str, ...]
    waits: bool
    ends: int = 0
    ready: tuple[str, ...] = ("READY=1",)
    says_stopping: bool = True


GUNICORN = (str(Path(sys.executable).with_name("gunicorn")), "app:app")
ONE_WORKER = {"GUNICORN_CMD_ARGS": "--workers 1"}
"""gunicorn's worker misses a SIGTERM that comes while it boots; the one that has answered has booted."""
SERVERS = {
    "uvicorn": Served(ASGI, (sys.executable, "serve_uvicorn.py"), waits=True, ends=-signal.SIGTERM),
    "gunicorn": Served(
        WSGI,
        GUNICORN,
        waits=False,
        ready=("READY=1\nSTATUS=Gunicorn arbiter booted", "READY=1"),
        says_stopping=False,
    ),
    "hypercorn": Served(ASGI, (sys.executable, "serve_hypercorn.py"), waits=False),
    "aiohttp": Served(AIOHTTP, (sys.executable, "serve_aiohttp.py"), waits=True),
    "asyncio": Served(ASYNCIO, (sys.executable, "serve_asyncio.py"), waits=True),
}
