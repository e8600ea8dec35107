"""A memory budget: postings that outgrow it go to files, the encoder learns from less, and what
does not fit at all is refused with what to do. What counts is memory of the process's own
(RssAnon): pages of mapped files are the kernel's to take back."""
import json
import pathlib
import random
import subprocess
import time
import unittest

from test_admin import Operator
from support import BIN, HANG, make_data, run, run_json, temp_folder

MIB = 1 << 20
DOCUMENTS, WORDS, VOCABULARY = 6000, 60, 60000
BUDGET = 150


def make_corpus(path):
    """So many different words that their vectors take most of a build's memory."""
    draw = random.Random(7)
    words = ["".join(draw.choices("bcdfghklmnprstvz", k=3)) + str(i) for i in range(VOCABULARY)]
    with open(path, "w", encoding="ascii") as out:
        for i in range(DOCUMENTS):
            text = ". ".join(" ".join(draw.choices(words, k=WORDS // 4)) for _ in range(4))
            print(json.dumps({"_id": f"d{i}", "title": " ".join(draw.choices(words, k=6)),
                              "text": text}), file=out)


def build(data, *flags):
    """(report, peak of its memory in bytes)"""
    process = subprocess.Popen([BIN, "build", "--quiet", "--json", "--full", "--threads", "2",
                                *flags, "--data", data], stdout=subprocess.PIPE)
    peak = 0
    while process.poll() is None:
        try:
            status = pathlib.Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        except OSError:
            break
        for line in status.splitlines():
            if line.startswith("RssAnon:"):
                peak = max(peak, int(line.split()[1]) * 1024)
        time.sleep(.005)
    output, _ = process.communicate(timeout=HANG * 5)
    assert process.returncode == 0, process.returncode
    return json.loads(output), peak


def segment_files(data):
    """name -> bytes, of the one segment of the current generation"""
    current = json.loads(run("info", "--json", "--data", data).stdout)["index"]["generation"]
    manifest = (data / "generations" / str(current) / "MANIFEST").read_text(encoding="utf-8")
    folders = [f for f in (data / "segments").iterdir() if f.name in manifest]
    assert len(folders) == 1, folders
    return {f.name: f.read_bytes() for f in folders[0].iterdir()}


class Budget(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = temp_folder()
        folder = cls.holder.__enter__()
        cls.data = folder / "data"
        make_corpus(folder / "corpus.jsonl")
        run("ingest", "--quiet", "--data", cls.data, folder / "corpus.jsonl")

    @classmethod
    def tearDownClass(cls):
        cls.holder.__exit__(None, None, None)

    def test_words_do_not_depend_on_it(self):
        build(self.data, "--lexical-only", "--memory", "8G")
        whole = segment_files(self.data)
        build(self.data, "--lexical-only", "--memory", "87M")
        self.assertEqual(segment_files(self.data), whole)

    def test_training_keeps_to_it(self):
        if "asan" in BIN:
            self.skipTest("a sanitizer multiplies memory")
        whole, much = build(self.data, "--retrain", "--memory", "8G")
        bounded, little = build(self.data, "--retrain", "--memory", f"{BUDGET}M")
        self.assertGreater(much, BUDGET * MIB)  # so that the next line can fail
        self.assertLess(little, BUDGET * MIB)
        self.assertFalse(whole["encoder_reduced"])
        self.assertTrue(bounded["encoder_reduced"])
        notes = json.loads(run("info", "--json", "--data", self.data).stdout)["index"]
        self.assertIn("encoder_terms_limited_to", json.dumps(notes))
        answer = run_json("search", "--data", self.data, "--json", "--mode", "dense", "b c d1")
        self.assertIn("results", answer)


class CommandLine(unittest.TestCase):
    def test_too_little_is_refused(self):
        with temp_folder() as folder:
            data = make_data(folder / "data")
            before = sorted(p for p in data.rglob("*") if p.is_file())
            refused = run("build", "--full", "--data", data, "--memory", "1M", ok=False)
            self.assertNotEqual(refused.returncode, 0)
            for word in (b"--memory", b"MiB", b"medicus update"):
                self.assertIn(word, refused.stderr)
            self.assertEqual(sorted(p for p in data.rglob("*") if p.is_file()), before)

    def test_sizes(self):
        with temp_folder() as folder:
            data = make_data(folder / "data")
            for size in ("", "2X", "-1", "1.5G", "G", "99999999999999T"):
                refused = run("build", "--data", data, f"--memory={size}", ok=False)
                self.assertEqual(refused.returncode, 2, size)
                self.assertIn(b"1500M or 2G", refused.stderr)
            for size in ("1G", "1500m", str(1 << 30)):
                run("build", "--quiet", "--data", data, "--memory", size)
            refused = run("build", "--full", "--data", data, ok=False, env={"MEDICUS_MEMORY": "1M"})
            self.assertIn(b"--memory", refused.stderr)


class Jobs(unittest.TestCase):
    def test_a_server_hands_it_on(self):
        with temp_folder() as folder:
            with Operator(make_data(folder / "data"), "--job-memory", "1M") as operator:
                refused = operator.do("rebuild", {"retrain": True})
                self.assertEqual(refused["state"], "failed")
                self.assertIn("--memory", json.dumps(refused["error"]))
                allowed = operator.do("rebuild", {"retrain": True, "memory": "1G"})
                self.assertEqual(allowed["state"], "succeeded", allowed)


if __name__ == "__main__":
    unittest.main()
