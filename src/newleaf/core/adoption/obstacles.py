"""What stands in newleaf's way in a repository, said before anything else, each with its way out.

`cannot` is what will not work as it is; `attention` is worth knowing before the first update. A rule a
function, from findings to notes; no rule knows another. Pure: nothing is looked up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

from msgspec import Struct

from newleaf.core.adoption.findings import CheckoutFacts, Findings, Project
from newleaf.core.adoption.start_choice import StartChoice
from newleaf.core.secrets import mask_text
from newleaf.core.settings.addresses import read_remote

Level = Literal["cannot", "attention", "found", "chosen", "next"]
LEVELS: tuple[Level, ...] = ("cannot", "attention", "found", "chosen", "next")
REPLACE_GUIDE = "docs/how-to/replace-a-deploy-script.md"


class Note(Struct, frozen=True):
    """One thing to say, and what to do about it."""

    level: Level
    text: str
    cure: str = ""


class Situation(Struct, frozen=True):
    """What the rules look at."""

    findings: Findings
    checkout: CheckoutFacts
    project: Project
    rivals: tuple[Project, ...]
    start: StartChoice
    install: str
    sharing: tuple[str, ...] = ()
    """Other apps of this machine that are deployed in this checkout."""
    has_command: bool = False
    """Whether newleaf.toml already says how the daemon is started."""
    slots: bool = False
    """Whether releases get folders of their own, so that no checkout moves."""

    @property
    def remote(self) -> tuple[str, str] | None:
        """The remote that updates come from: its name and address."""
        return choose_remote(self.checkout)


def choose_remote(checkout: CheckoutFacts) -> tuple[str, str] | None:
    """`origin`, else the one that the branch follows, else the only one."""
    remotes = checkout.remotes
    names = ["origin", checkout.upstream_remote or "", *(remotes if len(remotes) == 1 else ())]
    return next(((name, remotes[name]) for name in names if name in remotes), None)


def choose_branch(checkout: CheckoutFacts) -> str:
    """What `alpha` follows: the checked-out branch's upstream, else that branch where the remote has it.

    A branch that lives here alone is no source: then it is the remote's default.
    """
    remote = choose_remote(checkout)
    if checkout.upstream_branch and remote and checkout.upstream_remote == remote[0]:
        return checkout.upstream_branch
    name = f"{remote[0] if remote else ''}/{checkout.branch}"
    is_known = name in checkout.remote_branches or not remote or not checkout.remote_branches
    if checkout.branch and is_known:
        return checkout.branch
    return checkout.default_branch or "main"


def find_obstacles(situation: Situation) -> list[Note]:
    """What is in the way, the worst first."""
    rules = (rule for rule in RULES if not (situation.slots and rule in OF_A_MOVING_CHECKOUT))
    notes = [note for rule in rules for note in rule(situation)]
    return sorted(notes, key=lambda note: LEVELS.index(note.level))


# --- what git keeps ---------------------------------------------------------------------


def no_commit(situation: Situation) -> Iterator[Note]:
    """Nothing can be deployed from a branch without commits."""
    if situation.checkout.head is None:
        yield Note("cannot", "this repository has no commit yet", "git add … && git commit && git push")


def no_remote(situation: Situation) -> Iterator[Note]:
    """Updates come from a remote."""
    if situation.remote:
        return
    remotes = situation.checkout.remotes
    if remotes:
        text = f"none of the remotes {', '.join(remotes)} is origin, and the branch follows none of them"
        yield Note("cannot", text, "git branch --set-upstream-to=REMOTE/BRANCH")
    else:
        yield Note("cannot", "no git remote: there is nothing to update from", "git remote add origin URL")


def remote_refused(situation: Situation) -> Iterator[Note]:
    """An address with credentials, or one that git would run as a program, is never used (T16, T29)."""
    name, url = situation.remote or ("", "")
    try:
        if url:
            read_remote(url)
    except ValueError as error:
        cure = f"git remote set-url {name} URL"
        yield Note("cannot", f"the address of the remote {name}, {mask_text(url)}, {error}", cure)


def submodules(situation: Situation) -> Iterator[Note]:
    """A tree with submodules is refused: their addresses would come from the fetched tree."""
    found = dict.fromkeys((*situation.checkout.embedded, *situation.findings.submodules))
    if found:
        cure = "bring their content in as a dependency of pyproject.toml, or as a subtree (git subtree)"
        yield Note("cannot", f"the repository has submodules ({_some(found)}): updates will be refused", cure)


def large_files(situation: Situation) -> Iterator[Note]:
    """Git LFS brings the files by a program of its own, which this host must have."""
    found = situation.findings.lfs
    if found and "git-lfs" not in situation.findings.programs:
        text = f"Git LFS keeps {_some(found)}, and git-lfs is not installed here: only pointers would arrive"
        yield Note("cannot", text, "install git-lfs, run `git lfs install && git lfs pull`, and init anew")


def interrupted(situation: Situation) -> Iterator[Note]:
    """A checkout in the middle of a merge does not move."""
    operation = situation.checkout.operation
    if operation:
        text = f"a {operation} is under way in this checkout: it does not move until that is ended"
        yield Note("attention", text, f"git {operation} --continue, or --abort")


def detached(situation: Situation) -> Iterator[Note]:
    """Worth knowing: no branch is checked out."""
    checkout = situation.checkout
    if checkout.head and checkout.branch is None and not checkout.operation:
        text = "HEAD is detached: updates move it from commit to commit, and no branch of this checkout"
        yield Note("attention", text, "to have it on a branch: git switch BRANCH")


def another_branch(situation: Situation) -> Iterator[Note]:
    """The followed branch is not the one that is checked out."""
    branch, followed = situation.checkout.branch, choose_branch(situation.checkout)
    if branch and branch != followed:
        text = f"{branch} is checked out, and {followed} is followed: the first update detaches HEAD"
        yield Note("attention", text, f"git switch {followed}, or push {branch} and set source.branch")


def unpushed(situation: Situation) -> Iterator[Note]:
    """Commits of this checkout alone make it diverge at the next update."""
    count = situation.checkout.unpushed
    if count:
        text = f"{count} commit(s) here are on no remote: updates are refused until they are"
        yield Note("attention", text, "git push, or undo them: git reset --keep @{upstream}")


def local_edits(situation: Situation) -> Iterator[Note]:
    """Changes are carried over each update, unless the setting says otherwise."""
    changed = situation.checkout.changed
    if changed:
        text = f"local edits in {_some(changed)}: each update carries them over in a stash"
        yield Note("attention", text, 'commit them, or set update.dirty_tree = "refuse"')


# --- what the app is --------------------------------------------------------------------


def no_python(situation: Situation) -> Iterator[Note]:
    """newleaf keeps Python daemons."""
    findings = situation.findings
    if findings.projects:
        return
    if findings.images:
        text = f"there is no Python project here, only {_some(findings.images)}: newleaf builds no images"
        yield Note("cannot", text, "add a pyproject.toml or requirements.txt, or keep deploying the image")
    else:
        text = "there is no Python project here: no pyproject.toml, setup.py, lock file or requirements.txt"
        yield Note("attention", text, "newleaf will move the checkout, and install nothing")


def unreadable(situation: Situation) -> Iterator[Note]:
    """A manifest that cannot be read fails every install."""
    project = situation.project
    if project.problem:
        path = "pyproject.toml" if project.path == "." else f"{project.path}/pyproject.toml"
        yield Note("cannot", f"{path} is {project.problem}", f"mend {path}")


def several_projects(situation: Situation) -> Iterator[Note]:
    """One host runs one app of a monorepo."""
    found = [project.path for project in situation.rivals]
    if found:
        text = f"several apps are here ({_some(found)}), and which one this host runs is not known"
        yield Note("cannot", text, f"run newleaf init in its folder: cd {found[0]} && newleaf init")


def several_daemons(situation: Situation) -> Iterator[Note]:
    """One checkout moves once, under all that run from it."""
    others, start = situation.start.others, situation.start.start
    if others and start:
        names = _some([other.name for other in (start, *others)])
        text = (
            f"{start.source if start.kind == 'procfile' else 'this repository'} starts {len(others) + 1} "
            f"processes ({names}), and newleaf starts one: {start.name}"
        )
        cure = (
            'the others run the new code only after a restart: set restart.mode = "command" and a '
            "restart.command that restarts all"
        )
        yield Note("cannot", text, cure)


def shared_checkout(situation: Situation) -> Iterator[Note]:
    """Two apps in one checkout would each move the tree under the other."""
    if situation.sharing:
        text = f"{_some(situation.sharing)} lives in this checkout too: each would move it under the other"
        yield Note("cannot", text, "give each app its own clone, and run newleaf init there")


def needs_build(situation: Situation) -> Iterator[Note]:
    """Steps between the tree and a working app, which newleaf takes only through `update.install`."""
    for step in situation.findings.builds:
        if step.kind == "node" and not situation.install.startswith("make"):
            text = f"{step.source} has a build step, and newleaf does not run it: {step.command}"
            cure = (
                "make a target that installs and builds, and let updates run it: "
                'update.install = "make install"; or commit what it makes'
            )
            yield Note("cannot", text, cure)
        elif step.kind == "extension":
            text = f"{step.source}: {step.command}, so this host needs its compiler"
            yield Note("attention", text, "install the compiler here, or depend on a built wheel")


def no_start(situation: Situation) -> Iterator[Note]:
    """Without a command only the launcher misses something."""
    is_unknown = situation.start.start is None and not situation.has_command
    if is_unknown and situation.findings.projects and not situation.rivals:
        reasons = "; ".join(f"{start.source} {reason}" for start, reason in situation.start.unusable)
        text = "no way to start the daemon was found" + (f" ({reasons})" if reasons else "")
        cure = 'only `newleaf run` needs it: app.command = ".venv/bin/python -m PACKAGE" in newleaf.toml'
        yield Note("attention", text, cure)


def unlocked(situation: Situation) -> Iterator[Note]:
    """Without a lock file that is read, two hosts may run different dependencies."""
    project, programs = situation.project, situation.findings.programs
    if "uv.lock" in project.locks:
        if "uv" not in programs:
            text = "uv.lock is there and uv is not installed here: pip will install, without reading the lock"
            yield Note("attention", text, "install uv (docs.astral.sh/uv), or: pipx install uv")
    elif project.locks and situation.install == "auto":
        manager = {"Pipfile.lock": "pipenv"}.get(project.locks[0], project.locks[0].split(".")[0])
        can = project.is_installable or "requirements.txt" in project.requirements
        does = "pip installs, by the project's ranges" if can else "nothing can install it"
        text = f"{project.locks[0]} is {manager}'s, which is not installed here: {does}"
        cure = f"install {manager} here and run init anew, or move to uv: uv lock"
        yield Note("attention" if can else "cannot", text, cure)
    elif project.is_installable and not project.requirements:
        text = "no lock file: each install takes the newest dependencies that fit"
        yield Note("attention", text, "uv lock && git add uv.lock && git commit")


def foreign_migrations(situation: Situation) -> Iterator[Note]:
    """Another tool's migrations are not newleaf's."""
    found = situation.findings.foreign_migrations
    if found:
        text = f"{_some(found)} belongs to another migration tool, and newleaf does not run it"
        cure = "call that tool from a migration of newleaf's, or from the command in update.install"
        yield Note("attention", text, cure)


# --- what lies beside it ----------------------------------------------------------------


def untracked(situation: Situation) -> Iterator[Note]:
    """A lock file that git does not track reaches no host."""
    found = situation.findings.untracked
    if found:
        yield Note(
            "attention", f"{_some(found)} is here but not in git: updates do not bring it", "git add it"
        )


def tracked_secrets(situation: Situation) -> Iterator[Note]:
    """A tracked `.env` is replaced by each update, as every tracked file."""
    found = [path for path in situation.findings.secrets if path in situation.checkout.tracked]
    if found:
        text = f"{_some(found)} is tracked by git: its secrets are in the history, and updates replace it"
        yield Note(
            "attention", text, f"git rm --cached {found[0]}, add it to .gitignore, and change the secrets"
        )


def other_deployers(situation: Situation) -> Iterator[Note]:
    """Two that move one checkout undo each other's work."""
    for script in situation.findings.deploy_scripts:
        text = f"{script.source} {script.why}: beside newleaf it would deploy this repository a second time"
        yield Note("attention", text, f"retire it when newleaf works: {REPLACE_GUIDE}")


def stays_down(situation: Situation) -> Iterator[Note]:
    """newleaf asks for a restart by exit code 42; a keeper must act on it (L28)."""
    start = situation.start.start
    if start and start.kind in ("systemd", "launchd") and start.refuses_exit_42:
        text = f"{start.source} leaves the daemon down after exit code 42 (restart: {start.restart})"
        cure = "Restart=always" if start.kind == "systemd" else "<key>KeepAlive</key><true/>"
        yield Note("attention", text, f'write {cure} there, or set restart.mode = "command"')


RULES: tuple[Callable[[Situation], Iterator[Note]], ...] = (
    no_commit,
    no_remote,
    remote_refused,
    submodules,
    large_files,
    no_python,
    unreadable,
    several_projects,
    several_daemons,
    shared_checkout,
    needs_build,
    interrupted,
    detached,
    another_branch,
    unpushed,
    local_edits,
    no_start,
    unlocked,
    foreign_migrations,
    untracked,
    tracked_secrets,
    other_deployers,
    stays_down,
)

OF_A_MOVING_CHECKOUT = (shared_checkout, interrupted, detached, another_branch, unpushed, local_edits)
"""What stands in the way of a checkout that moves, and in no other's."""


def _some(names: Iterable[str], limit: int = 3) -> str:
    """A few names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - limit} more" if len(listed) > limit else ""
    return ", ".join(listed[:limit]) + more
