"""Schemathesis, driven by the specification that the server serves, with valid and broken data."""
import os
import subprocess
import unittest

from support import HANG, ROOT, TOOLS, Server, make_data, python_has, run, temp_folder

SEED = os.environ.get("MEDICUS_SEED", "20")
EXAMPLES = "500" if os.environ.get("MEDICUS_SOAK") else "10"
ADMIN = "^/v1/admin"
ANSWERS = ("not_a_server_error", "status_code_conformance", "content_type_conformance",
           "response_headers_conformance", "response_schema_conformance")


@unittest.skipUnless(python_has("schemathesis"), "Schemathesis is not installed (tests/tools)")
class Fuzz(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.data = make_data(cls.enterClassContext(temp_folder()))

    def fuzz(self, server, *flags):
        """Runs in a folder of its own: it keeps what failed, to try that first the next time."""
        print(f"seed {SEED}, at most {EXAMPLES} examples of each operation and kind of data")
        env = {**os.environ, "SCHEMATHESIS_HOOKS": str(ROOT / "tests/http/fuzz_hooks.py")}
        with temp_folder() as folder:
            result = subprocess.run(
                [TOOLS / "venv/bin/schemathesis",
                 "--config-file", ROOT / "tests/http/schemathesis.toml", "run",
                 f"http://127.0.0.1:{server.port}/openapi.json", "--seed", SEED, "--no-color",
                 "--max-examples", EXAMPLES, "--request-timeout", str(HANG), *flags],
                cwd=folder, env=env, capture_output=True, text=True, check=False)
        self.assertEqual(result.returncode, 0, result.stdout[-20000:] + result.stderr[-2000:])
        self.assertIn("passed", result.stdout)
        self.assertEqual(server.get("/livez").status, 200)

    def keyed(self):
        """A data folder that asks for keys, and the flags that send one."""
        data = make_data(self.enterContext(temp_folder()))
        key = run("key", "--data", data, "add", "fuzz", "--quiet", "--rate", "1000000/s",
                  "--scope", "search,admin").stdout.decode().strip()
        return data, ("--header", "Authorization: Bearer " + key, "--header", "X-API-Key: " + key)

    def test_no_answer_is_undeclared_and_none_is_a_failure(self):
        with Server(self.data) as server:
            self.fuzz(server, "--exclude-path-regex", ADMIN)
            self.assertEqual(server.stop(), 0)
        # A failure is logged; a refusal is not. Nothing of what was sent may stand there.
        self.assertLessEqual(len(server.log), 4, server.log)

    def test_a_key_is_asked_for_where_the_specification_says_so(self):
        data, key = self.keyed()
        with Server(data) as server:
            self.fuzz(server, "--phases", "examples,coverage", "--exclude-path-regex", ADMIN, *key)

    def test_operators_routes(self):
        """What is valid depends on what was done before: their answers alone are checked."""
        data, key = self.keyed()
        with temp_folder() as folder, Server(data, "--snapshot-dir", folder) as server:
            self.fuzz(server, "--phases", "examples,coverage,fuzzing", "--include-path-regex",
                      ADMIN, "--checks", ",".join(ANSWERS), *key)


if __name__ == "__main__":
    unittest.main()
