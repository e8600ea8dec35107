#!/usr/bin/env python3
"""openapi.yaml is clean for Redocly and Spectral, and each example is one that its schema allows.

Usage: test_openapi.py ROOT. Linters that are not installed are reported and skipped (exit 77).
"""
import copy
import os
import pathlib
import subprocess
import sys

import yaml

ROOT = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(ROOT / "tests/http"))
# pylint: disable=wrong-import-position
from contract import Contract, close, walk  # noqa: E402
from support import NODE, NODE_MODULES, node_has  # noqa: E402

SPEC = ROOT / "api-spec/openapi.yaml"


def examples_of(node):
    """The examples of a parameter, header or media type, as (name, value)."""
    if "example" in node:
        yield "example", node["example"]
    for name, example in node.get("examples", {}).items():
        yield name, example


def check_examples(contract):
    """Yields what is wrong; examples are held against closed schemas: a new key is wrong."""
    spec = contract.closed
    owners = [(name, node) for name, node in named_nodes(spec, "$") if "schema" in node]
    for where, node in owners:
        for name, example in examples_of(node):
            example = contract.follow(example) if isinstance(example, dict) else example
            value = example["value"] if name != "example" else example
            try:
                contract.validate(value, node["schema"], f"{where}.{name}")
            except AssertionError as error:
                yield str(error)
        if where.rsplit(".", 1)[-1] in ("application/json", "application/problem+json"):
            if not node.get("examples") and not node.get("example"):
                yield f"{where}: no example"
    for node in walk(spec):
        if "type" in node and isinstance(node.get("example"), (str, int)):
            try:
                contract.validate(node["example"], node, "schema")
            except AssertionError as error:
                yield str(error)


def named_nodes(node, where):
    if isinstance(node, dict):
        yield where, node
        for key, child in node.items():
            yield from named_nodes(child, f"{where}.{key}")
    elif isinstance(node, list):
        for i, child in enumerate(node):
            yield from named_nodes(child, f"{where}[{i}]")


def lint(name, script, *args):
    """None, or what the linter said; neither of the two may look for updates or report usage."""
    env = {**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
           "CI": "1", "NO_COLOR": "1", "PATH": f"{NODE.parent}:{os.environ['PATH']}"}
    result = subprocess.run([NODE, NODE_MODULES / script, "lint", *args, SPEC], env=env,
                            timeout=300, capture_output=True, text=True, check=False)
    # Redocly counts only errors in its status; a warning about its own configuration is one too.
    if result.returncode or "warning" in result.stderr.lower():
        return f"{name}:\n{result.stdout}{result.stderr}"
    return None


def main():
    spec = yaml.safe_load(SPEC.read_text(encoding="utf-8"))
    assert close(copy.deepcopy(spec)) != spec
    problems = list(check_examples(Contract(spec)))
    skipped = False
    for name, package, script, args in (
            ("Redocly", "@redocly/cli", "@redocly/cli/bin/cli.js",
             ["--config", ROOT / "tests/lint/redocly.yaml", "--format", "stylish"]),
            ("Spectral", "@stoplight/spectral-cli", "@stoplight/spectral-cli/dist/index.js",
             ["-F", "hint", "-r", ROOT / "tests/lint/spectral.yaml"])):
        if not node_has(package):
            print(f"skipped: {name} is not installed (tests/tools/install.sh)")
            skipped = True
            continue
        said = lint(name, script, *args)
        if said:
            problems.append(said)
    print("\n".join(problems) or "clean")
    return 1 if problems else 77 if skipped else 0


sys.exit(main())
