"""The HTTP servers of the examples' stage, for tests: see there."""

from examples.stage.http_server import Answer, Handler, LocalServer, Received, serving

__all__ = ["Answer", "Handler", "LocalServer", "Received", "serving"]
