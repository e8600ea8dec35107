#!/usr/bin/env bash
# Every C and C++ file is as clang-format (Debian 12's, with .clang-format) writes it.
set -euo pipefail
root=$1
folders=(common embed index service tests)
for i in "${!folders[@]}"; do folders[i]=$root/${folders[i]}; done
find "${folders[@]}" \( -name '*.c' -o -name '*.h' -o -name '*.cc' \) -print0 |
    xargs -0 clang-format --dry-run -Werror
