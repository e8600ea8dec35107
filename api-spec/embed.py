#!/usr/bin/env python3
"""openapi.yaml -> a C file with the same document as JSON: embed.py IN.yaml OUT.c VERSION"""
import json
import sys

import yaml


def main():
    source, target, version = sys.argv[1:4]
    with open(source, encoding="utf-8") as f:
        spec = yaml.safe_load(f)
    spec["info"]["version"] = version
    data = (json.dumps(spec, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
    with open(target, "w", encoding="ascii") as f:
        f.write('#include "service/openapi.h"\n\nconst char openapi_json[] = {\n')
        for i in range(0, len(data), 24):
            row = ",".join(str(b if b < 128 else b - 256) for b in data[i:i + 24])
            f.write("    " + row + ",\n")
        f.write("    0};\n")
        f.write(f"const size_t openapi_json_len = {len(data)};\n")


main()
