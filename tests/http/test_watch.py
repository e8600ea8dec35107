"""Files as they arrive: PubMed's numbered files in order, their .md5 companions, what was ingested
before, and a watched folder."""
import gzip
import hashlib
import json
import os
import pathlib
import signal
import subprocess
import time
import unittest

from support import BIN, HANG, ROOT, run, run_json, temp_folder

SHARED = pathlib.Path(os.environ.get("MEDICUS_SHARED", ROOT / "../shared"))


def citation(pmid, title, version=1):
    return (f'<PubmedArticle><MedlineCitation><PMID Version="{version}">{pmid}</PMID>'
            f"<Article><ArticleTitle>{title}</ArticleTitle></Article></MedlineCitation>"
            "</PubmedArticle>")


def article_set(*parts):
    return gzip.compress(("<PubmedArticleSet>" + "".join(parts) + "</PubmedArticleSet>").encode())


def deletion(*pmids):
    return "<DeleteCitation>" + "".join(
        f'<PMID Version="1">{p}</PMID>' for p in pmids) + "</DeleteCitation>"


def with_md5(path, content, damaged=False):
    path.write_bytes(content)
    digest = hashlib.md5(content[:-1] if damaged else content).hexdigest()
    pathlib.Path(f"{path}.md5").write_text(f"MD5({path.name})= {digest}\n")


def line(name):
    return json.dumps({"_id": name, "title": f"About {name}", "text": f"All about {name}."}) + "\n"


class Files(unittest.TestCase):
    def setUp(self):
        stack = temp_folder()
        self.folder = stack.__enter__()
        self.addCleanup(stack.__exit__, None, None, None)
        self.data, self.input = self.folder / "data", self.folder / "input"
        self.input.mkdir()

    def ingest(self, *args, ok=True):
        result = run("ingest", "--data", self.data, "--json", *args, ok=ok)
        return json.loads(result.stdout), result

    def test_order_is_by_number_whatever_the_command_line_says(self):
        later, earlier = self.input / "a", self.input / "b"
        later.mkdir()
        earlier.mkdir()
        (later / "pubmed27n1402.xml.gz").write_bytes(article_set(deletion(99000002)))
        (earlier / "pubmed27n1401.xml.gz").write_bytes(
            article_set(citation(99000001, "One"), citation(99000002, "Two")))
        summary, _ = self.ingest(later, earlier)
        self.assertEqual([summary["added"], summary["deleted"]], [2, 1])
        run("build", "--data", self.data, "-q")
        self.assertEqual(run_json("info", "--data", self.data, "--json")["index"]["last_input"],
                         "pubmed27n1402.xml.gz")
        self.assertEqual(run("fetch", "--data", self.data, "pmid:99000002", ok=False).returncode, 4)

    def test_numbered_files_are_read_once(self):
        path = self.input / "pubmed27n0001.xml.gz"
        path.write_bytes(article_set(citation(99000001, "One")))
        self.assertEqual(self.ingest(path)[0]["known_files"], 0)
        summary, _ = self.ingest(path)
        self.assertEqual([summary["known_files"], summary["records"]], [1, 0])
        summary, _ = self.ingest("--again", path)
        self.assertEqual([summary["known_files"], summary["unchanged"]], [0, 1])
        path.write_bytes(article_set(citation(99000001, "Won")))  # the same name and size
        summary, _ = self.ingest(path)
        self.assertEqual(summary["known_files"], 0)
        # Other sources have no order of their own: what comes later wins, also when it came before.
        texts = [self.input / "tea.jsonl", self.input / "tea2.jsonl"]
        texts[0].write_text(json.dumps({"_id": "tea", "title": "Tea", "text": "It is green."}))
        texts[1].write_text(json.dumps({"_id": "tea", "title": "Tea", "text": "It is black."}))
        for path in (*texts, texts[0]):
            self.ingest(path)
        self.assertIn(b"green", run("fetch", "--data", self.data, "doc:tea").stdout)

    def test_an_interrupted_load_goes_on_where_it_was(self):
        for i in range(1, 5):
            with_md5(self.input / f"pubmed27n000{i}.xml.gz",
                     article_set(*(citation(99000000 + 100 * i + k, "T") for k in range(20))))
        with_md5(self.input / "pubmed27n0003.xml.gz", article_set(citation(99000301, "T")), True)
        summary, result = self.ingest(self.input, ok=False)
        self.assertEqual(result.returncode, 6, result.stderr)
        self.assertIn(b"pubmed27n0003.xml.gz", result.stderr)
        self.assertIn(b"fetch both again", result.stderr)
        self.assertEqual(summary["added"], 60)
        self.assertEqual(run("fetch", "--data", self.data, "pmid:99000301", ok=False).returncode, 4)
        with_md5(self.input / "pubmed27n0003.xml.gz", article_set(citation(99000301, "T")))
        summary, _ = self.ingest(self.input)
        self.assertEqual([summary["known_files"], summary["added"]], [3, 1])

    def test_companions_can_be_required(self):
        path = self.input / "pubmed27n0001.xml.gz"
        path.write_bytes(article_set(citation(99000001, "One")))
        _, result = self.ingest("--require-md5", path, ok=False)
        self.assertEqual(result.returncode, 4, result.stderr)
        self.assertIn(b".md5", result.stderr)
        with_md5(path, path.read_bytes())
        self.assertEqual(self.ingest("--require-md5", path)[0]["added"], 1)
        text = self.input / "by-md5sum.jsonl"
        text.write_text(line("x"))
        digest = hashlib.md5(text.read_bytes()).hexdigest().upper()
        pathlib.Path(f"{text}.md5").write_text(f"{digest}  {text.name}\n")
        self.assertEqual(self.ingest("--require-md5", text)[0]["added"], 1)
        pathlib.Path(f"{text}.md5").write_text("nothing\n")
        self.assertEqual(self.ingest(text, ok=False)[1].returncode, 3)

    @unittest.skipUnless((SHARED / "data/pubmed/medline16n0902.xml.gz").exists(),
                         "outside data (MEDICUS_SHARED) is not here")
    def test_a_real_update_file_and_its_deletions(self):
        real = SHARED / "data/pubmed/medline16n0902.xml.gz"
        with_md5(self.input / real.name, real.read_bytes())
        first, _ = self.ingest("--require-md5", self.input)
        self.assertGreater(first["added"], 0)
        again, _ = self.ingest("--require-md5", "--again", self.input)
        self.assertEqual([again["added"], again["updated"]], [0, 0])
        self.assertEqual(self.ingest(self.input)[0]["known_files"], 1)


class Watch(unittest.TestCase):
    def setUp(self):
        Files.setUp(self)

    def watch(self, *flags):
        child = subprocess.Popen(
            [BIN, "ingest", "--data", str(self.data), "--watch", "--interval", "1", "--json",
             *flags, str(self.input)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: child.poll() is None and child.kill())
        return child

    def end(self, child):
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=HANG)
        self.assertEqual(child.returncode, 0, err)
        return [json.loads(part) for part in out.splitlines() if part.startswith("{")], err

    def wait_for(self, what, child):
        end = time.monotonic() + HANG
        while not what():
            self.assertIsNone(child.poll(), "the watcher ended")
            self.assertLess(time.monotonic(), end, "it did not happen")
            time.sleep(0.2)

    def has(self, name):
        return run("fetch", "--data", self.data, f"doc:{name}", ok=False).returncode == 0

    def test_what_arrives_is_ingested_and_a_bad_file_stops_nothing(self):
        (self.input / "before.jsonl").write_text(line("before"))
        child = self.watch()
        self.wait_for(lambda: self.has("before"), child)
        with_md5(self.input / "bad.jsonl", line("bad").encode(), damaged=True)
        (self.input / "noise.bin").write_bytes(bytes(range(256)) * 8)
        os.mkfifo(self.input / "pipe")
        staged = self.folder / "staged"
        staged.write_text(line("renamed"))
        staged.rename(self.input / "renamed.jsonl")
        self.wait_for(lambda: self.has("renamed"), child)
        self.assertFalse(self.has("bad"))
        with_md5(self.input / "bad.jsonl", line("bad").encode())
        self.wait_for(lambda: self.has("bad"), child)
        batches, err = self.end(child)
        self.assertEqual(sum(b["added"] for b in batches), 3)
        self.assertEqual(err.count("does not fit its .md5"), 1, err)

    def test_a_file_that_grows_is_taken_when_it_is_whole(self):
        child = self.watch()
        with open(self.input / "slow.jsonl", "w", encoding="utf-8") as out:
            for i in range(12):
                out.write(line(f"slow{i}"))
                out.flush()
                time.sleep(0.3)
        self.wait_for(lambda: self.has("slow11"), child)
        batches, _ = self.end(child)
        self.assertEqual([b["added"] for b in batches if b["records"]], [12])

    def test_with_update_it_is_searchable_by_itself(self):
        (self.input / "a.jsonl").write_text(line("camomile"))
        run("ingest", "--data", self.data, "-q", self.input)
        run("build", "--data", self.data, "-q")
        child = self.watch("--update")
        (self.input / "b.jsonl").write_text(line("valerian"))
        self.wait_for(lambda: run_json("search", "--data", self.data, "--json", "--mode", "lexical",
                                       "valerian")["results"], child)
        self.end(child)
        self.assertEqual(run_json("generations", "--data", self.data, "--json")[0]["number"], 2)

    def test_required_companions_are_waited_for(self):
        child = self.watch("--require-md5")
        (self.input / "x.jsonl").write_text(line("x"))
        (self.input / "y.jsonl").write_text(line("y"))
        with_md5(self.input / "x.jsonl", line("x").encode())
        self.wait_for(lambda: self.has("x"), child)
        self.assertFalse(self.has("y"))
        with_md5(self.input / "y.jsonl", line("y").encode())
        self.wait_for(lambda: self.has("y"), child)
        self.end(child)

    def test_a_restart_reads_nothing_twice(self):
        (self.input / "a.jsonl").write_text(line("a"))
        child = self.watch()
        self.wait_for(lambda: self.has("a"), child)
        child.kill()
        child.communicate(timeout=HANG)
        child = self.watch()
        (self.input / "b.jsonl").write_text(line("b"))
        self.wait_for(lambda: self.has("b"), child)
        batches, _ = self.end(child)
        self.assertEqual(sum(b["records"] for b in batches), 1, batches)
        self.assertEqual(sum(b["known_files"] for b in batches), 1, batches)


if __name__ == "__main__":
    unittest.main()
