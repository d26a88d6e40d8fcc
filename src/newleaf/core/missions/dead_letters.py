"""What a host gives up on: the entry as it was, where it came from, and why."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from newleaf.core.missions.envelope import MAX_BYTES, Envelope, read_envelope, read_fields, read_names
from newleaf.core.missions.mission_errors import MalformedMission


class DeadLetter(Struct, frozen=True):
    """One entry of the stream of the dead. `fields` are the mission's, as far as they were kept."""

    stream: str
    entry: str
    host: str
    at: str
    rule: str
    reason: str
    fields: Mapping[bytes, bytes] = {}

    def as_fields(self) -> dict[str, str]:
        """With what the mission calls itself beside, for who looks for his own.

        What is too large to be a mission is not kept: it would only be carried on.
        """
        size = sum(len(name) + len(value) for name, value in self.fields.items())
        kept = self.fields.items() if size <= MAX_BYTES else ()
        coded = {_coded(name): _coded(value) for name, value in kept}
        known = {name: str(getattr(self, name)) for name in self.__struct_fields__ if name != "fields"}
        return {**known, **self.names, "fields": msgspec.json.encode(coded).decode()}

    @property
    def names(self) -> dict[str, str]:
        """What it calls itself, be it a mission or not."""
        return read_names(self.fields)

    @property
    def envelope(self) -> Envelope | None:
        """The mission, where it is one."""
        try:
            return read_envelope(read_fields(self.fields))
        except MalformedMission:
            return None

    @classmethod
    def read(cls, entry: Mapping[bytes, bytes]) -> DeadLetter | None:
        """A dead letter that somebody wrote; None for what is none."""
        try:
            said = {name.decode(): value.decode() for name, value in entry.items()}
            kept = msgspec.json.decode(said.pop("fields"), type=dict[str, str])
            fields = {_decoded(name): _decoded(value) for name, value in kept.items()}
            known = {name: value for name, value in said.items() if name in cls.__struct_fields__}
            return cls(**known, fields=fields)
        except (msgspec.MsgspecError, ValueError, TypeError, KeyError, RecursionError):
            return None


def _coded(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
