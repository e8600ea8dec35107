#!/usr/bin/env python3
"""mcp-tools.json -> a C file with its parts as JSON: embed_mcp.py IN.json OUT.c"""
import json
import sys

PARTS = ("instructions", "tools", "resourceTemplates")


def main():
    source, target = sys.argv[1:3]
    with open(source, encoding="utf-8") as f:
        spec = json.load(f)
    if sorted(spec) != sorted(PARTS):
        sys.exit(f"{source}: the keys are {', '.join(PARTS)}")
    with open(target, "w", encoding="ascii") as f:
        f.write('#include "service/mcp.h"\n\n')
        for part in PARTS:
            data = json.dumps(spec[part], separators=(",", ":")).encode("ascii")
            f.write(f"static const char part_{part}[] = {{\n")
            for i in range(0, len(data), 24):
                f.write("    " + ",".join(map(str, data[i:i + 24])) + ",\n")
            f.write("    0};\n")
        names = ", ".join("part_" + part for part in PARTS)
        f.write(f"const char *const mcp_spec[MCP_SPEC_COUNT] = {{{names}}};\n")


main()
