"""The command line: what scripts rely on, exit statuses, and what bad input does."""
import gzip
import json
import os
import pathlib
import resource
import signal
import subprocess
import time
import unittest

from support import BIN, HANG, ROOT, SAMPLE, make_data, run, run_json, temp_folder

GOOD = b'{"_id": "good", "title": "Good", "text": "A good record about asthma."}\n'


class Folder(unittest.TestCase):
    def setUp(self):
        context = temp_folder()
        self.folder = context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)
        self.data = self.folder / "data"

    def file(self, name, content):
        path = self.folder / name
        path.write_bytes(content)
        return path

    def ingest(self, *paths, **kwargs):
        return run("ingest", "--data", self.data, *paths, ok=False, **kwargs)

    def ingest_json(self, *paths):
        result = run("ingest", "--data", self.data, "--json", *paths, ok=False)
        return result.returncode, json.loads(result.stdout)


class Words(Folder):
    """The exact words that scripts rely on."""

    def test_from_files_to_answers(self):
        code, summary = self.ingest_json(SAMPLE / "pubmed", SAMPLE / "guidelines")
        self.assertEqual((code, summary["added"], summary["skipped"]), (0, 148, 0))
        code, summary = self.ingest_json(SAMPLE / "pubmed", SAMPLE / "guidelines")
        self.assertEqual((code, summary["unchanged"], summary["added"]), (0, 148, 0))
        report = run_json("build", "--data", self.data, "--json")
        self.assertEqual((report["generation"], report["documents"]), (1, 148))
        run("check", "--data", self.data)
        answer = run_json("search", "--data", self.data, "--mode", "hybrid", "--limit", "3",
                          "--group-by", "document", "--json", "beta blockers")
        self.assertEqual(len(answer["results"]), 3)
        for r in answer["results"]:
            for key in ("id", "document_id", "source_id", "title", "url", "score", "text",
                        "start_byte", "end_byte"):
                self.assertIn(key, r)
        document = run_json("fetch", "--data", self.data, "--json", r["document_id"])
        piece = document["text"].encode()[r["start_byte"]:r["end_byte"]].decode()
        self.assertEqual(piece, r["text"])
        info = run_json("info", "--data", self.data, "--json")
        self.assertEqual(info["index"]["generation"], 1)
        self.assertIsNone(info["advice"])

    def test_eval(self):
        make_data(self.data)
        report = run_json("eval", "--data", self.data, "--queries", SAMPLE / "queries.jsonl",
                          "--qrels", SAMPLE / "qrels.tsv", "--json")
        self.assertEqual(list(report["modes"]), ["lexical", "dense", "hybrid"])
        self.assertEqual(report["queries"], 60)
        for scores in report["modes"].values():
            for key in ("ndcg@10", "recall@100", "mrr@10", "map"):
                self.assertTrue(0 <= scores[key] <= 1, scores)
        runs = self.folder / "runs"
        runs.mkdir()
        table = run("eval", "--data", self.data, "--queries", SAMPLE / "queries.jsonl", "--qrels",
                    SAMPLE / "qrels.tsv", "--modes", "hybrid", "--run-dir", runs, "--per-query",
                    self.folder / "per-query.tsv").stdout
        self.assertIn(b"nDCG@10", table)
        lines = (runs / "hybrid.run").read_text().splitlines()
        self.assertTrue(all(len(line.split()) == 6 for line in lines))
        self.assertTrue((self.folder / "per-query.tsv").read_text())

    def test_settings_of_every_search(self):
        make_data(self.data)
        for flags in (["--mode", "lexical"], ["--mode", "dense"], ["--fusion", "rrf"],
                      ["--fusion-weight", "0.3"], ["--year", "2020.."], ["--source", "guideline"],
                      ["--evidence", "guideline,randomized-trial"], ["--exclude-retracted"],
                      ["--has-abstract"], ["--explain"], ["--offset", "5"], ["-n", "2"]):
            answer = run_json("search", "--data", self.data, *flags, "--json", "treatment")
            self.assertTrue(answer["results"], flags)
            text = run("search", "--data", self.data, *flags, "treatment").stdout
            self.assertNotIn(b"\x1b", text)

    def test_environment(self):
        make_data(self.data)
        env = {"MEDICUS_DATA": str(self.data), "MEDICUS_PUBLIC_URL": "https://shelf.example/"}
        self.assertTrue(json.loads(run("info", "--json", env=env).stdout)["index"])
        run("ingest", "--data", self.data, "-", stdin=GOOD)
        document = json.loads(run("fetch", "--json", "doc:good", env=env).stdout)
        self.assertEqual(document["url"], "https://shelf.example/v1/documents/doc%3Agood")
        result = run("build", ok=False, env={**env, "MEDICUS_THREADS": "many"})
        self.assertEqual(result.returncode, 2)
        self.assertIn(b"MEDICUS_THREADS", result.stderr)

    def test_help_and_version(self):
        overview = run("--help").stdout.decode()
        for command in ("ingest", "build", "serve", "search", "fetch", "eval", "info", "check",
                        "health", "version"):
            self.assertIn(command, overview)
            text = run(command, "--help").stdout.decode()
            self.assertIn("Examples:", text)
            self.assertIn("Exit status:", text)
            self.assertLessEqual(max(map(len, text.splitlines())), 110)
        self.assertRegex(run("version").stdout, rb"^medicus \d+\.\d+\.\d+\n$")
        self.assertEqual(run("--version").stdout, run("version").stdout)
        self.assertIn("version", run_json("version", "--json"))

    def test_usage_errors(self):
        for args, word in (([], b"Usage"), (["serch"], b'"search"'), (["nonsense"], b"--help"),
                           (["search", "--data", "x", "--limt", "3", "q"], b'"--limit"'),
                           (["search", "--data", "x", "--limit", "0", "q"], b"1 to 1000"),
                           (["search", "--data", "x", "--limit"], b"needs a value"),
                           (["search", "--data", "x", "--explain=1", "q"], b"no value"),
                           (["search", "--data", "x"], b"query"),
                           (["search", "--data", "x", "a", "b"], b"quotes"),
                           (["search", "q"], b"--data"), (["build", "--data", "x", "y"], b"no arg"),
                           (["build", "--data", "x", "--dim", "-4"], b"--dim"),
                           (["ingest", "--data", "x"], b"files"), (["fetch", "--data", "x"], b"id"),
                           (["fetch", "--data", "x", "--format", "pdf", "y"], b"--format"),
                           (["eval", "--data", "x"], b"--queries"),
                           (["eval", "--data", "x", "--queries", "q", "--qrels", "r", "--modes",
                             "fuzzy"], b"fuzzy"),
                           (["serve", "--data", "x", "--log-level", "loud"], b"--log-level")):
            result = run(*args, ok=False, env={"MEDICUS_DATA": ""})
            self.assertEqual(result.returncode, 2, args)
            self.assertIn(word, result.stderr, args)
            self.assertEqual(result.stdout, b"")

    def test_not_found(self):
        make_data(self.data)
        for args in (["fetch", "pmid:1"], ["fetch", "--json", "pmid:1", "pmid:990000101"],
                     ["fetch", "pmid:990000101~99"]):
            result = run(args[0], "--data", self.data, *args[1:], ok=False)
            self.assertEqual(result.returncode, 4, args)
        for command in ("build", "info", "check", "search", "fetch", "eval"):
            extra = {"search": ["q"], "fetch": ["x"], "eval": ["--queries", "q", "--qrels", "r"]}
            result = run(command, "--data", self.folder / "absent", *extra.get(command, []),
                         ok=False)
            self.assertEqual(result.returncode, 4, command)
            self.assertIn(b"medicus ingest", result.stderr)

    def test_no_index(self):
        self.assertEqual(self.ingest("-", stdin=GOOD).returncode, 0)
        self.assertEqual(run("search", "--data", self.data, "q", ok=False).returncode, 5)
        self.assertIn(b"Good", run("fetch", "--data", self.data, "doc:good").stdout)
        run("check", "--data", self.data)
        self.assertIn("build", run_json("info", "--data", self.data, "--json")["advice"])

    def test_a_reader_that_goes_away_is_no_error(self):
        make_data(self.data)
        process = subprocess.Popen([BIN, "search", "--data", self.data, "--limit", "1000",
                                    "--group-by", "none", "--json", "treatment"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        process.stdout.read(10)
        process.stdout.close()
        self.assertEqual(process.wait(HANG), 0)
        self.assertEqual(process.stderr.read(), b"")
        process.stderr.close()


class BadInput(Folder):
    def tearDown(self):
        """Whatever was thrown at it, the store is sound."""
        if (self.data / "docs").exists():
            run("check", "--data", self.data)

    def test_empty_corpus(self):
        (self.folder / "empty").mkdir()
        result = self.ingest(self.folder / "empty")
        self.assertEqual(result.returncode, 3)
        self.assertIn(b"no documents found", result.stderr)
        result = run("build", "--data", self.data, ok=False)
        self.assertEqual(result.returncode, 4, result.stderr)
        self.assertIn(b"ingest", result.stderr)

    def test_empty_file_and_empty_stdin(self):
        self.assertEqual(self.ingest(self.file("zero.xml", b"")).returncode, 3)
        self.assertEqual(self.ingest("-", stdin=b"").returncode, 3)
        self.assertEqual(self.ingest("-", stdin=b"\n\n  \n").returncode, 3)

    def test_absent_and_unreadable_paths(self):
        good = self.file("good.jsonl", GOOD)
        result = self.ingest(self.folder / "absent.xml", good)
        self.assertIn(result.returncode, (4, 8))
        self.assertIn(b"absent.xml", result.stderr)
        self.assertIn(b"Good", run("fetch", "--data", self.data, "doc:good").stdout)
        if os.geteuid() != 0:
            good.chmod(0)
            self.assertEqual(self.ingest(good).returncode, 8)

    def test_a_data_folder_of_somebody_else(self):
        self.assertEqual(self.ingest(self.file("good.jsonl", GOOD)).returncode, 0)
        self.folder.chmod(0o755)
        self.data.chmod(0)
        somebody = {"user": 65534} if os.geteuid() == 0 else {}
        try:
            result = run("info", "--data", self.data, ok=False, **somebody)
        except PermissionError:
            self.skipTest("the program itself cannot be run by another user here")
        finally:
            self.data.chmod(0o755)
        self.assertEqual(result.returncode, 8)
        self.assertIn(b"Permission denied", result.stderr)

    def test_wrong_xml(self):
        for name, content in (("html.xml", b"<?xml version='1.0'?><nothing><here/></nothing>"),
                              ("cut.xml", b"<?xml version='1.0'?><PubmedArticleSet><Pubmed"),
                              ("junk.xml", b"<PubmedArticleSet><PubmedArticle></wrong>")):
            result = self.ingest(self.file(name, content))
            self.assertEqual(result.returncode, 3, (name, result.stderr))
            self.assertIn(name.encode(), result.stderr)

    def test_a_malformed_record_is_skipped_with_its_place(self):
        path = self.file("mixed.jsonl", GOOD + b'{"_id": "broken", "text": \n' +
                         GOOD.replace(b'"good"', b'"second"'))
        result = self.ingest(path)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(b"added 2", result.stdout)
        self.assertIn(b"skipped 1", result.stdout)
        self.assertRegex(result.stderr, rb"mixed\.jsonl, line 2, byte \d+: ")

    def test_many_malformed_records_are_counted_not_listed(self):
        result = self.ingest(self.file("bad.jsonl", GOOD + b'{"_id": 1\n' * 500))
        self.assertEqual(result.returncode, 0)
        self.assertIn(b"skipped 500", result.stdout)
        self.assertIn(b"... and 480 more", result.stderr)
        self.assertLess(len(result.stderr.splitlines()), 30)

    def test_invalid_utf8(self):
        path = self.file("latin1.jsonl", GOOD + b'{"_id": "latin", "text": "caf\xe9"}\n')
        result = self.ingest(path)
        self.assertEqual(result.returncode, 0)
        self.assertIn(b"Good", run("fetch", "--data", self.data, "doc:good").stdout)
        result = self.ingest(self.file("noise.bin", os.urandom(100000)))
        self.assertEqual(result.returncode, 3, result.stderr)

    def test_truncated_and_damaged_gzip(self):
        whole = gzip.compress(b"".join(
            GOOD.replace(b'"good"', f'"g{i}"'.encode()) for i in range(5000)))
        code, summary = self.ingest_json(self.file("cut.jsonl.gz", whole[:len(whole) // 2]))
        self.assertGreater(summary["added"], 0)
        self.assertIn(code, (0, 3, 8))
        self.assertNotIn(self.ingest(self.file("junk.gz", b"\x1f\x8b" + b"junk" * 10)).returncode,
                         (0, -6, -11))

    def one_line(self, begin):
        """A line of 1 GB through a pipe; returns exit status, stderr and peak memory in bytes."""
        process = subprocess.Popen([BIN, "ingest", "--data", self.data, "-"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        block = b"a" * (1 << 20)
        try:
            process.stdin.write(begin)
            for _ in range(1024):
                process.stdin.write(block)
        except BrokenPipeError:
            pass
        _, stderr = process.communicate(timeout=HANG * 5)
        return process.returncode, stderr

    def test_one_line_of_a_gigabyte(self):
        for begin in (b'{"_id": "long", "text": "', b"<PubmedArticleSet><PubmedArticle>", b""):
            code, stderr = self.one_line(begin)
            self.assertEqual(code, 3, (begin, stderr))
            self.assertTrue(stderr)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        if "asan" not in BIN:
            self.assertLess(peak, 1 << 30)

    def test_a_sparse_gigabyte(self):
        path = self.file("sparse.jsonl", b"")
        os.truncate(path, 1 << 30)
        result = self.ingest(path)
        self.assertEqual(result.returncode, 3)

    def test_bombs(self):
        path = self.file("bomb.jsonl.gz", gzip.compress(b'{"_id": "b", "text": "' +
                                                        b"a" * (200 << 20) + b'"}\n'))
        self.assertIn(self.ingest(path).returncode, (3, 10))
        laughs = b"<!DOCTYPE x [<!ENTITY a 'ha'>" + b"".join(
            b"<!ENTITY a%d '%s'>" % (i, b"&a%d;" % (i - 1) * 10 if i else b"&a;" * 10)
            for i in range(10)) + b"]><PubmedArticleSet>&a9;</PubmedArticleSet>"
        self.assertEqual(self.ingest(self.file("laughs.xml", laughs)).returncode, 3)

    def limited(self, limit, *args):
        def limits():
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        return run(*args, ok=False, preexec_fn=limits)

    def test_disk_full(self):
        run("ingest", "--data", self.data, "-", stdin=GOOD)
        run("build", "--data", self.data)
        before = run("search", "--data", self.data, "--json", "asthma").stdout
        seen = set()
        for limit in (1 << 12, 1 << 15, 1 << 17, 1 << 19):
            result = self.limited(limit, "ingest", "--data", self.data, SAMPLE / "pubmed")
            self.assertIn(result.returncode, (0, 7, 8, 10), result.stderr)
            seen.add(result.returncode)
            if result.returncode:
                self.assertRegex(result.stderr, rb"^medicus: ", result.stderr)
            self.assertIn(b"Good", run("fetch", "--data", self.data, "doc:good").stdout)
        self.assertGreater(max(seen), 0)
        run("ingest", "--data", self.data, SAMPLE / "pubmed")
        for limit in (1 << 10, 1 << 14, 1 << 16):
            result = self.limited(limit, "build", "--data", self.data)
            self.assertIn(result.returncode, (7, 8, 10), result.stderr)
            self.assertEqual(run("search", "--data", self.data, "--json", "asthma").stdout, before)
        run("build", "--data", self.data)
        run("check", "--data", self.data)

    def test_unwritable_stdout(self):
        if not pathlib.Path("/dev/full").exists():
            self.skipTest("no /dev/full here")
        self.ingest("-", stdin=GOOD)
        with open("/dev/full", "wb") as full:
            result = subprocess.run([BIN, "info", "--data", self.data], stdout=full,
                                    stderr=subprocess.PIPE, timeout=HANG, check=False)
        self.assertEqual(result.returncode, 7)


class Interrupted(Folder):
    def test_ingest_and_build_stop_with_130(self):
        """SIGINT when stdin has been read for a while; what was acknowledged stays."""
        process = subprocess.Popen([BIN, "ingest", "--data", self.data, "-"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        number = 0
        try:
            for _ in range(200):
                for _ in range(200):
                    process.stdin.write(GOOD.replace(b'"good"', b'"g%d"' % number))
                    number += 1
                if number == 20000:
                    process.send_signal(signal.SIGINT)
                process.stdin.flush()
        except BrokenPipeError:
            pass
        process.communicate(timeout=HANG)
        self.assertEqual(process.returncode, 130)
        run("check", "--data", self.data)

    def test_build_interrupted_publishes_nothing(self):
        run("ingest", "--data", self.data, "-", stdin=b"".join(
            GOOD.replace(b'"good"', b'"g%d"' % i).replace(b"asthma", b"asthma w%d x%d" % (
                i % 977, i % 1013)) for i in range(20000)))
        process = subprocess.Popen([BIN, "build", "--data", self.data], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=HANG)
        self.assertIn(process.returncode, (0, 130))  # 0: it was faster
        if process.returncode == 130:
            self.assertIsNone(run_json("info", "--data", self.data, "--json")["index"])
            run("build", "--data", self.data)
        run("check", "--data", self.data)

    def test_two_builds_at_once(self):
        run("ingest", "--data", self.data, "-", stdin=b"".join(
            GOOD.replace(b'"good"', b'"g%d"' % i) for i in range(5000)))
        builds = [subprocess.Popen([BIN, "build", "--data", self.data], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE) for _ in range(4)]
        codes = []
        for b in builds:
            b.communicate(timeout=HANG)
            codes.append(b.returncode)
        self.assertLessEqual(set(codes), {0, 9})
        self.assertIn(0, codes)
        run("check", "--data", self.data)


if __name__ == "__main__":
    unittest.main()
