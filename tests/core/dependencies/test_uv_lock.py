"""What a lock file says of local packages and sizes."""

from __future__ import annotations

from packaging.tags import Tag

from newleaf.core.dependencies.uv_lock import (
    LocalPackage,
    Selection,
    Target,
    download_bytes,
    local_packages,
    most_bytes,
)

LOCK = b"""
version = 1
revision = 5
requires-python = ">=3.11"

[[package]]
name = "sessions"
version = "1.0.0"
source = { editable = "." }
dependencies = [
    { name = "leaflet" },
    { name = "twig", extra = ["bark"], marker = "sys_platform == 'linux'" },
    { name = "moss", marker = "sys_platform == 'win32'" },
]

[package.optional-dependencies]
tree = [{ name = "oak", version = "2.0" }]

[package.dev-dependencies]
dev = [{ name = "beet" }]

[[package]]
name = "Leaf_Let"
version = "9"
source = { virtual = "libs/virtual" }

[[package]]
name = "branch"
source = { directory = "libs/branch" }

[[package]]
name = "leaflet"
version = "1.0"
source = { registry = "https://example.org/simple" }
sdist = { url = "https://example.org/leaflet-1.0.tar.gz", size = 5 }
wheels = [
    { url = "https://example.org/leaflet-1.0-cp311-cp311-linux_x86_64.whl", hash = "sha256:aa", size = 100 },
    { url = "https://example.org/leaflet-1.0-cp311-cp311-win_amd64.whl", hash = "sha256:bb", size = 900 },
]

[[package]]
name = "twig"
version = "1.0"
source = { registry = "https://example.org/simple" }
dependencies = [{ name = "leaflet" }]
wheels = [{ url = "https://example.org/twig-1.0-py3-none-any.whl", size = 10 }]

[package.optional-dependencies]
bark = [{ name = "bark", marker = "extra == 'extra-8-sessions-odd' and nonsense" }]

[[package]]
name = "bark"
version = "1.0"
source = { registry = "https://example.org/simple" }
sdist = { url = "https://example.org/bark-1.0.tar.gz", size = 1000 }

[[package]]
name = "moss"
version = "1.0"
source = { registry = "https://example.org/simple" }
wheels = [{ url = "https://example.org/moss-1.0-py3-none-any.whl", size = 10000 }]

[[package]]
name = "oak"
version = "1.0"
source = { registry = "https://example.org/simple" }
wheels = [{ url = "https://example.org/oak-1.0-py3-none-any.whl", size = 100000 }]

[[package]]
name = "oak"
version = "2.0"
source = { registry = "https://example.org/simple" }
wheels = [{ url = "https://example.org/oak-2.0-py3-none-any.whl", size = 1000000 }]

[[package]]
name = "beet"
version = "1.0"
source = { registry = "https://example.org/simple" }
wheels = [{ filename = "beet-1.0-py3-none-any.whl", size = 10000000 }]
"""

TAGS = frozenset({Tag("cp311", "cp311", "linux_x86_64"), Tag("py3", "none", "any")})
LINUX = Target({"sys_platform": "linux"}, TAGS)


def test_packages_of_the_tree_are_found_with_how_they_are_installed() -> None:
    assert local_packages(LOCK) == (
        LocalPackage("sessions", "editable", "."),
        LocalPackage("leaf-let", "virtual", "libs/virtual"),
        LocalPackage("branch", "directory", "libs/branch"),
    )
    assert local_packages(LOCK.replace(b"\n", b"\r\n")) == local_packages(LOCK)
    assert local_packages(b"") == ()


def test_a_glance_adds_up_every_size() -> None:
    assert most_bytes(LOCK) == 11112015
    assert most_bytes(b"") == 0


def test_what_the_root_needs_here_is_counted_once() -> None:
    assert download_bytes(LOCK, Selection("sessions"), LINUX) == 100 + 10 + 1000


def test_markers_decide_by_platform() -> None:
    windows = Target({"sys_platform": "win32"}, TAGS)
    assert download_bytes(LOCK, Selection("sessions"), windows) == 100 + 10000


def test_extras_and_groups_are_counted_when_chosen() -> None:
    least = download_bytes(LOCK, Selection("sessions"), LINUX)
    assert download_bytes(LOCK, Selection("sessions", extras=("tree",)), LINUX) == least + 1000000
    assert download_bytes(LOCK, Selection("sessions", groups="all"), LINUX) == least + 10000000
    assert download_bytes(LOCK, Selection("sessions", extras=("gone",)), LINUX) == least


def test_what_is_installed_is_not_counted() -> None:
    there = Target(LINUX.markers, TAGS, frozenset({("leaflet", "1.0"), ("twig", "0.9")}))
    assert download_bytes(LOCK, Selection("sessions"), there) == 10 + 1000


def test_without_a_known_root_everything_is_counted() -> None:
    assert download_bytes(LOCK, Selection(None), LINUX) > 11000000


def test_no_fitting_wheel_then_the_largest_file_counts() -> None:
    mac = Target(LINUX.markers, frozenset({Tag("py3", "none", "any")}))
    assert download_bytes(LOCK, Selection("sessions"), mac) == 900 + 10 + 1000


def test_a_lock_that_nobody_can_read_counts_nothing() -> None:
    for lock in (b"[[package", b"\xff", b"package = 3", b"[[package]]\nname = 3\n", b"package = ['x']"):
        assert download_bytes(lock, Selection("sessions"), LINUX) == 0
