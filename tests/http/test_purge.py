"""`medicus purge`: what was purged is in no file below the data folder, in no answer of a server
that runs on, and does not come back with the file it came from."""
import fcntl
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import threading
import time
import unittest

from support import BIN, HANG, Server, make_data, run, run_json, temp_folder

SECRET = "doc:secret-1"
# Short and hardly compressible, so that the store keeps the bytes as they are.
PHRASE = "Vqzjk wyxgh brmpt lcnds ufoae"
JOURNAL = "Annals of Matters Nobody Should Read"
NATIVE = json.dumps({"id": SECRET, "title": PHRASE, "abstract": "Xkcq vbnm.",
                     "journal": {"title": JOURNAL}}) + "\n"


def files_with(folder, *texts):
    """Names of the files below the folder that hold one of the texts."""
    found = []
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if path.is_file():
            data = path.read_bytes().lower()
            if any(text.lower().encode() in data for text in texts):
                found.append(str(path.relative_to(folder)))
    return found


def ingest(data, text, *flags):
    with temp_folder() as folder:
        path = folder / "secret.jsonl"
        path.write_text(text)
        return run_json("ingest", "--data", data, "--quiet", "--json", *flags, path)


def found_ids(data, query):
    answer = run_json("search", "--data", data, "--json", "--limit", "50", query)
    return [r["document_id"] for r in answer["results"]]


class Purge(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = temp_folder()
        cls.base = cls.holder.__enter__() / "base"
        make_data(cls.base)
        ingest(cls.base, NATIVE)
        run("update", "--data", cls.base, "--quiet")

    @classmethod
    def tearDownClass(cls):
        cls.holder.__exit__(None, None, None)

    def setUp(self):
        self.data = pathlib.Path(shutil.copytree(self.base, self.base.parent / self.id()))

    def tearDown(self):
        shutil.rmtree(self.data)

    def purge(self, *args, ok=True):
        return run("purge", "--data", self.data, "--quiet", "--json", *args, ok=ok)

    def assert_gone(self):
        self.assertEqual(files_with(self.data, PHRASE, JOURNAL, SECRET), [])
        self.assertEqual(found_ids(self.data, "vqzjk"), [])
        self.assertEqual(run("fetch", "--data", self.data, SECRET, ok=False).returncode, 4)
        run("check", "--data", self.data)

    def test_nothing_of_it_is_left_below_the_data_folder(self):
        self.assertEqual(found_ids(self.data, "vqzjk"), [SECRET])
        before = files_with(self.data, PHRASE, JOURNAL, SECRET)
        self.assertIn("docs/data.mdb", before)
        self.assertTrue(any(name.startswith("segments/") for name in before), before)
        report = json.loads(self.purge("--yes", SECRET).stdout)
        self.assertEqual((report["purged"], report["related"]), (1, []))
        self.assertGreaterEqual(report["generations_removed"], 1)
        self.assert_gone()
        self.assertEqual(len(run_json("info", "--data", self.data, "--json")["generations"]), 1)

    def test_it_does_not_come_back_unless_it_is_let_in(self):
        self.purge("--yes", SECRET)
        self.assertEqual(ingest(self.data, NATIVE)["blocked"], 1)
        run("update", "--data", self.data, "--quiet")
        self.assert_gone()
        self.assertEqual(run("purge", "--data", self.data, "--allow", "doc:other",
                             ok=False).returncode, 4)
        self.purge("--allow", SECRET)
        self.assertEqual(ingest(self.data, NATIVE)["added"], 1)
        run("update", "--data", self.data, "--quiet")
        self.assertEqual(found_ids(self.data, "vqzjk"), [SECRET])

    def test_a_document_of_a_large_segment_with_older_versions(self):
        for title in (PHRASE + " second", PHRASE + " third"):
            ingest(self.data, NATIVE.replace(PHRASE, title))
            run("update", "--data", self.data, "--quiet")
        run("build", "--data", self.data, "--quiet")
        sample = next(i for i in found_ids(self.data, "year:1900..")  # that nobody links to
                      if not any("statements" in name for name in files_with(self.data, i)))
        report = json.loads(self.purge("--yes", SECRET, sample).stdout)
        self.assertEqual(report["purged"], 2)
        self.assert_gone()
        self.assertEqual(files_with(self.data, sample), [])

    def test_a_deleted_document_and_one_that_is_not_indexed(self):
        ingest(self.data, NATIVE.replace(SECRET, "doc:secret-2").replace(PHRASE, PHRASE + " two"))
        with temp_folder() as folder:
            ids = folder / "ids.txt"
            ids.write_text(f"{SECRET}\n\n  doc:secret-2  \n{SECRET}\n")
            report = json.loads(self.purge("--yes", "--from", ids).stdout)
        self.assertEqual(report["purged"], 2)
        self.assert_gone()
        self.assertEqual(files_with(self.data, "doc:secret-2"), [])

    def test_what_is_refused_changes_nothing(self):
        before = run_json("info", "--data", self.data, "--json")
        for args, status, words in (
                ((SECRET,), 2, b"--yes"),
                (("--yes",), 2, b"which documents"),
                (("--yes", SECRET, "doc:nobody"), 4, b"doc:nobody"),
                (("--yes", "990000101"), 3, b"must begin with pmid:")):
            answer = run("purge", "--data", self.data, *args, ok=False, stdin=b"")
            self.assertEqual(answer.returncode, status, answer.stderr)
            self.assertIn(words, answer.stderr)
        self.assertEqual(run_json("info", "--data", self.data, "--json"), before)
        self.assertEqual(found_ids(self.data, "vqzjk"), [SECRET])

    def test_a_pinned_generation_is_waited_for_and_named(self):
        folders = sorted((self.data / "generations").iterdir(), key=lambda p: int(p.name))
        manifest = folders[0] / "MANIFEST"
        with open(manifest, "rb") as pin:
            fcntl.flock(pin, fcntl.LOCK_SH)
            answer = self.purge("--yes", "--wait-seconds", "1", SECRET, ok=False)
            self.assertEqual(answer.returncode, 9, answer.stderr)
            self.assertIn(b"in use by another process", answer.stderr)
            self.assertEqual(found_ids(self.data, "vqzjk"), [])
        self.assertEqual(json.loads(self.purge("--yes", SECRET).stdout)["purged_before"], 1)
        self.assert_gone()

    def test_a_purge_that_was_killed_is_completed_by_another(self):
        rng = random.Random(int(os.environ.get("MEDICUS_SEED", "20261122")))
        for _ in range(4):
            process = subprocess.Popen(
                [BIN, "purge", "--data", str(self.data), "--quiet", "--yes", SECRET],
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(rng.uniform(0, 0.4))
            process.send_signal(signal.SIGKILL)
            process.wait(HANG)
            run("check", "--data", self.data)
        self.purge("--yes", SECRET)
        self.assert_gone()

    def test_a_running_server_lets_go_of_it(self):
        with Server(self.data) as server:
            failures, stop = [], threading.Event()

            def ask():
                while not stop.is_set():
                    answer = server.search("asthma")
                    if answer.status != 200:
                        failures.append(answer.body)
            asking = threading.Thread(target=ask)
            asking.start()
            try:
                target = "/v1/documents/" + SECRET
                self.assertEqual(server.get(target).status, 200)
                generation = json.loads(self.purge("--yes", SECRET).stdout)["generation"]
                self.assertIn(server.get(target).status, (404, 410))
                self.assertEqual(server.search("vqzjk").json["results"], [])
                maps = pathlib.Path(f"/proc/{server.process.pid}/maps")
                until = time.monotonic() + HANG
                while "data.mdb (deleted)" in maps.read_text() and time.monotonic() < until:
                    time.sleep(0.1)
                self.assertNotIn("data.mdb (deleted)", maps.read_text())
                self.assertEqual(server.get(target).status, 404)
                self.assertEqual(server.search("asthma").json["generation"], generation)
                ingest(self.data, NATIVE.replace(SECRET, "doc:later").replace(PHRASE, "Wombats"))
                run("update", "--data", self.data, "--quiet")
                while not server.search("wombats").json["results"]:
                    self.assertLess(time.monotonic(), until)
                    time.sleep(0.1)
            finally:
                stop.set()
                asking.join(HANG)
            self.assertEqual(failures, [])
        self.assertEqual(files_with(self.data, PHRASE, SECRET), [])


if __name__ == "__main__":
    unittest.main()
