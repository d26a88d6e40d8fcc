"""Takes each protection out in turn, in a copy of the tree, and sees whether its test notices.

    scripts/mutations.py              every mutation of scripts/mutations.toml
    scripts/mutations.py T15 T18      those of some rows of the threats
    scripts/mutations.py --jobs 4     so many at once, else three a core: most of them wait
    scripts/mutations.py --no-baseline    where `make test` runs the same tests unchanged anyway

1. Each edit must fit: its old text stands exactly once in its file, and the new one is Python.
2. The named tests pass in a copy in which nothing is changed, and what is imported there is that copy.
3. Each mutation is made in such a copy, undone afterwards. A copy has an environment of its own, so that the
   programs which tests start run the mutated code too. Its tests must fail there. That they cannot be
   collected, or do not end, proves nothing.

The checkout itself is never changed. Exits 1 when a protection is proved by no test.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LIST = Path(__file__).with_suffix(".toml")
PACKAGE = Path("src/newleaf")
PYTHON = Path(".venv/bin/python")
COPIED = ("src", "tests", "scripts", "examples", "pyproject.toml")
TIMEOUT_SECONDS = 60.0
BASELINE_SECONDS = 300.0
HIDDEN = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTEST_ADDOPTS", "VIRTUAL_ENV")
PLAIN = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""Plugins that are not named are not loaded: a mutation's tests start in a third of the time."""
KILLED, SURVIVED, BROKEN, TIMED_OUT = "killed", "SURVIVED", "BROKEN", "TIMED OUT"


class Edit(NamedTuple):
    """In a file under src/newleaf: the text, found exactly once, and what stands there instead."""

    file: str
    old: str
    new: str


class Mutation(NamedTuple):
    """One protection against a row of the threats, taken out; the tests that must notice."""

    row: str
    protection: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


class Verdict(NamedTuple):
    """What the tests of a mutation came to, and what they said."""

    word: str
    said: str = ""
    seconds: float = 0.0


class ProofError(Exception):
    """Why nothing can be proved."""


def read_mutations(path: Path = LIST) -> list[Mutation]:
    """Every mutation, row by row."""
    listed = tomllib.loads(path.read_text(encoding="utf-8"))
    return [
        Mutation(
            row, entry["protection"], tuple(Edit(*edit) for edit in entry["edits"]), tuple(entry["tests"])
        )
        for row, entries in listed.items()
        for entry in entries
    ]


def find_misfits(mutations: Iterable[Mutation], root: Path = ROOT) -> Iterator[str]:
    """The mutations that do not fit the code any more, a line each."""
    for mutation in mutations:
        for edit in mutation.edits:
            path = root / PACKAGE / edit.file
            text = path.read_text(encoding="utf-8") if path.is_file() else ""
            found = text.count(edit.old)
            if found != 1:
                yield f"{mutation.row} {mutation.protection}: {edit.file} has {edit.old!r} {found} times"
            elif edit.old == edit.new or (path.suffix == ".py" and not _is_python(_edited(text, edit))):
                yield f"{mutation.row} {mutation.protection}: {edit.new!r} is no change to {edit.file}"
        for test in mutation.tests:
            if not (root / test.partition("::")[0]).is_file():
                yield f"{mutation.row} {mutation.protection}: there is no {test}"


def make_copy(root: Path, to: Path) -> Path:
    """A copy of the tree, with an environment that imports it; the copy."""
    for name in COPIED:
        source = root / name
        if source.is_dir():
            # Byte code comes along: it is valid where the source is as old and as long as it was.
            shutil.copytree(source, to / name, symlinks=True)
        elif source.exists():
            shutil.copy2(source, to / name)
    _make_environment(to)
    return to


@contextlib.contextmanager
def mutated(copy: Path, edits: Iterable[Edit]) -> Iterator[None]:
    """Meanwhile the copy is changed; no byte code of it outlives that."""
    paths = {copy / PACKAGE / edit.file for edit in edits}
    kept = {path: path.read_bytes() for path in paths}
    try:
        for edit in edits:
            path = copy / PACKAGE / edit.file
            path.write_text(_edited(path.read_text(encoding="utf-8"), edit), encoding="utf-8")
        _drop_byte_code(paths)
        yield
    finally:
        for path, content in kept.items():
            path.write_bytes(content)
        _drop_byte_code(paths)


def require_import(copy: Path) -> None:
    """Raises ProofError unless a program of the copy's environment imports the copy, wherever it runs."""
    argv = [str(copy / PYTHON), "-c", "import newleaf; print(newleaf.__file__)"]
    said = subprocess.run(argv, cwd="/", env={}, capture_output=True, text=True, check=False, timeout=60)
    if said.stdout.strip() != str(copy / PACKAGE / "__init__.py"):
        raise ProofError(f"not the copy is imported: {said.stdout}{said.stderr}")


def run_tests(copy: Path, tests: Sequence[str], timeout_seconds: float, processes: int = 0) -> Verdict:
    """Runs tests in a copy until the first that fails."""
    options = ["-x", "-q", "-p", "no:cacheprovider", f"--basetemp={copy / 't'}", "-p", "pytest_timeout"]
    options += ["-p", "xdist.plugin", f"-n{processes}"] if processes else []
    began = time.monotonic()
    with subprocess.Popen(
        [str(copy / PYTHON), "-m", "pytest", *options, *tests],
        cwd=copy,
        env={name: value for name, value in os.environ.items() if name not in HIDDEN} | PLAIN,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            return Verdict(TIMED_OUT, f"after {timeout_seconds:g} s", timeout_seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    word = {0: SURVIVED, 1: KILLED}.get(process.returncode, BROKEN)
    return Verdict(word, said, time.monotonic() - began)


def judge_all(
    root: Path, mutations: Sequence[Mutation], jobs: int, timeout_seconds: float, *, baseline: bool = True
) -> list[Verdict]:
    """The verdicts, in order. Raises: ProofError."""
    copies: SimpleQueue[Path] = SimpleQueue()

    def judge(mutation: Mutation) -> Verdict:
        copy = copies.get()
        try:
            with mutated(copy, mutation.edits):
                return run_tests(copy, mutation.tests, timeout_seconds)
        finally:
            copies.put(copy)

    with tempfile.TemporaryDirectory(prefix="mutations-", ignore_cleanup_errors=True) as made:
        for number in range(jobs):
            # What is imported says where it lies, links resolved.
            copies.put(make_copy(root, Path(made).resolve() / str(number)))
        first = copies.get()
        require_import(first)
        if baseline:
            verdict = run_tests(first, _tests_of(mutations), BASELINE_SECONDS, jobs if jobs > 1 else 0)
            if verdict.word != SURVIVED:
                raise ProofError(f"the tests do not pass as they are:\n{verdict.said}")
        copies.put(first)
        with ThreadPoolExecutor(jobs) as pool:
            return list(pool.map(judge, mutations))


def make_report(mutations: Sequence[Mutation], verdicts: Sequence[Verdict]) -> Iterator[str]:
    """The table, and what the tests said of those that were not killed."""
    rows = [("row", "protection taken out", "test", "seconds", "verdict")]
    for mutation, verdict in zip(mutations, verdicts, strict=True):
        test, *more = [each.rpartition("/")[2] for each in mutation.tests]
        named = test + f" (+{len(more)})" * bool(more)
        rows.append((mutation.row, mutation.protection, named, f"{verdict.seconds:.1f}", verdict.word))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    for mutation, verdict in zip(mutations, verdicts, strict=True):
        if verdict.word in {BROKEN, TIMED_OUT}:
            yield f"\n{mutation.row} {mutation.protection}: {verdict.word}\n{verdict.said}"


def main(arguments: list[str] | None = None, root: Path = ROOT, path: Path = LIST) -> int:
    """0 when every mutation was killed, 1 when one was not or does not fit, 2 for wrong use."""
    parser = argparse.ArgumentParser(description="Takes protections out and sees whether their tests fail.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help="rows of the threats, such as T15; else all")
    parser.add_argument("--jobs", type=int, default=3 * (os.cpu_count() or 1), help="how many at once")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_SECONDS, help="seconds for each")
    parser.add_argument(
        "--no-baseline",
        action="store_true",
        help="tests are run unchanged elsewhere",
    )
    asked = parser.parse_args(arguments)
    mutations = read_mutations(path)
    known = {mutation.row for mutation in mutations}
    if not known.issuperset(asked.rows):
        parser.error(f"no mutation of {', '.join(sorted(set(asked.rows) - known))}")
    chosen = [mutation for mutation in mutations if not asked.rows or mutation.row in asked.rows]
    began = time.monotonic()
    misfits = list(find_misfits(chosen, root))
    if misfits:
        print("\n".join(misfits), file=sys.stderr)
        return 1
    try:
        baseline = not asked.no_baseline
        verdicts = judge_all(root, chosen, max(1, asked.jobs), asked.timeout, baseline=baseline)
    except ProofError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(make_report(chosen, verdicts)))
    killed = sum(verdict.word == KILLED for verdict in verdicts)
    print(f"\n{killed} of {len(chosen)} killed, in {time.monotonic() - began:.0f} s")
    return 0 if killed == len(chosen) else 1


def _edited(text: str, edit: Edit) -> str:
    return text.replace(edit.old, edit.new)


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


def _tests_of(mutations: Iterable[Mutation]) -> list[str]:
    return list(dict.fromkeys(test for mutation in mutations for test in mutation.tests))


def _drop_byte_code(paths: Iterable[Path]) -> None:
    """Its time has whole seconds: two changes of one length within one would be taken for each other."""
    for path in paths:
        for stale in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            stale.unlink()


def _make_environment(tree: Path) -> None:
    """What is installed here, by links, with a path to the copy: a variable would not reach every child."""
    environment, own = (tree / PYTHON).parent.parent, Path(sys.prefix)
    site = Path(sysconfig.get_path("purelib"))
    there = environment / site.relative_to(own)
    there.mkdir(parents=True)
    for entry in site.iterdir():
        if not (entry.suffix == ".pth" and "newleaf" in entry.name):
            (there / entry.name).symlink_to(entry)
    (there / "_mutated.pth").write_text(f"{tree / 'src'}\n")
    (environment / "bin").mkdir()
    for program in (own / "bin").iterdir():
        copy = environment / "bin" / program.name
        if program.is_file() and not program.is_symlink() and _first_bytes(program) == b"#!":
            copy.write_text(program.read_text().replace(str(own), str(environment)))
            copy.chmod(0o755)
        else:
            copy.symlink_to(program)
    shutil.copy(own / "pyvenv.cfg", environment)


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(2)


if __name__ == "__main__":
    sys.exit(main())
