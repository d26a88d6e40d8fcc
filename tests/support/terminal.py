"""newleaf's command line called in this very process, as somebody who stands in a folder would call it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from newleaf.cli.main import run
from tests.support.deployment import Answer, Deployment


@dataclass
class Terminal:
    """Calls verbs; what they print is captured, so it is a pipe to them."""

    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def sit_at(self, deployment: Deployment) -> None:
        """From now on verbs are called as on this host, standing in its checkout."""
        self.move_home(deployment.home)
        self.monkeypatch.chdir(deployment.checkout.path)

    def move_home(self, home: Path) -> None:
        """The user's home is there, with their configuration in it."""
        home.mkdir(exist_ok=True)
        self.monkeypatch.setenv("HOME", str(home))
        self.monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
        self.monkeypatch.delenv("NEWLEAF_STATE_DIR", raising=False)

    def run(self, *arguments: str) -> Answer:
        """Calls with --json after the verb."""
        return self.read(*arguments, "--json")

    def read(self, *arguments: str) -> Answer:
        """Calls with arguments of which one is --json: its standard output is one JSON object and no more."""
        code, output, errors = self.text(*arguments)
        assert output.endswith("}\n"), output
        assert output.count("\n") == 1, output
        record: dict[str, Any] = json.loads(output)
        assert record["schema"] == 1
        return Answer(code, record, errors)

    def text(self, *arguments: str) -> tuple[int, str, str]:
        """Calls as people do: exit code, output, errors."""
        self.capsys.readouterr()
        code = run(list(arguments))
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def lines(self, *arguments: str) -> list[str]:
        """The lines of an answer of exit code 0; nothing else was said."""
        code, output, errors = self.text(*arguments)
        assert (code, errors) == (0, ""), errors
        return output.splitlines()
