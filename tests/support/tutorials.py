"""A page whose console blocks can be typed: `$ ` begins a command, `2$ ` one in a second terminal."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROMPT = re.compile(r"(2?)\$ (.*)")
HEREDOC = re.compile(r"<<'(\w+)'")
LIMIT_SECONDS = 100.0
ANYTHING = "…"
"""A line of a page that stands for any number of lines."""

CHANGING = {
    r"\b\d{8}T\d{6}-[0-9a-f]{6}\b": "ATTEMPT",
    r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?": "TIME",
    r"\b[0-9a-f]{40}\b|\b[0-9a-f]{7,12}\b": "COMMIT",
    r"\bpid \d+": "pid N",
    r" *\b\d+\.\d+ s\b": " SECONDS",
    r"notes on \S+:": "notes on HOST:",
    r" {2,}": "  ",
}
"""What is another with every run, and how it is written to compare two."""


@dataclass
class Step:
    """One command and what it said."""

    command: str
    in_second_terminal: bool = False
    output: list[str] = field(default_factory=list)

    def is_said_by(self, real: list[str]) -> bool:
        """Whether a real run has said the same, but for what is another with every run."""
        parts = [".*" if line == ANYTHING else re.escape(comparable(line)) for line in self.output]
        return bool(re.fullmatch("\n".join(parts), "\n".join(map(comparable, real)), re.DOTALL))


def read_steps(text: str) -> list[Step]:
    """The commands of a page, with what it says that they say."""
    steps: list[Step] = []
    for block in BLOCK.findall(text):
        end = ""
        for line in block.splitlines():
            prompt = None if end else PROMPT.match(line)
            if prompt:
                steps.append(Step(prompt[2], in_second_terminal=bool(prompt[1])))
                heredoc = HEREDOC.search(line)
                end = heredoc[1] if heredoc else ""
            elif end:
                steps[-1].command += f"\n{line}"
                end = "" if line == end else end
            else:
                steps[-1].output.append(line)
    return steps


def fill(text: str, real: list[Step]) -> str:
    """The page with what was really said, except where it leaves that open."""
    said = iter(real)

    def write(block: re.Match[str]) -> str:
        lines = []
        for step in read_steps(block[0]):
            new = next(said)
            is_open = step.in_second_terminal or ANYTHING in step.output
            prompt = "2$" if step.in_second_terminal else "$"
            lines += [f"{prompt} {step.command}", *(step.output if is_open else new.output)]
        return "\n".join(["```console", *lines, "```"])

    return BLOCK.sub(write, text)


def comparable(line: str) -> str:
    """A line without what is another with every run."""
    for pattern, word in CHANGING.items():
        line = re.sub(pattern, word, line)
    return line.rstrip()


def run_steps(steps: list[Step], folder: Path, environment: dict[str, str], await_second: str) -> list[Step]:
    """Types all commands into one shell in `folder`; the steps with what they really said.

    `await_second` is a command that succeeds as soon as the second terminal's is at work.
    """
    answers = folder / "answers"
    answers.mkdir()
    script = []
    for number, step in enumerate(steps):
        if step.in_second_terminal:
            script.append(f"(cd {folder}; {step.command}) > {answers}/{number} 2>&1 &")
            script.append(f"until {await_second}; do sleep 0.05; done")
        else:
            script.append(f"{{\n{step.command}\n}} > {answers}/{number} 2>&1")
    typed = answers / "typed.sh"
    typed.write_text("\n".join(script))
    shell = subprocess.Popen(
        ["bash", str(typed)], cwd=folder, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        shell.wait(timeout=LIMIT_SECONDS)
    finally:
        # The second terminal's loop is in the same group, and goes with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGKILL)
        shell.wait()
    return [
        Step(step.command, step.in_second_terminal, (answers / str(number)).read_text().splitlines())
        for number, step in enumerate(steps)
    ]
