#!/usr/bin/env python3
"""mcp-tools.json -> a C file: embed_mcp.py IN.json OUT.c

Its parts as JSON, as the lists of MCP send them; the texts of prompts, which lists do not send, in
a table of their own."""
import json
import sys

PARTS = ("instructions", "tools", "resources", "resourceTemplates", "prompts")


def prompt_row(prompt):
    """A row of mcp_prompts; each argument stands as {name} in the text."""
    text = prompt.pop("text")
    names = [a["name"] for a in prompt["arguments"]]
    if not 1 <= len(names) <= 2 or not all(a["required"] for a in prompt["arguments"]):
        sys.exit(f"prompt {prompt['name']}: one or two arguments, all of them required")
    if any("{" + n + "}" not in text for n in names):
        sys.exit(f"prompt {prompt['name']}: an argument is missing in its text")
    arguments = ", ".join(map(json.dumps, names))
    strings = [json.dumps(s) for s in (prompt["name"], prompt["description"], text)]
    return "    {" + ", ".join(strings) + ", {" + arguments + "}},\n"


def main():
    source, target = sys.argv[1:3]
    with open(source, encoding="utf-8") as f:
        spec = json.load(f)
    if sorted(spec) != sorted(PARTS):
        sys.exit(f"{source}: the keys are {', '.join(PARTS)}")
    rows = "".join(map(prompt_row, spec["prompts"]))
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
        f.write(f"const struct mcp_prompt mcp_prompts[] = {{\n{rows}    {{0}}}};\n")


main()
