"""How channels, sources and calls over HTTP can fail, as data. See `core.errors`."""

from __future__ import annotations

from newleaf.core.errors import FailedError, RefusedError, UsageError

# --- channels ---------------------------------------------------------------------------


class PinInvalid(UsageError):
    """{pin!r} is no version and no full commit id"""

    code = "pin_invalid"
    cure = "name a version such as 1.3.0, a tag, or the 40 digits of a commit"


class MinorInvalid(UsageError):
    """deployment.pinned_minor is {minor!r}, and must be two numbers in quotes"""

    code = "minor_invalid"
    cure = 'the channel stable needs one: pinned_minor = "1.3"'


class RemoteLacks(FailedError):
    """the remote answered, and does not have what is looked for: {reason}"""

    code = "remote_lacks"


class PinMissing(RemoteLacks):
    """the remote has no tag for the version {version} (looked for {prefix}{version})"""

    code = "pin_missing"
    cure = "push the tag, or name another version; where it is pinned, `newleaf unpin` returns to the channel"


class NothingPublished(RemoteLacks):
    """there is no first release to begin with: {reason}"""

    code = "nothing_published"
    cure = "publish one, or follow the branch: newleaf init --slots --channel alpha"


class BranchMissing(RemoteLacks):
    """the remote has no branch {branch}"""

    code = "branch_missing"
    cure = "name a branch that it has, with --branch, or as source.branch in host.toml"


# --- calls over HTTP --------------------------------------------------------------------


class UrlInvalid(UsageError):
    """{what}: the address {url} {reason}"""

    code = "url_invalid"


class ProxyInvalid(UsageError):
    """the proxy that the environment names (https_proxy, http_proxy, all_proxy) is not http://host:port"""

    code = "proxy_invalid"
    cure = "correct the variable, or list the host in no_proxy"


class AddressRefused(RefusedError):
    """{what}: {host} leads to {address} ({kind}), which newleaf does not call unasked"""

    code = "address_refused"
    cure = "if it is meant, name {host} in notify.allow_private in host.toml"


class HttpFailed(FailedError):
    """{what}: {host} {reason}"""

    code = "http_failed"


class HttpTimedOut(HttpFailed):
    """{what}: {host} did not answer completely within {seconds:g} s"""

    code = "http_timed_out"


# --- sources ----------------------------------------------------------------------------


class ApiLimited(FailedError):
    """GitHub's API ({host}) wants to be left alone until {until:%Y-%m-%dT%H:%M:%SZ} ({status})"""

    code = "api_limited"
    cure = "nothing to do: it is asked again then; with a source.token_file it may be asked more often"


class ApiDenied(FailedError):
    """GitHub's API ({host}) does not show the releases of {repository} to this host ({status})"""

    code = "api_denied"
    cure = 'a private repository needs a source.token_file that may read it; or set source.releases = "tags"'


class ApiBroken(FailedError):
    """GitHub's API ({host}) {reason}"""

    code = "api_broken"
    cure = "the next look asks again; source.api_url must be the root of the API"


class TokenInClear(UsageError):
    """the token in source.token_file is not sent to {host} over http"""

    code = "token_in_clear"
    cure = "make source.api_url an https address"


class ReleaseWithoutTag(RemoteLacks):
    """the newest release is called {tag}, and the remote has no such tag"""

    code = "release_without_tag"
    cure = "push the tag, or withdraw the release"


class TagMoved(RefusedError):
    """the tag {tag} was {first} when this host first saw it, and is {now} now"""

    code = "tag_moved"
    cure = "publish a new version instead; if the move is meant, remove the tag's line from {path}"
