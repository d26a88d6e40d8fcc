"""Whether a host has what an update needs: a rule a function, from facts to findings, each with its cure.

`ok` is as it should be, `warning` works but should be known, `problem` stops updates or makes them
untrue. Rules know nothing of each other. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from newleaf.core.adoption.findings import CheckoutFacts
from newleaf.core.doctor.patient import Finding, GitFacts, Level, Patient, Trouble, TrustFacts

MEBIBYTE = 1024 * 1024
LEAST_FREE_BYTES = 64 * MEBIBYTE
SPARE_FREE_BYTES = 512 * MEBIBYTE
CLOCK_WARNING_SECONDS = 60.0
CLOCK_PROBLEM_SECONDS = 3600.0
DAY_SECONDS = 86_400.0


def examine(patient: Patient) -> list[Finding]:
    """What every rule found, in the order of the table."""
    return [finding for rule in RULES for finding in rule(patient)]


# --- programs ---------------------------------------------------------------------------


def check_settings(patient: Patient) -> Iterator[Finding]:
    """The settings hold."""
    for problem in patient.settings:
        yield Finding("settings", "problem", problem, "newleaf config says where each value comes from")
    if not patient.settings:
        yield Finding("settings", "ok", f"they hold; channel {patient.channel}")


def check_git(patient: Patient) -> Iterator[Finding]:
    """git is there and new enough."""
    yield judge_git(patient.git.version, patient.git.needed)


def judge_git(version: tuple[int, ...] | Trouble, needed: tuple[int, ...]) -> Finding:
    """Whether a git of this version will do."""
    if isinstance(version, Trouble):
        return _trouble("git", version)
    found = ".".join(map(str, version))
    if version < needed:
        cure = f"upgrade it to {'.'.join(map(str, needed))} or newer"
        return Finding("git", "problem", f"git {found} is too old", cure)
    return Finding("git", "ok", f"git {found}")


def check_installer(patient: Patient) -> Iterator[Finding]:
    """What installs the dependencies is there."""
    run = patient.run
    if run.python:
        yield _trouble("installer", run.python)
    elif run.installer is None:
        yield Finding("installer", "ok", "this app asks for no installation")
    elif run.installer_missing:
        text = f"{run.installer}, which installs the dependencies, is not on PATH"
        yield Finding("installer", "problem", text, f"install {run.installer}, or set update.install")
    elif run.unread_lock:
        text = "there is a uv.lock, and no uv: pip installs without reading it"
        yield Finding("installer", "warning", text, "install uv: pipx install uv")
    else:
        yield Finding("installer", "ok", f"{run.installer} installs the dependencies")


def check_own_place(patient: Patient) -> Iterator[Finding]:
    """newleaf is not part of what it updates."""
    if patient.run.shares_environment:
        text = "this newleaf lies in the app's own environment, and the next `uv sync` removes it"
        yield Finding("own_place", "problem", text, "install it apart: uv tool install newleaf")


# --- this machine -----------------------------------------------------------------------


def check_state(patient: Patient) -> Iterator[Finding]:
    """The state directory is this user's alone, on a local disk, and can be written."""
    state = patient.state
    if state.trouble:
        yield _trouble("state", state.trouble)
    elif state.mode & 0o077:
        text = f"others can look into {state.path} (mode {state.mode:o})"
        yield Finding("state", "warning", text, f"chmod 700 {state.path}")
    else:
        yield Finding("state", "ok", state.path)


def check_records(patient: Patient) -> Iterator[Finding]:
    """Every record can be read, and none is of a newer newleaf."""
    for trouble in patient.state.records:
        yield _trouble("records", trouble)


def check_disk(patient: Patient) -> Iterator[Finding]:
    """There is room for an update."""
    for place, free in patient.state.free_bytes.items():
        text = f"{free // MEBIBYTE} MiB free on the disk of {place}"
        if free < LEAST_FREE_BYTES:
            yield Finding("disk", "problem", text, "free some space: du -xh --max-depth=2 ~ | sort -h | tail")
        elif free < SPARE_FREE_BYTES:
            yield Finding("disk", "warning", text, "free some space before a release with large dependencies")
        else:
            yield Finding("disk", "ok", text)


def check_clock(patient: Patient) -> Iterator[Finding]:
    """The clock is right, as far as this can be told."""
    state, cure = patient.state, "set it by the network: sudo timedatectl set-ntp true"
    skew = abs(state.skew_seconds or 0.0)
    if skew > CLOCK_WARNING_SECONDS:
        way = "ahead of" if (state.skew_seconds or 0.0) > 0 else "behind"
        level: Level = "problem" if skew > CLOCK_PROBLEM_SECONDS else "warning"
        yield Finding("clock", level, f"this clock is {skew:.0f} s {way} the remote's", cure)
    elif state.behind_seconds > DAY_SECONDS:
        days = state.behind_seconds / DAY_SECONDS
        text = f"this clock is {days:.0f} day(s) behind what has happened here already"
        yield Finding("clock", "problem", text, cure)
    elif state.skew_seconds is not None:
        yield Finding("clock", "ok", "it agrees with the remote's")
    else:
        yield Finding("clock", "ok", "nothing speaks against it")


def check_lock(patient: Patient) -> Iterator[Finding]:
    """Worth knowing while one looks: an update runs."""
    if patient.state.locked_by:
        yield Finding("lock", "ok", f"an update runs now: {patient.state.locked_by}")


# --- the remote and the checkout --------------------------------------------------------


def check_remote(patient: Patient) -> Iterator[Finding]:
    """The remote answers, and has what the channel looks for."""
    remote = patient.remote
    if isinstance(remote, Trouble):
        yield _trouble("remote", remote)
    elif patient.channel == "alpha" and not remote.has_branch:
        text = f"{remote.url} has no branch {patient.git.branch}"
        yield Finding("remote", "problem", text, "set source.branch in host.toml to one that it has")
    elif patient.channel != "alpha" and not remote.versions:
        text = f"{remote.url} has no release yet for channel {patient.channel}"
        yield Finding("remote", "warning", text, "tag one: git tag v1.0.0 && git push --tags")
    else:
        yield Finding("remote", "ok", f"{remote.url} answered in {remote.seconds:.1f} s")


def check_protection(patient: Patient) -> Iterator[Finding]:
    """What stands between a push and this host, and what does not."""
    trust = patient.trust
    floor = f"; nothing below {trust.floor}" if trust.floor else ""
    if trust.requires == "none":
        text = f"no signature is asked for: whoever may push to the remote decides what runs here{floor}"
        yield Finding("protection", "ok", text)
        return
    found = list(_trust_troubles(trust, patient.channel))
    yield from found
    if not found:
        whose = _count(trust.signers if isinstance(trust.signers, int) else 0, "allowed signer")
        yield Finding("protection", "ok", f"signed {trust.requires} alone are taken, of {whose}{floor}")
    if not trust.has_revocations:
        text = "no key can be revoked: an expired one still signs with an old date"
        cure = "security.revoked names a file of revoked keys, which may be empty"
        yield Finding("protection", "warning", text, cure)


def _trust_troubles(trust: TrustFacts, channel: str) -> Iterator[Finding]:
    """Why nothing at all would be taken."""
    if isinstance(trust.signers, Trouble):
        yield _trouble("protection", trust.signers)
    elif not trust.signers:
        text = f"security.require is {trust.requires}, and nobody may sign: every update is refused"
        yield Finding("protection", "problem", text, "name the file of allowed signers: security.signers")
    if not trust.has_verifier:
        text = "ssh-keygen is not on PATH, and nothing is taken that it cannot verify"
        yield Finding("protection", "problem", text, "install OpenSSH's client")
    if trust.requires == "tags" and channel == "alpha":
        text = "security.require is tags, and alpha follows commits: every update is refused"
        yield Finding("protection", "problem", text, 'security.require = "commits", or channel = "beta"')


def check_checkout(patient: Patient) -> Iterator[Finding]:
    """The checkout can be moved."""
    git, checkout = patient.git, patient.git.checkout
    if isinstance(checkout, Trouble):
        yield _trouble("checkout", checkout)
    if checkout is None or isinstance(checkout, Trouble):
        return
    found = list(_checkout_findings(git, checkout))
    yield from found or [Finding("checkout", "ok", f"{checkout.top} is clean, and can be moved")]


def check_slots(patient: Patient) -> Iterator[Finding]:
    """`current` leads to a release."""
    slots = patient.slots
    if isinstance(slots, Trouble):
        yield _trouble("slots", slots)
    elif slots:
        held = f"{_count(slots.releases, 'release')} and {_count(slots.environments, 'environment')}"
        yield Finding("slots", "ok", f"{slots.live} is live; {held} on the disk")


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _checkout_findings(git: GitFacts, checkout: CheckoutFacts) -> Iterator[Finding]:
    top = checkout.top
    if git.owner:
        text = f"{top} belongs to {git.owner}, and this is another user"
        yield Finding(
            "checkout", "problem", text, f"run newleaf as {git.owner}, or: sudo chown -R $(id -u) {top}"
        )
    if checkout.head is None:
        yield Finding("checkout", "problem", f"{top} has no commit yet", f"git -C {top} pull")
    if checkout.operation:
        text = f"a {checkout.operation} is under way in {top}"
        yield Finding("checkout", "problem", text, f"git -C {top} {checkout.operation} --abort, or finish it")
    if checkout.unpushed:
        text = f"{checkout.unpushed} commit(s) in {top} are on no remote: updates are refused"
        yield Finding(
            "checkout", "problem", text, f"git -C {top} push, or git -C {top} reset --keep @{{upstream}}"
        )
    if checkout.embedded:
        text = f"{top} has submodules ({', '.join(checkout.embedded[:3])}): updates are refused"
        yield Finding("checkout", "problem", text, "bring them in as dependencies, or with git subtree")
    if checkout.changed:
        files = ", ".join(checkout.changed[:3]) + (" and more" if len(checkout.changed) > 3 else "")
        level: Level = "problem" if git.refuses_dirty else "warning"
        does = "updates are refused" if git.refuses_dirty else "each update carries them over"
        yield Finding("checkout", level, f"local edits ({files}): {does}", "commit them, or git stash")
    if checkout.branch and checkout.branch != git.branch:
        text = (
            f"{checkout.branch} is checked out, and {git.branch} is followed: the first update detaches HEAD"
        )
        yield Finding("checkout", "warning", text, f"git -C {top} switch {git.branch}")


def check_git_lock(patient: Patient) -> Iterator[Finding]:
    """No dead index.lock (L12)."""
    git = patient.git
    if git.lock and git.lock_owner:
        text = f"{git.lock} is held by {git.lock_owner}"
        yield Finding("git_lock", "warning", text, "wait for that git command to end")
    elif git.lock:
        text = f"{git.lock} was left by a process that is gone"
        yield Finding("git_lock", "warning", text, "the next update removes it; or: rm " + git.lock)


def check_large_files(patient: Patient) -> Iterator[Finding]:
    """Git LFS has its program, and may run it."""
    if patient.git.uses_lfs and not patient.git.passes_lfs:
        text = "Git LFS keeps files of this app, and newleaf's git may not run git-lfs: pointers would arrive"
        cure = "install git-lfs, move host.toml away and run newleaf init anew, or copy what it offers"
        yield Finding("large_files", "problem", text, cure)


# --- the app ----------------------------------------------------------------------------


def check_environment(patient: Patient) -> Iterator[Finding]:
    """What is installed is what the tree asks for."""
    owed = patient.run.owed
    if isinstance(owed, Trouble):
        yield _trouble("environment", owed)
    elif owed:
        yield Finding("environment", "warning", f"an installation is owed: {owed}", "newleaf update")
    elif patient.run.installer:
        yield Finding("environment", "ok", "it is what the tree asks for")


def check_restart(patient: Patient) -> Iterator[Finding]:
    """An update reaches the process that runs (L1)."""
    run = patient.run
    if run.mode == "command" and run.command_missing:
        text = f"restart.command runs {run.command}, which is not there"
        yield Finding("restart", "problem", text, "mend restart.command")
    elif run.mode == "none":
        text = "restart.mode is none: nothing restarts the daemon after an update"
        yield Finding("restart", "warning", text, 'restart.mode = "command", with restart.command')
    elif run.mode == "launcher" and not run.has_launcher:
        text = "restart.mode is launcher, and no launcher runs this app"
        yield Finding("restart", "problem", text, "newleaf run, or newleaf service install")
    elif run.mode == "launcher":
        yield Finding("restart", "ok", "the launcher restarts the daemon, and judges how it runs")
    elif run.reported:
        yield Finding("restart", "ok", f"{run.reported} reported itself; restart.mode is {run.mode}")
    elif run.mode == "command":
        text = "no process has reported itself: updates restart it, and what runs then stays unknown"
        yield Finding("restart", "warning", text, "call newleaf.ready() in the daemon once it serves")
    else:
        text = f"no process has reported itself: restart.mode {run.mode} finds nobody to restart"
        cure = 'call newleaf.ready() in the daemon, or set restart.mode = "command" with restart.command'
        yield Finding("restart", "warning", text, cure)


def check_secret_files(patient: Patient) -> Iterator[Finding]:
    """Files that the settings name are there, and secret ones are this user's alone."""
    for file in patient.secret_files:
        if file.mode is None:
            text = f"{file.key} names {file.path}, which is not there"
            yield Finding(
                "secret_files", "problem", text, f"make the file, or take {file.key} out of host.toml"
            )
        elif file.is_secret and file.mode & 0o077:
            text = f"others can read {file.path} ({file.key})"
            yield Finding("secret_files", "problem", text, f"chmod 600 {file.path}")


def check_redis(patient: Patient) -> Iterator[Finding]:
    """The Redis that gets the status answers, and has the last word; nothing waits for it."""
    redis = patient.redis
    if isinstance(redis, Trouble):
        yield Finding("redis", "warning", redis.message, redis.cure)
    elif redis and redis.word != redis.published:
        said = redis.word or "nothing that newleaf wrote"
        text = f"{redis.url} has {said} at {redis.key}, and {redis.published or 'nothing'} was published"
        cure = "the agent, or the next `newleaf update`, sends the word again; see that it may write there"
        yield Finding("redis", "warning", text, cure)
    elif redis:
        yield Finding("redis", "ok", f"{redis.url} answers; {redis.key} has {redis.word or 'nothing yet'}")


def check_sharing(patient: Patient) -> Iterator[Finding]:
    """One checkout is one app's."""
    if patient.sharing:
        text = f"{', '.join(patient.sharing)} is deployed in this checkout too: each moves it under the other"
        yield Finding("sharing", "problem", text, "give each app its own clone, and run newleaf init there")


def _trouble(check: str, trouble: Trouble) -> Finding:
    return Finding(check, "problem", trouble.message, trouble.cure)


RULES: tuple[Callable[[Patient], Iterator[Finding]], ...] = (
    check_settings,
    check_git,
    check_installer,
    check_own_place,
    check_state,
    check_records,
    check_disk,
    check_clock,
    check_lock,
    check_remote,
    check_protection,
    check_checkout,
    check_slots,
    check_git_lock,
    check_large_files,
    check_environment,
    check_restart,
    check_secret_files,
    check_redis,
    check_sharing,
)
