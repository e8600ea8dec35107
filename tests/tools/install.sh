#!/usr/bin/env bash
# Installs the test-time tools of requirements.txt and package.json into $MEDICUS_TOOLS (default
# .cache/tools): venv/bin/python and node/node_modules; what requirements-older.txt names is in
# older/, for PYTHONPATH; programs of Debian packages that would start a service if they were
# installed are unpacked into debian/. Does nothing when that is done already.
# Without a registry within reach it says so and fails; tests that want a tool then skip themselves.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tools=${MEDICUS_TOOLS:-$(cd "$here/../.." && pwd)/.cache/tools}
mkdir -p "$tools"
exec 9>"$tools/.lock"
flock 9

wanted=$(cat "$here"/requirements*.txt "$here/package.json" "${BASH_SOURCE[0]}" | sha256sum)
[ "$wanted" = "$(cat "$tools/.installed" 2>/dev/null)" ] && exit 0

echo "installing test-time tools into $tools" >&2
[ -x "$tools/venv/bin/python" ] || python3 -m venv "$tools/venv"
"$tools/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
rm -rf "$tools/older"
"$tools/venv/bin/pip" install --quiet --disable-pip-version-check --target "$tools/older" \
    -r "$here/requirements-older.txt"
# npm finds its scripts through PATH: the Node of the virtual environment, not the system's.
export PATH=$tools/venv/bin:$PATH
mkdir -p "$tools/node"
cp "$here/package.json" "$tools/node/"
npm install --prefix "$tools/node" --no-package-lock --no-audit --no-fund --loglevel=error >&2
rm -rf "$tools/debian"
mkdir -p "$tools/debian"
if command -v apt-get >/dev/null; then
    cd "$tools/debian"
    apt-get -q download nginx prometheus >/dev/null
    for package in *.deb; do dpkg -x "$package" .; done
    rm -f ./*.deb
fi
echo "$wanted" >"$tools/.installed"
