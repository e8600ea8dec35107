# Debian packages, in one place; sourced by deploy/quickstart.sh and tests/run.sh.
# shellcheck shell=bash disable=SC2034

packages_build=(
    gcc g++ meson ninja-build pkg-config python3 python3-yaml
    libmicrohttpd-dev libfaiss-dev libopenblas-openmp-dev libcjson-dev liblmdb-dev
    libxml2-dev zlib1g-dev libisal-dev libarchive-dev libcmark-gfm-dev libcmark-gfm-extensions-dev
    libyaml-dev libzstd-dev libsodium-dev libgnutls28-dev libstemmer-dev libutf8proc-dev
    libxxhash-dev libgomp1 libsystemd-dev nettle-dev
)
# What a machine needs that only runs the program.
packages_run=(
    libmicrohttpd12 libopenblas0-openmp libcjson1 liblmdb0 libxml2 zlib1g libisal2 libarchive13
    libcmark-gfm0.29.0.gfm.6 libcmark-gfm-extensions0.29.0.gfm.6 libyaml-0-2 libzstd1 libstemmer0d
    libutf8proc2 libgomp1 libsodium23 libgnutls30 libstdc++6 libsystemd0 libnettle8
)
packages_demo=(curl ca-certificates)
packages_test=(
    libcmocka-dev clang-format clang-tidy git curl procps python3-jsonschema python3-venv jq
    mandoc zsh fish strace systemd openssl debootstrap buildah debhelper lintian
    chromium valgrind
)

# Installs what is missing, as root or through sudo. Says what it does.
packages_install() {
    local missing=() package
    for package in "$@"; do
        if ! dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed'; then
            missing+=("$package")
        fi
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if ! command -v apt-get >/dev/null; then
        echo "error: this is not a Debian system; install the equivalents of: ${missing[*]}" >&2
        return 1
    fi
    local run=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "error: run this as root, or install sudo; missing packages: ${missing[*]}" >&2
            return 1
        fi
        run=(sudo)
    fi
    echo "installing: ${missing[*]}" >&2
    "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q >/dev/null
    "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        "${missing[@]}" >/dev/null
}
