#!/usr/bin/env bash
# Builds the Debian package from this checkout.
set -euo pipefail

usage() {
    cat <<'TEXT'
Usage: deploy/package.sh [--output FOLDER]

Installs what building needs, builds medicus_*.deb with debhelper and puts it into FOLDER (default
build/package). Install it with `apt install ./medicus_*.deb`.
TEXT
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
output=$root/build/package
while [ $# -gt 0 ]; do
    case $1 in
    --output) output=${2:?"--output needs a folder"}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
    shift
done

# shellcheck source=deploy/packages.sh
. "$root/deploy/packages.sh"
packages_install "${packages_build[@]}" build-essential debhelper

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/medicus"
tar -C "$root" --exclude='./.git' --exclude='./.cache' --exclude='./build*' -cf - . |
    tar -C "$work/medicus" -xf -
cp -r "$root/deploy/debian" "$work/medicus/debian"
# One list of packages: what is installed for building is what the package declares.
needed=$(printf '%s, ' "${packages_build[@]}")
sed -i "s/@build@/${needed%, }/" "$work/medicus/debian/control"
if ! (cd "$work/medicus" && dpkg-buildpackage --build=binary --no-sign) >"$work/log" 2>&1; then
    tail -n 40 "$work/log" >&2
    echo "error: the package does not build" >&2
    exit 1
fi
mkdir -p "$output"
cp "$work"/medicus_*.deb "$output/"
ls "$output"/medicus_*.deb
