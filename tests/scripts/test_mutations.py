"""The list of mutations fits the code; the script tells a protection that is proved from one that is not."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import mutations
from scripts.mutations import BROKEN, KILLED, SURVIVED, TIMED_OUT, Edit, Mutation

ROOT = Path(__file__).resolve().parents[2]
PROVED = {"T1", *(f"T{number}" for number in range(6, 23)), "T29"}

GUARD = """\
import subprocess
import sys


def is_safe(name):
    return not name.startswith("-")


def is_short(name):
    return len(name) < 5


def shout(name):
    return name.upper()
"""

TESTS = """\
import subprocess
import sys

from newleaf.guard import is_safe, is_short


def test_option_is_unsafe():
    assert not is_safe("-x")


def test_child_finds_it_unsafe_too():
    code = "from newleaf.guard import is_safe; print(is_safe('-x'))"
    said = subprocess.run([sys.executable, "-c", code], cwd="/", env={}, capture_output=True, text=True)
    assert said.stdout == "False\\n"


def test_nothing():
    is_short("a long one")
"""

SAFE = Edit("guard.py", 'not name.startswith("-")', "True")
SHORT = Edit("guard.py", "len(name) < 5", "True")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small package with a guard that is tested and one that is not."""
    files = {
        "pyproject.toml": '[tool.pytest.ini_options]\naddopts = ["--import-mode=importlib"]\n',
        "src/newleaf/__init__.py": "",
        "src/newleaf/guard.py": GUARD,
        "tests/test_guard.py": TESTS,
    }
    for name, text in files.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text(text)
    return tmp_path / "tree"


def mutation(test: str, *edits: Edit, protection: str = "a guard") -> Mutation:
    return Mutation("T1", protection, edits, (f"tests/test_guard.py::{test}",))


def listed(tmp_path: Path, *made: Mutation) -> Path:
    """The file with a list of mutations."""
    entries = [
        f"[[{each.row}]]\nprotection = {each.protection!r}\n"
        f"edits = {[list(edit) for edit in each.edits]!r}\ntests = {list(each.tests)!r}\n"
        for each in made
    ]
    path = tmp_path / "mutations.toml"
    path.write_text("\n".join(entries))
    return path


def content(tree: Path) -> dict[str, bytes]:
    return {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file()}


# --- the list -------------------------------------------------------------------------------


def test_every_mutation_fits_the_code_as_it_is() -> None:
    assert list(mutations.find_misfits(mutations.read_mutations())) == []


def test_every_row_has_its_mutations() -> None:
    assert {each.row for each in mutations.read_mutations()} >= PROVED


@pytest.mark.parametrize("row", sorted(PROVED))
def test_every_row_s_mutations_are_noticed_by_a_test_that_cites_it(row: str) -> None:
    cited = 0
    for name in {test for each in mutations.read_mutations() if each.row == row for test in each.tests}:
        path, _, function = name.partition("::")
        text = (ROOT / path).read_text()
        found = re.search(rf"^def {function}\(.*?^(?=def |@|class |# ---|\Z)", text, re.DOTALL | re.MULTILINE)
        assert found, name
        cited += bool(re.search(rf"\b{row}\b", found[0]))
    assert cited


# --- what does not fit ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("edit", "telling"),
    [
        (Edit("guard.py", "no such text", "True"), "0 times"),
        (Edit("guard.py", "import ", "from "), "2 times"),
        (Edit("none.py", "x", "y"), "0 times"),
        (Edit("guard.py", "len(name) < 5", "len(name"), "no change"),
        (Edit("guard.py", "len(name) < 5", "len(name) < 5"), "no change"),
    ],
)
def test_an_edit_that_does_not_fit_is_told_and_nothing_runs(
    tmp_path: Path, tree: Path, edit: Edit, telling: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = listed(tmp_path, mutation("test_option_is_unsafe", edit))
    assert mutations.main([], tree, path) == 1
    said = capsys.readouterr()
    assert telling in said.err
    assert "T1 a guard" in said.err
    assert said.out == ""


def test_a_test_file_that_is_gone_is_told(tree: Path) -> None:
    (tree / "tests" / "test_guard.py").unlink()
    (misfit,) = mutations.find_misfits([mutation("test_nothing", SAFE)], tree)
    assert "there is no tests/test_guard.py::test_nothing" in misfit


# --- verdicts -------------------------------------------------------------------------------


def test_a_protection_is_proved_where_its_test_fails_and_not_where_it_passes(
    tmp_path: Path, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = listed(
        tmp_path,
        mutation("test_option_is_unsafe", SAFE, protection="in the test"),
        mutation("test_child_finds_it_unsafe_too", SAFE, protection="in a child"),
        mutation("test_nothing", SHORT, protection="in no test"),
    )
    before = content(tree)
    assert mutations.main(["T1", "--jobs", "1"], tree, path) == 1
    lines = capsys.readouterr().out.splitlines()
    words = {line.split("  ")[1].strip(): line.split()[-1] for line in lines[1:4]}
    assert words == {"in the test": KILLED, "in a child": KILLED, "in no test": SURVIVED}
    assert lines[-1].startswith("2 of 3 killed, in ")
    assert content(tree) == before


def test_all_killed_then_success(tmp_path: Path, tree: Path) -> None:
    path = listed(tmp_path, mutation("test_option_is_unsafe", SAFE, SHORT))
    assert mutations.main(["--jobs", "2"], tree, path) == 0


def test_tests_that_fail_as_they_are_prove_nothing(
    tmp_path: Path, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guard = tree / "tests" / "test_guard.py"
    guard.write_text(guard.read_text().replace('is_safe("-x")', 'is_safe("x")'))
    path = listed(tmp_path, mutation("test_option_is_unsafe", SAFE))
    assert mutations.main(["--jobs", "1"], tree, path) == 1
    assert "the tests do not pass as they are" in capsys.readouterr().err
    # Whoever runs them elsewhere is told there.
    assert mutations.main(["--jobs", "1", "--no-baseline"], tree, path) == 0


def test_what_cannot_be_collected_or_does_not_end_proves_nothing(tree: Path) -> None:
    broken = mutation("test_nothing", Edit("guard.py", "def is_short", "def is_gone"))
    endless = mutation(
        "test_nothing", Edit("guard.py", "return len(name) < 5", "input = iter(int, 1); list(input)")
    )
    assert [verdict.word for verdict in mutations.judge_all(tree, [broken], 1, 60)] == [BROKEN]
    assert [verdict.word for verdict in mutations.judge_all(tree, [endless], 1, 2)] == [TIMED_OUT]


def test_a_mutation_is_undone_before_the_next(tmp_path: Path, tree: Path) -> None:
    copy = mutations.make_copy(tree, tmp_path / "copy")
    mutations.require_import(copy)
    before = content(copy / "src")
    test = ["tests/test_guard.py::test_option_is_unsafe"]
    for _ in range(2):
        with mutations.mutated(copy, [SAFE]):
            assert content(copy / "src") != before
            assert mutations.run_tests(copy, test, 60).word == KILLED
        assert mutations.run_tests(copy, test, 60).word == SURVIVED
    assert (copy / "src/newleaf/guard.py").read_text() == GUARD


def test_a_row_that_is_not_listed_is_wrong_use() -> None:
    words = [sys.executable, "scripts/mutations.py", "T99"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "no mutation of T99" in done.stderr
