#!/bin/sh
# Updates the factory on this host by hand, and looks whether it is back at the new commit.
set -eu
unset CDPATH

usage() {
    cat <<'END'
usage: update_factory.sh [--branch NAME] [--restart COMMAND | --no-restart] [--wait SECONDS]

Updates the factory whose repository this is, without cutting off a mission, and waits
until its new process has reported the commit.

  --branch NAME      the branch to update to (main)
  --restart COMMAND  what restarts the factory, such as 'systemctl --user restart factory';
                     otherwise it leaves by itself, and its service manager starts it again
  --no-restart       install only; what runs goes on as it is
  --wait SECONDS     for a mission to end, and for the new process (600)

Exit codes: 0 the factory is back at the new commit (with --no-restart: it is installed);
1 it is not; 2 wrong use; others as `newleaf update` has them.
END
}

say() { printf 'update_factory: %s\n' "$*"; }
fail() {
    code=$1
    shift
    say "$@" >&2
    exit "$code"
}
needs_value() { [ "$1" -ge 2 ] || fail 2 "$2 needs a value; --help tells more"; }

branch='' restart='' restarts=yes seconds=600
while [ $# -gt 0 ]; do
    case $1 in
        --branch) needs_value $# "$1"; branch=$2; shift 2 ;;
        --restart) needs_value $# "$1"; restart=$2; shift 2 ;;
        --no-restart) restarts=no; shift ;;
        --wait) needs_value $# "$1"; seconds=$2; shift 2 ;;
        -h | --help) usage; exit 0 ;;
        *) fail 2 "there is no option $1; --help tells more" ;;
    esac
done
case $seconds in '' | *[!0-9]* | 0?*) fail 2 "--wait takes whole seconds, not '$seconds'" ;; esac
if [ "$restarts" = no ] && [ -n "$restart" ]; then
    fail 2 "--restart and --no-restart exclude each other"
fi

cd -- "$(dirname -- "$0")/.."
for program in git newleaf; do
    command -v "$program" >/dev/null || fail 1 "there is no $program on PATH"
done
if [ "$restarts" = no ]; then
    export NEWLEAF_RESTART__MODE=none
elif [ -n "$restart" ]; then
    export NEWLEAF_RESTART__MODE=command NEWLEAF_RESTART__COMMAND="$restart"
fi

wanted=$(git ls-remote origin "refs/heads/${branch:-main}" | cut -f1)
[ -n "$wanted" ] || fail 1 "the remote is away, or has no branch ${branch:-main}"
deadline=$(($(date +%s) + seconds))
in_time() { [ "$(date +%s)" -lt "$deadline" ]; }

# The commit that a live process has reported, or `nothing`.
running() {
    commit=$(newleaf status --json | sed -n 's/.*"running": *{[^}]*"commit": *"\([0-9a-f]*\)".*/\1/p')
    printf '%s' "${commit:-nothing}"
}
is_installed() { git merge-base --is-ancestor "$wanted" HEAD 2>/dev/null; }
is_back() { is_installed && [ "$(running)" = "$(git rev-parse HEAD)" ]; }

# 3: another update runs; 4: it waits for a mission to end, or for the new process.
while code=0; newleaf update ${branch:+--branch "$branch"} || code=$?; [ "$code" -eq 3 ] || [ "$code" -eq 4 ]; do
    in_time || fail "$code" "it still waits after $seconds s, and is owed: newleaf why"
    sleep 1
done
[ "$code" -eq 0 ] || fail "$code" "newleaf update ended with $code; the factory is not updated"
is_installed || fail 1 "the commit $wanted is not installed: newleaf why"
if [ "$restarts" = no ]; then
    say "installed: $(git rev-parse HEAD); what runs has reported $(running)"
    exit 0
fi
until is_back; do
    in_time || fail 1 "the factory is not back at $wanted after $seconds s; it has reported $(running)"
    sleep 1
done
say "back at $(git rev-parse HEAD)"
