"""The official MCP conformance suite against the program with fixtures (mcp_fixture.c).

mcp_conformance.json lists, with reasons, what does not apply; the list must be exact.
"""
import json
import os
import re
import subprocess
import sys
import unittest

from support import BIN, HANG, NODE, NODE_MODULES, ROOT, Server, make_data, node_has, temp_folder

PACKAGE = "@modelcontextprotocol/conformance"
FIXTURE_BIN = os.environ.get("MEDICUS_MCP_FIXTURE_BIN",
                             str(ROOT / "build/tests/http/medicus_mcp_fixture"))
LIST = json.loads((ROOT / "tests/http/mcp_conformance.json").read_text())


def suite(*args):
    return subprocess.run([NODE, NODE_MODULES / PACKAGE / "dist/index.js", *map(str, args)],
                          capture_output=True, text=True, timeout=HANG, check=False)


def not_offered(revision):
    return {entry for row in LIST["not_offered"] for entry in row[revision]}


def failures(folder):
    """{scenario: ids of checks that failed or warned}"""
    found = {}
    for file in folder.glob("server-*/checks.json"):
        scenario = re.fullmatch(r"server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z", file.parent.name).group(1)
        checks = [c for c in json.loads(file.read_text()) if c["status"] != "INFO"]
        found[scenario] = {c["id"] for c in checks if c["status"] in ("FAILURE", "WARNING")}
    return found


@unittest.skipUnless(node_has(PACKAGE), f"the npm package {PACKAGE} is not installed")
class Conformance(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = temp_folder()
        cls.data = make_data(cls.folder.__enter__() / "data")

    @classmethod
    def tearDownClass(cls):
        cls.folder.__exit__(None, None, None)

    def check(self, revision, *selection, expected_of=None):
        """All scenarios of a selection; what is not offered may be listed with another revision."""
        listed = suite("list", *selection, "--server").stdout
        listed = listed.split("Server scenarios")[1].split("Client scenarios")[0]
        wanted = set(re.findall(r"^  - (\S+)", listed, re.M))
        self.assertGreater(len(wanted), 25, listed)
        server = Server(self.data)
        server.command[0] = FIXTURE_BIN
        with temp_folder() as results, server:
            ran = suite("server", "--url", f"http://127.0.0.1:{server.port}/mcp",
                        *(("--suite", "all") if expected_of else ()), *selection,
                        "--output-dir", results)
            found = failures(results)
        self.assertLessEqual(wanted, set(found), ran.stdout + ran.stderr)
        expected, bad = not_offered(expected_of or revision), []
        if expected_of:  # which has scenarios that the older one has not
            expected = {e for e in expected if e.split(":")[0] in wanted}
        for scenario, failed in sorted(found.items()):
            if scenario.startswith(tuple(LIST["extensions"])):
                continue
            if scenario in expected:
                if not failed:
                    bad.append(f"{scenario} passes and is listed")
                continue
            listed = {e.split(":")[1] for e in expected if e.startswith(scenario + ":")}
            bad += [f"{scenario}:{check} fails" for check in failed - listed]
            bad += [f"{scenario}:{check} passes and is listed" for check in listed - failed]
        bad += [f"{e} is listed and did not run" for e in expected if e.split(":")[0] not in found]
        self.assertEqual(bad, [], ran.stdout)

    def test_revision_2025_06_18(self):
        self.check("2025-06-18", "--spec-version", "2025-06-18", expected_of="2025-11-25")

    def test_revision_2025_11_25(self):
        self.check("2025-11-25", "--requirements", "2025-11-25")

    def test_revision_2026_07_28(self):
        self.check("2026-07-28", "--requirements", "2026-07-28")

    def test_the_program_itself_has_no_fixtures(self):
        requests = "".join(json.dumps({"jsonrpc": "2.0", "id": i, "method": method}) + "\n"
                           for i, method in enumerate(("tools/list", "resources/list",
                                                       "resources/templates/list",
                                                       "prompts/list")))
        for program, has in ((BIN, False), (FIXTURE_BIN, True)):
            answer = subprocess.run([program, "mcp", "--data", self.data, "--quiet"],
                                    input=requests, capture_output=True, text=True, timeout=HANG,
                                    check=True).stdout
            self.assertEqual(len(answer.splitlines()), 4)
            self.assertEqual("test_simple_text" in answer, has)
            self.assertEqual("test://" in answer, has)
            self.assertEqual(b"test_simple_text" in open(program, "rb").read(), has)


if __name__ == "__main__":
    if not node_has(PACKAGE):
        print(f"skipped: the npm package {PACKAGE} is not installed")
        sys.exit(77)
    unittest.main()
