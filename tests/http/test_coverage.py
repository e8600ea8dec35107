"""What the tests provoked of what the specification declares. Runs after all others.

Each test of this folder leaves a list of (method, path, status) in MEDICUS_CONTRACT_LOG.
"""
import json
import os
import pathlib
import sys

import yaml

from support import BIN, ROOT

# status, or (operationId, status): why no test provokes it.
LEFT_OUT = {
    408: "a deadline may also close the connection before it is announced",
    503: "overload of what is answered without a search, or, of MCP, in its own shape",
    ("mcp", 500): "a failure of a tool is a result; what is left would be a defect",
    ("terms", 500): "answered from the index alone, which was verified when it was opened",
    ("readyz", 429): "limited by wrong keys alone, as every route; test_keys.py provokes it",
    ("metrics", 429): "limited by wrong keys alone, as every route; test_keys.py provokes it",
}
# The same for the operator's routes.
OPERATORS = {
    200: "test_admin.py and test_jobs.py wait for those jobs that are quick",
    404: "before anything is built",
    409: "another writer at that moment; test_admin.py and test_jobs.py provoke some",
    500: "a store that cannot be read or written: tests/crash",
    507: "a full disk: tests/crash/test_disk_full.c",
}


def main():
    folder = os.environ.get("MEDICUS_CONTRACT_LOG")
    if not folder:
        print("skipped: MEDICUS_CONTRACT_LOG does not say where the tests left their lists")
        return 77
    newest = pathlib.Path(BIN).stat().st_mtime
    lists = {path.stem: path for path in pathlib.Path(folder).glob("*.json")}
    missing = [name for name in sys.argv[1:] if "test_" + name not in lists or
               lists["test_" + name].stat().st_mtime < newest]
    if missing:
        print("skipped: these did not run with this program:", *missing)
        return 77
    seen = {tuple(one) for path in lists.values() for one in json.loads(path.read_text())}
    spec = yaml.safe_load((ROOT / "api-spec/openapi.yaml").read_text(encoding="utf-8"))
    declared = {(method, path, int(status)): operation["operationId"]
                for path, item in spec["paths"].items() for method, operation in item.items()
                for status in operation["responses"]}
    left, reasons = [], {}
    for one, name in sorted(declared.items()):
        reason = LEFT_OUT.get((name, one[2])) or LEFT_OUT.get(one[2])
        if one[1].startswith("/v1/admin"):
            reason = reason or OPERATORS.get(one[2])
        if one not in seen and reason:
            reasons.setdefault(reason, []).append(f"{name} {one[2]}")
        elif one not in seen:
            left.append(one)
    print(f"{len(declared)} declared, {len(declared.keys() & seen)} provoked")
    for reason, names in reasons.items():
        print(f"{len(names)} not: {reason}: {', '.join(names)}")
    for one in left:
        print("not provoked, and without a reason:", *one)
    return 1 if left else 0


sys.exit(main())
