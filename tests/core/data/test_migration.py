"""Names, versions, ranges and plans of migrations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from newleaf.core.data.data_errors import (
    MigrationBadlyNamed,
    MigrationGone,
    MigrationIrreversible,
    MigrationNumberTwice,
    MigrationUnclear,
    NotAVersion,
)
from newleaf.core.data.migration import (
    MigrationState,
    Plan,
    Script,
    Span,
    plan_backward,
    plan_exactly,
    plan_forward,
    read_scripts,
)

PLAIN = b"def check(): return False\ndef migrate(): return True\n"
WITH_REVERT = PLAIN + b"def revert(): return True\n"


def scripts_of(*paths: str, source: bytes = PLAIN) -> tuple[Script, ...]:
    return read_scripts(dict.fromkeys(paths, source))


def state_of(*applied: str, unfinished: Span | None = None) -> MigrationState:
    return MigrationState(applied, unfinished)


# --- what the folder holds --------------------------------------------------------------


def test_versions_order_as_versions_and_numbers_within_them() -> None:
    """lessons.md L15."""
    found = scripts_of("v1.10.0/001_a.py", "v1.9.0/002_b.py", "v1.9.0/001_c.py", "v1.9.10/001_d.py")
    assert [s.name for s in found] == [
        "1.9.0/001_c.py",
        "1.9.0/002_b.py",
        "1.9.10/001_d.py",
        "1.10.0/001_a.py",
    ]


def test_what_is_no_migration_is_left_out() -> None:
    found = read_scripts(
        {
            "README.md": b"",
            "__init__.py": b"",
            "_shared.py": b"no python at all",
            "__pycache__/x.py": b"",
            ".idea/x.py": b"",
            "_drafts/v9.9.9/001_a.py": b"",
            "v1.1.0/_helpers.py": b"",
            "v1.1.0/__pycache__/001_a.cpython-311.pyc": b"",
            "v1.1.0/data.sql": b"",
            "v1.1.0/_sql/make.py": b"",
            "docs/notes.txt": b"",
            "v1.1.0/001_a.py": PLAIN,
        }
    )
    assert [s.path for s in found] == ["v1.1.0/001_a.py"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("001_a.py", "outside a version's folder"),
        ("env.py", "outside a version's folder"),
        ("1.1.0/001_a.py", "1.1.0 is no v{major}.{minor}.{patch}"),
        ("v1.1/001_a.py", "v1.1 is no"),
        ("v1.1.0.0/001_a.py", "v1.1.0.0 is no"),
        ("v1.01.0/001_a.py", "v1.01.0 is no"),
        ("v1.1.0rc1/001_a.py", "v1.1.0rc1 is no"),
        ("v1.1.0\n/001_a.py", "is no"),
        ("v1.1.\u0660/001_a.py", "is no"),
        ("versions/001_a.py", "versions is no"),
        ("v1.1.0/1_a.py", "1_a.py is no NNN_description.py"),
        ("v1.1.0/0001_a.py", "0001_a.py is no NNN_description.py"),
        ("v1.1.0/001.py", "001.py is no"),
        ("v1.1.0/001_.py", "001_.py is no"),
        ("v1.1.0/rename_key.py", "rename_key.py is no"),
        ("v1.1.0/001_a b.py", "001_a b.py is no"),
        ("v1.1.0/more/001_a.py", "more/001_a.py is no"),
    ],
)
def test_a_bad_name_is_an_error_that_names_it(path: str, said: str) -> None:
    with pytest.raises(MigrationBadlyNamed) as caught:
        scripts_of(path)
    assert path in caught.value.message
    assert said in caught.value.message
    assert "update.migrations" in caught.value.advice


def test_one_number_twice_in_a_version_is_an_error() -> None:
    with pytest.raises(MigrationNumberTwice, match=r"001 in version 1\.1\.0") as caught:
        scripts_of("v1.1.0/001_a.py", "v1.1.0/001_b.py")
    assert "v1.1.0/001_a.py" in caught.value.message
    assert "v1.1.0/001_b.py" in caught.value.message


def test_one_number_in_two_versions_is_fine() -> None:
    assert len(scripts_of("v1.1.0/001_a.py", "v1.2.0/001_a.py")) == 2


# --- what a script declares -------------------------------------------------------------


@pytest.mark.parametrize(
    ("declared", "offline", "online"),
    [
        (b"", False, False),
        (b"OFFLINE = True\n", True, False),
        (b"ONLINE: bool = True  # old code ignores the new column\n", False, True),
        (b"OFFLINE = False\nONLINE = True\n", False, True),
        (b"def f():\n    OFFLINE = True\n", False, False),
        (b"class A:\n    ONLINE = True\n", False, False),
        (b"OFFLINE == 1\n", False, False),
    ],
)
def test_offline_and_online_are_read_without_running(declared: bytes, offline: bool, online: bool) -> None:
    (script,) = scripts_of("v1.1.0/001_a.py", source=declared + PLAIN + b"raise SystemExit\n")
    assert (script.offline, script.online) == (offline, online)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (b"OFFLINE = 1\n", "OFFLINE is not set to a plain True or False"),
        (b"ONLINE = not False\n", "ONLINE is not set"),
        (b"import os\nOFFLINE = bool(os.environ)\n", "OFFLINE is not set"),
        (b"import os\nif os.name:\n    OFFLINE = True\n", "OFFLINE is not set"),
        (b"OFFLINE, ONLINE = True, False\n", "is not set"),
        (b"from x import OFFLINE\n", "OFFLINE is not set"),
        (b"OFFLINE = ONLINE = True\n", "both OFFLINE and ONLINE"),
    ],
)
def test_a_switch_that_cannot_be_read_is_an_error(declared: bytes, said: str) -> None:
    with pytest.raises(MigrationUnclear, match=said) as caught:
        scripts_of("v1.1.0/001_a.py", source=declared + PLAIN)
    assert "v1.1.0/001_a.py" in caught.value.message


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b"", "no check()"),
        (b"def check(): return True\n", "no migrate()"),
        (b"class A:\n    def check(self): ...\ndef migrate(): ...\n", "no check()"),
    ],
)
def test_a_script_without_its_functions_is_an_error(source: bytes, said: str) -> None:
    with pytest.raises(MigrationUnclear) as caught:
        scripts_of("v1.1.0/001_a.py", source=source)
    assert said in caught.value.message


@pytest.mark.parametrize(
    "source",
    [
        b"from helpers import check, migrate\n",
        b"from helpers import *\n",
        b"import helpers\ncheck, migrate = helpers.check, helpers.migrate\n",
        b"from helpers import is_done as check\nmigrate = lambda: True\n",
        b"try:\n    from a import check\nexcept ImportError:\n    from b import check\ndef migrate(): ...\n",
    ],
)
def test_functions_may_come_from_elsewhere(source: bytes) -> None:
    assert scripts_of("v1.1.0/001_a.py", source=source)


def test_a_script_in_newer_syntax_than_newleafs_own_is_read_as_text() -> None:
    newer = b"OFFLINE = True  # for now\r\nmatch = lambda: 1 ?? 2\r\n" + WITH_REVERT
    (script,) = scripts_of("v1.1.0/001_a.py", source=newer)
    assert (script.offline, script.online, script.revertible) == (True, False, True)


@pytest.mark.parametrize("source", [b"\0", b"# coding: nonsense\n", b"x = " + b"(" * 9999, b"def check(:\n"])
def test_a_script_that_is_no_python_is_an_error_and_no_crash(source: bytes) -> None:
    with pytest.raises(MigrationUnclear, match=r"v1\.1\.0/001_a\.py"):
        scripts_of("v1.1.0/001_a.py", source=source)


# --- what is due ------------------------------------------------------------------------

ALL = scripts_of(
    "v1.1.0/001_a.py", "v1.1.0/002_b.py", "v1.2.0/001_c.py", "v1.10.0/001_d.py", source=WITH_REVERT
)
A, B, C, D = (script.name for script in ALL)


def due(start: str | None, end: str | None, state: MigrationState | None = None) -> list[str]:
    return list(plan_forward(ALL, state or state_of(), Span.between(start, end)).names)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("1.0.0", "1.2.0", [A, B, C]),
        ("1.1.0", "1.2.0", [C]),
        ("1.1.0", "1.9.9", [C]),
        ("1.2.0", "1.10.0", [D]),
        ("v1.2", "1.10", [D]),
        ("1.2.0", "1.2.0", []),
        ("1.10.0", "1.1.0", []),
        ("1.2.0rc1", "1.2.0", [C]),
        ("1.1.0", "1.2.0.dev3", []),
        ("1.2.0", None, [D]),
        (None, "1.1.0", [A, B]),
        (None, None, [A, B, C, D]),
    ],
)
def test_due_is_what_lies_after_from_up_to_to(
    start: str | None, end: str | None, expected: list[str]
) -> None:
    """lessons.md L21: the range starts at this host's own version."""
    assert due(start, end) == expected


def test_what_is_recorded_is_not_due() -> None:
    assert due("1.0.0", "1.2.0", state_of(A)) == [B, C]


def test_without_a_version_of_its_own_a_host_starts_at_what_it_has_recorded() -> None:
    """lessons.md L21. Nothing recorded: all that the tree has, each asked by its check()."""
    assert due(None, "1.10.0", state_of(C)) == [D]
    assert due(None, "1.10.0", state_of(A)) == [B, C, D]


def test_what_an_interrupted_run_owes_is_due_although_the_tree_has_moved_on() -> None:
    """lessons.md L19: failed and skipped over."""
    owing = state_of(A, unfinished=Span.between("1.0.0", "1.2.0"))
    assert due("1.2.0", "1.10.0", owing) == [B, C, D]
    assert due("1.2.0", "1.1.0", owing) == [B], "up to the version of the tree, never beyond"


def test_a_range_that_a_person_names_is_taken_to_the_letter() -> None:
    owing = state_of(A, unfinished=Span.between("1.0.0", "1.2.0"))
    assert plan_exactly(ALL, owing, Span.between("1.1.0", "1.2.0")).names == (C,)


def test_names_recorded_for_files_that_are_gone_do_no_harm() -> None:
    assert due("1.0.0", "1.1.0", state_of("0.9.0/001_gone.py", A)) == [B]


def test_a_plan_says_which_need_the_daemon_stopped() -> None:
    scripts = read_scripts(
        {"v1.1.0/001_a.py": b"OFFLINE = True\n" + PLAIN, "v1.1.0/002_b.py": b"ONLINE = True\n" + PLAIN}
    )
    plan = Plan(scripts, Span())
    assert plan.offline == ("1.1.0/001_a.py",)
    assert not plan.all_online
    assert Plan(scripts[1:], Span()).all_online


# --- the way down -----------------------------------------------------------------------


def test_backward_takes_what_is_recorded_newest_first() -> None:
    plan = plan_backward(ALL, state_of(A, B, C, D), Span.between("1.2.0", "1.0.0"))
    assert plan.names == (C, B, A)
    assert plan.backward


def test_backward_leaves_what_is_not_recorded_or_out_of_range() -> None:
    assert plan_backward(ALL, state_of(A, C), Span.between("1.2.0", "1.1.0")).names == (C,)


def test_backward_past_a_script_without_revert_is_an_error() -> None:
    scripts = read_scripts({"v1.1.0/001_a.py": PLAIN, "v1.1.0/002_b.py": WITH_REVERT})
    with pytest.raises(MigrationIrreversible, match=r"v1\.1\.0/001_a\.py"):
        plan_backward(scripts, state_of(A, B), Span.between("1.1.0", "1.0.0"))


def test_backward_past_a_script_that_is_gone_is_an_error() -> None:
    with pytest.raises(MigrationGone, match=r"1\.1\.5/001_gone\.py"):
        plan_backward(ALL, state_of(A, "1.1.5/001_gone.py"), Span.between("1.2.0", "1.0.0"))


def test_only_a_span_downwards_is_backward() -> None:
    assert Span.between("1.2.0", "1.1.0").is_backward
    assert not any(Span.between(*pair).is_backward for pair in [("1.1.0", "1.1.0"), (None, "1"), ("1", None)])


@pytest.mark.parametrize("text", ["", "latest", "1.x", "--force"])
def test_a_version_that_is_none_is_an_error(text: str) -> None:
    with pytest.raises(NotAVersion, match="is no version"):
        Span.between(text, None)


# --- the state --------------------------------------------------------------------------


def test_the_record_is_as_agreed_and_unknown_fields_stay() -> None:
    state = MigrationState.read({"schema": 1, "applied": [A], "note": "mine"})
    assert state.with_applied(B).as_record() == {"applied": [A, B], "note": "mine"}
    assert state.without(A).as_record() == {"applied": [], "note": "mine"}


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"applied": None},
        {"applied": {}},
        {"applied": [1]},
        {"applied": ["v1.1.0/001_a.py"]},
        {"applied": ["../../x.py"]},
        {"applied": [], "unfinished": "1.0.0"},
        {"applied": [], "unfinished": {"from": 1}},
        {"applied": [], "unfinished": {"from": "x"}},
    ],
)
def test_a_record_that_no_newleaf_wrote_is_refused(record: dict[str, object]) -> None:
    """lessons.md L20."""
    with pytest.raises(ValueError, match=r"`applied`|`unfinished`|no migration's name"):
        MigrationState.read(record)


def test_a_run_is_unfinished_until_its_end() -> None:
    span = Span.between("1.0.0", "1.2.0")
    begun = state_of(A).begun(span)
    assert begun.as_record() == {"applied": [A], "unfinished": {"from": "1.0.0", "to": "1.2.0"}}
    assert MigrationState.read(begun.as_record()) == begun
    assert begun.finished(span).as_record() == {"applied": [A]}


def test_a_second_interrupted_run_widens_what_is_owed() -> None:
    state = state_of().begun(Span.between("1.0.0", "1.2.0")).begun(Span.between("1.1.0", "1.10.0"))
    assert state.unfinished == Span.between("1.0.0", "1.10.0")
    assert state.begun(Span.between(None, None)).unfinished == Span()


def test_a_run_over_a_part_leaves_the_rest_owed() -> None:
    owing = state_of(unfinished=Span.between("1.0.0", "1.10.0"))
    assert owing.finished(Span.between("1.0.0", "1.2.0")).unfinished == Span.between("1.2.0", "1.10.0")
    assert owing.finished(Span.between("1.2.0", "1.10.0")) == owing
    assert owing.finished(Span.between(None, None)).unfinished is None
    assert state_of(A).finished(Span()) == state_of(A)


# --- for all of them --------------------------------------------------------------------

numbers = st.integers(0, 12)
versions = st.builds("{}.{}.{}".format, numbers, numbers, numbers)
paths = st.builds("v{}/{:03}_x.py".format, versions, st.integers(0, 3))
folders = st.sets(paths, max_size=12).map(lambda found: scripts_of(*found))
spans = st.builds(Span.between, st.none() | versions, st.none() | versions)


@given(folders, spans, st.data())
def test_a_plan_is_ordered_within_its_range_and_complete(
    scripts: tuple[Script, ...], span: Span, data: st.DataObject
) -> None:
    applied: set[str] = data.draw(st.sets(st.sampled_from([s.name for s in scripts]))) if scripts else set()
    plan = plan_forward(scripts, state_of(*applied), span)
    orders = [script.order for script in plan.scripts]
    assert orders == sorted(orders)
    assert not applied & set(plan.names)
    if span.start is not None:
        inside = {s.name for s in scripts if span.start < s.version <= (span.end or Version("99"))}
        assert set(plan.names) == inside - applied


@given(folders, st.builds(Span.between, st.none() | versions, versions), st.integers(0, 12))
def test_a_run_that_is_killed_anywhere_goes_on_where_it_stopped(
    scripts: tuple[Script, ...], span: Span, stop: int
) -> None:
    """lessons.md L19: whatever version the tree has by then."""
    whole = plan_forward(scripts, state_of(), span)
    state = state_of().begun(span)
    for name in whole.names[:stop]:
        state = state.with_applied(name)
    for start in (span.start, span.end):
        assert plan_forward(scripts, state, Span(start, span.end)).names == whole.names[stop:]
    for name in whole.names[stop:]:
        state = state.with_applied(name)
    assert plan_forward(scripts, state.finished(span), Span(span.end, span.end)).names == ()
