from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from newleaf.core.adoption.findings import CheckoutFacts
from newleaf.core.doctor.checkup import MEBIBYTE, RULES, examine
from newleaf.core.doctor.patient import (
    Finding,
    GitFacts,
    Patient,
    RedisFacts,
    RemoteAnswer,
    RunFacts,
    SecretFile,
    SlotFacts,
    StateFacts,
    Trouble,
    TrustFacts,
)

WELL = Patient(
    git=GitFacts((2, 39, 5), (2, 34), CheckoutFacts("/srv/app", head="a" * 40, branch="main")),
    state=StateFacts("/home/ada/.app", free_bytes={"/srv": 900 * MEBIBYTE}, skew_seconds=0.4),
    run=RunFacts(installer="uv", reported="pid 7"),
    remote=RemoteAnswer("https://example.org/app", 0.12, has_branch=True, versions=2),
)
ILL = Trouble("it is broken", "mend it")


def git(**changes: Any) -> Patient:
    return replace(WELL, git=replace(WELL.git, **changes))


def checkout(**changes: Any) -> Patient:
    assert isinstance(WELL.git.checkout, CheckoutFacts)
    return git(checkout=replace(WELL.git.checkout, **changes))


def state(**changes: Any) -> Patient:
    return replace(WELL, state=replace(WELL.state, **changes))


def run(**changes: Any) -> Patient:
    return replace(WELL, run=replace(WELL.run, **changes))


def remote(channel: str = "alpha", **changes: Any) -> Patient:
    return replace(WELL, channel=channel, remote=replace(WELL.remote, **changes))


def trust(channel: str = "beta", **changes: Any) -> Patient:
    well = TrustFacts("tags", signers=2, has_revocations=True)
    return replace(WELL, channel=channel, trust=replace(well, **changes))


def in_slots(slots: SlotFacts | Trouble) -> Patient:
    return replace(git(checkout=None), slots=slots)


TOKEN = SecretFile("source.token_file", "/home/ada/token", 0o600, is_secret=True)
CASES: dict[str, tuple[Patient, str, str]] = {
    "settings": (
        replace(WELL, settings=("host.toml: source.branch is empty",)),
        "problem",
        "source.branch is empty",
    ),
    "git": (git(version=Trouble("git is not installed", "install git")), "problem", "not installed"),
    "slots": (replace(WELL, slots=ILL), "problem", "it is broken"),
    "git: old": (git(version=(2, 30, 2)), "problem", "git 2.30.2 is too old"),
    "installer": (run(installer="make", installer_missing=True), "problem", "make, which installs"),
    "installer: a lock unread": (run(installer="pip", unread_lock=True), "warning", "a uv.lock, and no uv"),
    "installer: no Python": (run(python=ILL), "problem", "it is broken"),
    "own_place": (run(shares_environment=True), "problem", "the app's own environment"),
    "state": (state(trouble=ILL), "problem", "it is broken"),
    "state: open": (state(mode=0o750), "warning", "others can look into /home/ada/.app (mode 750)"),
    "records": (state(records=(ILL,)), "problem", "it is broken"),
    "disk": (state(free_bytes={"/srv": 3 * MEBIBYTE}), "problem", "3 MiB free on the disk of /srv"),
    "disk: little": (state(free_bytes={"/srv": 100 * MEBIBYTE}), "warning", "100 MiB free"),
    "clock": (state(skew_seconds=-7200.0), "problem", "7200 s behind the remote's"),
    "clock: a little": (state(skew_seconds=90.0), "warning", "90 s ahead of the remote's"),
    "clock: set back": (
        state(skew_seconds=None, behind_seconds=200_000.0),
        "problem",
        "2 day(s) behind what has",
    ),
    "remote": (replace(WELL, remote=ILL), "problem", "it is broken"),
    "remote: no branch": (remote(has_branch=False), "problem", "has no branch main"),
    "remote: no release": (remote("beta", versions=0), "warning", "no release yet for channel beta"),
    "protection": (trust(signers=Trouble("no such file", "put it back")), "problem", "no such file"),
    "protection: nobody": (trust(signers=0), "problem", "nobody may sign"),
    "protection: no file": (trust(signers=None), "problem", "nobody may sign"),
    "protection: no verifier": (trust(has_verifier=False), "problem", "ssh-keygen"),
    "protection: no revocation": (trust(has_revocations=False), "warning", "expired"),
    "protection: on a branch": (trust("alpha"), "problem", "alpha follows commits"),
    "checkout": (git(checkout=ILL), "problem", "it is broken"),
    "checkout: another's": (git(owner="bob"), "problem", "/srv/app belongs to bob"),
    "checkout: empty": (checkout(head=None), "problem", "no commit yet"),
    "checkout: a merge": (checkout(operation="merge"), "problem", "a merge is under way"),
    "checkout: unpushed": (checkout(unpushed=3), "problem", "3 commit(s) in /srv/app are on no remote"),
    "checkout: submodules": (checkout(embedded=("lib",)), "problem", "has submodules (lib)"),
    "checkout: edited": (checkout(changed=("a", "b", "c", "d")), "warning", "local edits (a, b, c and more)"),
    "checkout: edited, and refused": (
        git(checkout=CheckoutFacts("/srv/app", head="a", changed=("a",)), refuses_dirty=True),
        "problem",
        "local edits (a): updates are refused",
    ),
    "checkout: another branch": (
        checkout(branch="dev"),
        "warning",
        "dev is checked out, and main is followed",
    ),
    "git_lock": (git(lock="/srv/app/.git/index.lock"), "warning", "was left by a process that is gone"),
    "git_lock: held": (git(lock="/l", lock_owner="git (pid 3)"), "warning", "/l is held by git (pid 3)"),
    "large_files": (git(uses_lfs=True), "problem", "pointers would arrive"),
    "environment": (run(owed="there is no .venv yet"), "warning", "is owed: there is no .venv yet"),
    "environment: unknown": (run(owed=ILL), "problem", "it is broken"),
    "restart": (run(reported=None), "warning", "restart.mode exit finds nobody to restart"),
    "restart: by command": (run(reported=None, mode="command"), "warning", "what runs then stays unknown"),
    "restart: a command that is gone": (
        run(mode="command", command="sv", command_missing=True),
        "problem",
        "runs sv, which is not there",
    ),
    "restart: none": (run(mode="none"), "warning", "nothing restarts the daemon"),
    "restart: a launcher": (run(mode="launcher"), "problem", "no launcher runs this app"),
    "secret_files": (replace(WELL, secret_files=(replace(TOKEN, mode=0o644),)), "problem", "others can read"),
    "secret_files: gone": (
        replace(WELL, secret_files=(replace(TOKEN, mode=None),)),
        "problem",
        "is not there",
    ),
    "redis": (replace(WELL, redis=ILL), "warning", "it is broken"),
    "redis: another word": (
        replace(WELL, redis=RedisFacts("redis://r", "key", None, "deployed of noon")),
        "warning",
        "redis://r has nothing that newleaf wrote at key, and deployed of noon was published",
    ),
    "sharing": (replace(WELL, sharing=("bot",)), "problem", "bot is deployed in this checkout too"),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_found_by_its_own_check_with_its_cure(case: str) -> None:
    """lessons.md L1, L8, L12, L16, L20, L24; threats.md T17, T21."""
    patient, level, text = CASES[case]
    wrong = [finding for finding in examine(patient) if finding.level != "ok"]
    assert [(finding.check, finding.level) for finding in wrong] == [(case.partition(":")[0], level)]
    assert text in wrong[0].text
    assert wrong[0].cure


def test_under_a_launcher_the_restart_is_its_affair_whether_or_not_a_process_reports_itself() -> None:
    for reported in (None, "pid 7"):
        found = examine(run(mode="launcher", has_launcher=True, reported=reported))
        assert {finding.level for finding in found} == {"ok"}


def test_every_check_has_a_case() -> None:
    never_wrong = {"lock"}
    checks = {rule.__name__.removeprefix("check_") for rule in RULES}
    assert checks - never_wrong == {case.partition(":")[0] for case in CASES}


def test_a_healthy_host_is_told_so_check_by_check() -> None:
    assert examine(WELL) == [
        Finding("settings", "ok", "they hold; channel alpha"),
        Finding("git", "ok", "git 2.39.5"),
        Finding("installer", "ok", "uv installs the dependencies"),
        Finding("state", "ok", "/home/ada/.app"),
        Finding("disk", "ok", "900 MiB free on the disk of /srv"),
        Finding("clock", "ok", "it agrees with the remote's"),
        Finding("remote", "ok", "https://example.org/app answered in 0.1 s"),
        Finding(
            "protection",
            "ok",
            "no signature is asked for: whoever may push to the remote decides what runs here",
        ),
        Finding("checkout", "ok", "/srv/app is clean, and can be moved"),
        Finding("environment", "ok", "it is what the tree asks for"),
        Finding("restart", "ok", "pid 7 reported itself; restart.mode is exit"),
    ]


@pytest.mark.parametrize(
    "patient",
    [
        state(free_bytes={"/srv": 512 * MEBIBYTE}),
        state(skew_seconds=60.0),
        state(skew_seconds=None, behind_seconds=3600.0),
        git(version=(2, 34)),
        git(uses_lfs=True, passes_lfs=True),
        remote("beta", has_branch=False),
        remote("alpha", versions=0),
        run(mode="command", command="sv"),
        run(installer=None),
        checkout(branch=None),
        trust(floor="1.0.0"),
        trust("alpha", requires="commits"),
        in_slots(SlotFacts("1.1.0", 2, 1)),
        replace(WELL, secret_files=(TOKEN, replace(TOKEN, mode=0o644, is_secret=False))),
    ],
)
def test_what_is_just_right_is_not_complained_about(patient: Patient) -> None:
    assert {finding.level for finding in examine(patient)} == {"ok"}


def test_a_running_update_is_mentioned() -> None:
    (finding,) = (each for each in examine(state(locked_by="timer (pid 3)")) if each.check == "lock")
    assert finding == Finding("lock", "ok", "an update runs now: timer (pid 3)")
