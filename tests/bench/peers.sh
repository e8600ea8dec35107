#!/usr/bin/env bash
# Installs what the benchmarks compare medicus with, all of it Debian packages.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=deploy/packages.sh
. "$here/../../deploy/packages.sh"

packages_install libsqlite3-dev libxapian-dev liblucene8-java default-jdk-headless libhnswlib-dev \
    libexpat1-dev nghttp2-client wrk time
