#!/usr/bin/env bash
# Installs what the tests need and runs every suite.
set -uo pipefail

usage() {
    cat <<'TEXT'
Usage: tests/run.sh [--soak] [--suite NAME]...

Suites: lint, unit, http, browser, crash, recall, fuzz, deploy (under address and
undefined-behaviour sanitizers), quality, bench, counts (release build).

  --soak        the full counts of the sampled suites (crash points, seeds, recall sizes):
                hours, not minutes
  --suite NAME  only this suite (may be repeated)

MEDICUS_SEED=N repeats a random test; MEDICUS_SHARED=DIR says where the shared development
data is (default ../shared): tests that need it are skipped, with a reason, where it is absent.
MEDICUS_TOOLS=DIR says where tests/tools installs to (default .cache/tools).
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
suites=()
while [ $# -gt 0 ]; do
    case $1 in
    --soak) export MEDICUS_SOAK=1 ;;
    --suite) suites+=("${2:?"--suite needs a name"}"); shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
    shift
done
[ ${#suites[@]} -eq 0 ] &&
    suites=(lint unit http browser crash recall fuzz deploy quality bench counts)
cd "$root" || exit 1
export MEDICUS_SHARED=${MEDICUS_SHARED:-$(cd "$root/.." && pwd)/shared}

# shellcheck source=deploy/packages.sh
. "$root/deploy/packages.sh"
packages_install "${packages_build[@]}" "${packages_demo[@]}" "${packages_test[@]}" || exit 1
export MEDICUS_TOOLS=${MEDICUS_TOOLS:-$root/.cache/tools}
"$root/tests/tools/install.sh" ||
    echo "warning: no test-time tools; the tests that need them are skipped" >&2

# OpenBLAS and OpenMP keep their pools until the process ends: not leaks. What is ours has no
# suppression.
# (detect_stack_use_after_return stays off: GCC 12 misaligns 64-byte vectors on the fake stack.)
export ASAN_OPTIONS=strict_string_checks=1:allocator_may_return_null=1
export LSAN_OPTIONS=suppressions=$root/tests/support/lsan.supp:print_suppressions=0
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1

passed=0 failed=0 skipped=0

# run_suites BUILD_FOLDER SUITE...: adds to the counts; shows the log of what failed.
run_suites() {
    local build=$1 args=() suite log
    shift
    for suite in "$@"; do args+=(--suite "$suite"); done
    log=$build/meson-logs/run.txt
    meson test -C "$build" --print-errorlogs "${args[@]}" \
        --timeout-multiplier "$((${MEDICUS_SOAK:-0} * 99 + 1))" 2>&1 | tee "$log"
    count() { sed -n "s/^$1: *\([0-9]*\).*/\1/p" "$log" | tail -n 1; }
    local ok fail skip timeout
    ok=$(count Ok) fail=$(count Fail) skip=$(count Skipped) timeout=$(count Timeout)
    passed=$((passed + ${ok:-0}))
    skipped=$((skipped + ${skip:-0}))
    failed=$((failed + ${fail:-0} + ${timeout:-0}))
    [ -n "$ok" ] || failed=$((failed + 1)) # the build itself failed
}

configure() { # FOLDER OPTIONS...
    local build=$1
    shift
    [ -f "$build/build.ninja" ] || meson setup "$build" "$root" "$@" >/dev/null || exit 1
}

sanitized=() released=()
for suite in "${suites[@]}"; do
    case $suite in
    quality | bench | counts) released+=("$suite") ;;
    *) sanitized+=("$suite") ;;
    esac
done
if [ ${#sanitized[@]} -gt 0 ]; then
    configure "$root/build-asan" --buildtype=debugoptimized \
        -Db_sanitize=address,undefined -Db_lundef=false
    run_suites "$root/build-asan" "${sanitized[@]}"
fi
if [ ${#released[@]} -gt 0 ]; then
    configure "$root/build" --buildtype=release
    run_suites "$root/build" "${released[@]}"
fi

printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
