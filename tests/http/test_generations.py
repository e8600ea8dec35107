"""medicus generations: list, compare, activate, prune; and what a build's gate keeps back."""
import json
import pathlib
import unittest

from support import SAMPLE, Server, make_data, run, run_json, temp_folder


class Generations(unittest.TestCase):
    def numbers(self, data):
        return [g["number"] for g in run_json("generations", "--data", data, "--json")]

    def test_list_compare_roll_back_and_prune(self):
        with temp_folder() as folder:
            data = folder / "data"
            run("ingest", "--data", data, "-q", SAMPLE / "pubmed")
            run("build", "--data", data, "-q")
            extra = folder / "extra.jsonl"
            extra.write_text(json.dumps({"_id": "new", "title": "Tea", "text": "Green tea."}))
            run("ingest", "--data", data, "-q", extra)
            run("build", "--data", data, "-q")
            first, second = run_json("generations", "--data", data, "--json")[::-1]
            self.assertEqual([first["number"], second["number"]], [1, 2])
            self.assertEqual(second["documents"], first["documents"] + 1)
            self.assertEqual([first["current"], second["current"]], [False, True])
            self.assertGreater(second["bytes"], 1000)

            found = run_json("generations", "--data", data, "compare", "1", "2", "--json", "--ids")
            self.assertEqual(found["added_ids"], ["doc:new"])
            self.assertEqual([found["changed"], found["removed"]], [0, 0])
            self.assertEqual(found["same"], first["documents"])
            self.assertGreater(found["canary"]["queries"], 40)
            self.assertGreater(found["canary"]["overlap"], 0.9)
            back = run_json("generations", "--data", data, "compare", "2", "1", "--json", "--ids")
            self.assertEqual(back["removed_ids"], ["doc:new"])
            text = run("generations", "--data", data, "compare", "1", "2", "--ids").stdout.decode()
            self.assertIn("added\tdoc:new\n", text)

            run("generations", "--data", data, "activate", "1")
            hits = run_json("search", "--data", data, "--json", "--mode", "lexical", "tea")
            self.assertEqual(hits["generation"], 1)
            run("generations", "--data", data, "activate", "2")
            self.assertEqual(self.numbers(data), [2, 1])
            self.assertEqual(
                run_json("generations", "--data", data, "prune", "--keep", "1", "--json"),
                {"removed": 1})
            self.assertEqual(self.numbers(data), [2])

    def test_what_is_damaged_is_not_activated(self):
        with temp_folder() as folder:
            data = make_data(folder / "data")
            run("build", "--data", data, "-q")
            overlay = next((pathlib.Path(data) / "generations/1").glob("overlay"))
            spoiled = bytearray(overlay.read_bytes())
            spoiled[len(spoiled) // 2] ^= 1
            overlay.write_bytes(spoiled)
            result = run("generations", "--data", data, "activate", "1", ok=False)
            self.assertEqual(result.returncode, 6, result.stderr)
            self.assertEqual(run_json("search", "--data", data, "--json", "a")["generation"], 2)

    def test_a_damaged_current_is_repaired_by_what_the_message_says(self):
        with temp_folder() as folder:
            data = make_data(folder / "data")
            (data / "CURRENT").write_text("?")
            for command in (["update"], ["build"], ["search", "gout"]):
                result = run(*command, "--data", data, ok=False)
                self.assertEqual(result.returncode, 6)
                self.assertIn(b"generations --data " + str(data).encode() + b" activate",
                              result.stderr)
            self.assertEqual(self.numbers(data), [1])
            run("generations", "--data", data, "activate", "1")
            run("update", "--data", data)

    def test_wrong_use(self):
        with temp_folder() as folder:
            data = make_data(folder / "data")
            for args, status in ((["activate", "9"], 4), (["activate", "x"], 2), (["what"], 2),
                                 (["compare", "1"], 2), (["compare", "1", "9"], 4)):
                result = run("generations", "--data", data, *args, ok=False)
                self.assertEqual(result.returncode, status, (args, result.stderr))

    def test_what_a_server_uses_is_shown_and_kept(self):
        with temp_folder() as folder:
            data = make_data(folder / "data")
            with Server(data):
                shown = run_json("generations", "--data", data, "--json")
                self.assertEqual([g["pinned"] for g in shown], [True])


class Gate(unittest.TestCase):
    """The checks themselves are in tests/unit/test_gate.c; here is what the operator sees."""

    def test_a_build_that_answers_otherwise_is_kept_back(self):
        with temp_folder() as folder:
            data = make_data(folder / "data")
            result = run("build", "--data", data, "--retrain", "--seed", "5", "--gate-overlap", "1",
                         ok=False)
            self.assertEqual(result.returncode, 11, result.stderr)
            self.assertIn(b"canary queries", result.stderr)
            self.assertIn(b"expected", result.stderr)
            self.assertEqual(len(run_json("generations", "--data", data, "--json")), 1)
            left = [p.name for p in (pathlib.Path(data) / "generations").iterdir()]
            self.assertEqual(left, ["1"])
            run("build", "--data", data, "--retrain", "--seed", "5", "--gate-overlap", "0", "-q")
            self.assertEqual(len(run_json("generations", "--data", data, "--json")), 2)


if __name__ == "__main__":
    unittest.main()
