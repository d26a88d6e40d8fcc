"""One installation from begin to end: into the environment that is there, or into a new one.

Rules: while an environment is changed its mark says so, and only success makes it whole again; a failure
that changed nothing puts the old mark back. The old environment waits beside a new one until that is
complete, and returns when it fails.
"""

from __future__ import annotations

import os
import shutil

from msgspec import Struct

from newleaf.core.dependencies.install_errors import InstallFailed
from newleaf.update.dependencies.asides import Aside
from newleaf.update.dependencies.faults import configured_version
from newleaf.update.dependencies.fingerprints import Mark, write_mark
from newleaf.update.dependencies.installers import Installer
from newleaf.update.dependencies.inventories import first_loss, kept_packages
from newleaf.update.dependencies.needs import Kind
from newleaf.update.dependencies.venvs import Venv


class Installation(Struct, frozen=True):
    """What brings `venv` to what it should hold."""

    venv: Venv
    installer: Installer

    def refresh(self, before: Mark | None) -> None:
        """Changes the environment that is there; makes it anew when an installer took files of others along.

        Raises: InstallFailed and its kin, DiskFull, ProgramMissing, NewerSchema.
        """
        venv = self.venv
        mark_path = venv.mark_path
        venv.begin()
        try:
            self._bring()
        except BaseException:
            if before and self._left_all(before):
                write_mark(mark_path, before)
            raise
        lost = before and first_loss(venv.path, kept_packages(venv.path, before.inventory))
        if lost:
            self.renew(lost)
        else:
            venv.finish()

    def build(self) -> None:
        """Makes an environment where nothing is; a failure leaves nothing.

        Raises: InstallFailed and its kin, DiskFull, ProgramMissing, NewerSchema.
        """
        try:
            self._bring()
            # uv has just asked that Python itself, and a preflight is going to run it.
            is_known = self.venv.needs.kind is Kind.UV
            self.venv.finish(version=configured_version(self.venv.path) if is_known else None)
        except BaseException:
            shutil.rmtree(self.venv.path, ignore_errors=True)
            raise

    def renew(self, fault: str) -> None:
        """Makes a new environment, and removes the old one then.

        Raises: EnvironmentInTheWay, InstallFailed and its kin, DiskFull, ProgramMissing, NewerSchema.
        """
        aside = Aside(self.venv.path)
        aside.take()
        kept = "; the old environment is kept until the new one is complete" if aside.is_taken() else ""
        self.installer.on_line(f"{fault}: installing anew{kept}")
        try:
            self._bring()
            self._require_successor(aside, fault)
            self.venv.finish()
        except BaseException:
            aside.put_back()
            raise
        note = aside.drop()
        if note:
            self.installer.on_line(note)

    def _bring(self) -> None:
        kind = self.venv.needs.kind
        if kind is Kind.COMMAND:
            self.installer.run_own_command()
        elif kind is Kind.UV:
            self.installer.uv_sync(self.venv.path)
        else:
            if not self.venv.path.exists():
                self.installer.make_environment(self.venv.path)
            self.installer.pip_install(self.venv.require_python())

    def _require_successor(self, aside: Aside, fault: str) -> None:
        """The app's own command may make no environment; not so where a broken one had to be replaced."""
        if aside.is_taken() and not os.path.lexists(self.venv.path):
            reason = f"it ended well and made no {self.venv.path.name}, but {fault}"
            raise InstallFailed(what=self.venv.needs.installer, reason=reason)

    def _left_all(self, before: Mark) -> bool:
        """Whether a failure left all that the mark vouches for. What an own command did, nobody knows."""
        needs = self.venv.needs
        if before.state != "installed" or needs.kind is Kind.COMMAND or before.moving or needs.moving:
            return False
        return first_loss(self.venv.path, before.inventory) is None
