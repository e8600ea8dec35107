#!/usr/bin/env bash
# The full counts of what an operator relies on, with a release build; RESULTS.md has the bars.
set -uo pipefail

parts_all=(publish power kill full damage rebuild stop update)
if [ $# -lt 1 ] || [ "$1" = --help ]; then
    cat >&2 <<TEXT
Usage: tests/crash/soak.sh RELEASE_BUILD_FOLDER [PART...]

Parts (default: all, about an hour of a quiet machine with two cores): ${parts_all[*]}
Logs are written to RELEASE_BUILD_FOLDER/soak. MEDICUS_SEED repeats a run. update needs the shared
development data (MEDICUS_SHARED, default ../shared) and is skipped without it.
TEXT
    exit 2
fi

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$(cd "$1" && pwd) || exit 2
shift
[ $# -gt 0 ] && parts=("$@") || parts=("${parts_all[@]}")
ninja --quiet -C "$build" service/medicus \
    tests/crash/crash_{power_loss,power_loss_update,kill,disk_full} >&2 || exit 1
logs=$build/soak
mkdir -p "$logs"
medicus=$build/service/medicus
export MEDICUS_SOAK=1 MEDICUS_BIN=$medicus PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
cd "$root" || exit 1

run_part() {
    case $1 in
    publish) "$here/crash_publish.py" "$medicus" ;;
    power) "$build/tests/crash/crash_power_loss_update" && "$build/tests/crash/crash_power_loss" ;;
    kill) "$here/crash_cli.py" "$medicus" kill && "$build/tests/crash/crash_kill" ;;
    full) "$here/crash_cli.py" "$medicus" full && "$build/tests/crash/crash_disk_full" ;;
    damage) "$here/crash_damage.py" "$medicus" ;;
    rebuild)
        python3 tests/http/test_jobs.py Jobs.test_of_a_hundred_simultaneous_rebuilds_one_runs ;;
    stop) python3 tests/http/test_lifecycle.py Stop.test_accepted_requests_are_answered ;;
    update) tests/bench/update.sh "$build" ;;
    *) echo "no such part: $1" && return 2 ;;
    esac
}

failed=0
for part in "${parts[@]}"; do
    start=$SECONDS
    run_part "$part" >"$logs/$part.log" 2>&1
    status=$?
    case $status in
    0) verdict=ok ;;
    77) verdict=skipped ;;
    *) verdict="FAILED ($status)" && failed=1 ;;
    esac
    printf '%s: %s, %d s; %s\n' "$part" "$verdict" $((SECONDS - start)) "$logs/$part.log"
    grep -Ev '^(kill|round|  |\[|MEDICUS_SEED|[0-9]+ of )|^[.-]*$|^OK$' "$logs/$part.log" |
        tail -n 4 | sed 's/^/    /'
done
exit $failed
