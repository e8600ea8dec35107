"""`medicus update`: an update file's changes become searchable, on the command line and in a server
that runs on. That every search equals a fresh build's is in tests/unit/test_update.c."""
import json
import pathlib
import shutil
import threading
import time
import unittest

from support import HANG, Server, make_data, run, run_json, temp_folder

CHANGED, DELETED, RETRACTED = "990000101", "990000102", "990000103"


def article(pmid, title, abstract, version=1, links=""):
    return f"""<PubmedArticle><MedlineCitation Status="MEDLINE">
<PMID Version="{version}">{pmid}</PMID><DateRevised><Year>2026</Year></DateRevised>
<Article PubModel="Print"><Journal><Title>Annals of Updates</Title><JournalIssue><PubDate>
<Year>2025</Year></PubDate></JournalIssue></Journal><ArticleTitle>{title}</ArticleTitle>
<Abstract><AbstractText>{abstract}</AbstractText></Abstract><Language>eng</Language>
<PublicationTypeList><PublicationType>Journal Article</PublicationType></PublicationTypeList>
</Article>{links}</MedlineCitation></PubmedArticle>"""


NOTICE = (f'<CommentsCorrectionsList><CommentsCorrections RefType="RetractionOf">'
          f'<PMID Version="1">{RETRACTED}</PMID></CommentsCorrections></CommentsCorrectionsList>')
UPDATE_FILE = "<PubmedArticleSet>" + "".join([
    article("990009001", "Quokkapentin for lumbago", "Quokkapentin relieved lumbago in a trial."),
    article(CHANGED, "Zebrafenib in rosacea", "Zebrafenib was given for rosacea.", 2),
    article("990009002", "Retraction: an earlier trial", "The trial is retracted.", links=NOTICE),
    f'<DeleteCitation><PMID Version="1">{DELETED}</PMID></DeleteCitation>',
]) + "</PubmedArticleSet>"


def ingest_update(data, name="pubmed26n1501.xml", text=UPDATE_FILE):
    with temp_folder() as folder:
        path = folder / name
        path.write_text(text)
        run("ingest", "--data", data, "--quiet", path)


def ids_of(data, query, *flags):
    answer = run_json("search", "--data", data, "--json", *flags, query)
    return [r["document_id"] for r in answer["results"]]


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.holder = temp_folder()
        cls.base = cls.holder.__enter__() / "base"
        make_data(cls.base)

    @classmethod
    def tearDownClass(cls):
        cls.holder.__exit__(None, None, None)

    def setUp(self):
        self.data = pathlib.Path(shutil.copytree(self.base, self.base.parent / self.id()))

    def tearDown(self):
        shutil.rmtree(self.data)

    def test_nothing_changed_publishes_nothing(self):
        report = run_json("update", "--data", self.data, "--json")
        self.assertEqual((report["published"], report["generation"]), (False, 1))
        self.assertEqual(report["documents_analysed"], 0)
        self.assertIn(b"nothing has changed", run("update", "--data", self.data).stdout)
        self.assertEqual(len(run_json("info", "--data", self.data, "--json")["generations"]), 1)

    def test_an_update_file_becomes_searchable(self):
        before = run_json("info", "--data", self.data, "--json")
        documents = before["index"]["documents"]
        self.assertIn("pmid:" + DELETED, ids_of(self.data, "year:1900..",
                                                "--limit", "200", "--sort", "date"))
        ingest_update(self.data)
        info = run_json("info", "--data", self.data, "--json")
        self.assertEqual(info["pending"], {"added": 2, "changed": 1, "removed": 1})
        self.assertIn("medicus update", info["advice"])

        report = run_json("update", "--data", self.data, "--json")
        self.assertEqual((report["added"], report["changed"], report["removed"]), (2, 1, 1))
        self.assertEqual(report["documents_analysed"], 3)
        self.assertEqual(report["documents_reused"], documents - 2)
        self.assertEqual(report["documents"], documents + 1)
        self.assertEqual((report["segments"], report["dead_documents"]), (2, 2))
        run("check", "--data", self.data)

        self.assertEqual(ids_of(self.data, "quokkapentin")[0], "pmid:990009001")
        self.assertEqual(ids_of(self.data, "zebrafenib rosacea")[0], "pmid:" + CHANGED)
        everything = ids_of(self.data, "year:1900..", "--limit", "200", "--sort", "date")
        self.assertNotIn("pmid:" + DELETED, everything)
        self.assertEqual(run("fetch", "--data", self.data, "pmid:" + DELETED,
                             ok=False).returncode, 4)
        retracted = run_json("fetch", "--data", self.data, "--json", "pmid:" + RETRACTED)
        self.assertIn("retracted", retracted["flags"])
        info = run_json("info", "--data", self.data, "--json")
        self.assertEqual(info["pending"], {"added": 0, "changed": 0, "removed": 0})
        self.assertIsNone(info["advice"])
        self.assertEqual((info["index"]["segments"], info["index"]["dead_documents"]), (2, 2))
        self.assertGreater(info["index"]["drift"]["unknown_words"],
                           info["index"]["drift"]["unknown_words_at_training"])

    def test_info_advises_a_new_encoder_when_the_corpus_has_grown(self):
        records = "".join(
            json.dumps({"_id": f"new{i}", "title": f"Zorblax{i} in quuxitis",
                        "text": f"Zorblax{i} was given to frobnicated wumpuses{i % 7}."}) + "\n"
            for i in range(80))
        run("ingest", "--data", self.data, "--quiet", "-", stdin=records.encode())
        run("update", "--data", self.data)
        info = run_json("info", "--data", self.data, "--json")
        self.assertIn("build --retrain", info["advice"])
        self.assertGreater(info["index"]["drift"]["unknown_words"], .01)
        run("build", "--data", self.data, "--retrain", "--gate-overlap", "0")
        self.assertIsNone(run_json("info", "--data", self.data, "--json")["advice"])

    def test_info_advises_a_build_for_a_new_vocabulary(self):
        run("vocab", "--data", self.data, "add", "-", stdin=b"D1\tAsthma\twheezy lungs\n")
        self.assertIn("vocabularies", run_json("info", "--data", self.data, "--json")["advice"])
        run("build", "--data", self.data)
        self.assertIsNone(run_json("info", "--data", self.data, "--json")["advice"])

    def test_a_list_of_retractions_needs_no_new_segment(self):
        run("retractions", "--data", self.data, "add", "-", stdin=b"pmid:990000104\n")
        report = run_json("update", "--data", self.data, "--json")
        self.assertEqual((report["published"], report["segments"]), (True, 1))
        self.assertEqual((report["documents_analysed"], report["passages_encoded"]), (0, 0))
        fetched = run_json("fetch", "--data", self.data, "--json", "pmid:990000104")
        self.assertIn("retracted", fetched["flags"])

    def test_rolling_back_and_updating_again(self):
        ingest_update(self.data)
        run("update", "--data", self.data)
        run("generations", "--data", self.data, "activate", "1")
        self.assertEqual(ids_of(self.data, "quokkapentin[ti]"), [])
        report = run_json("update", "--data", self.data, "--json")
        self.assertEqual((report["generation"], report["added"]), (3, 2))
        self.assertEqual(ids_of(self.data, "quokkapentin")[0], "pmid:990009001")
        run("check", "--data", self.data)

    def test_what_is_damaged_is_not_carried_on(self):
        ingest_update(self.data)
        segment = next((self.data / "segments").iterdir())
        for path in (segment / "documents", segment / "statements", segment / "lexicon",
                     self.data / "generations" / "1" / "thesaurus",
                     next((self.data / "encoders").rglob("corpus.enc"))):
            good = path.read_bytes()
            bad = bytearray(good)
            bad[-1] ^= 0x10
            path.write_bytes(bad)
            result = run("update", "--data", self.data, ok=False)
            self.assertEqual(result.returncode, 6, path)
            self.assertIn(path.name.encode(), result.stderr)
            path.write_bytes(good)
        self.assertEqual(run_json("update", "--data", self.data, "--json")["generation"], 2)

    def test_a_backup_takes_patches_along(self):
        ingest_update(self.data)
        run("update", "--data", self.data)
        copy, back = self.data / "copy", self.data / "back"
        run("backup", "--data", self.data, copy)
        run("restore", "--data", back, copy)
        run("check", "--data", back)
        self.assertEqual(ids_of(back, "quokkapentin")[0], "pmid:990009001")
        self.assertEqual(run_json("info", "--data", back, "--json")["index"]["dead_documents"], 2)

    def test_errors_say_what_to_do(self):
        with temp_folder() as folder:
            run("ingest", "--data", folder, "--quiet", "-", stdin=b'{"_id": "a", "text": "b"}\n')
            result = run("update", "--data", folder, ok=False)
            self.assertEqual(result.returncode, 5)
            self.assertIn(b"medicus build", result.stderr)
        self.assertEqual(run("update", "--data", self.data, "x", ok=False).returncode, 2)
        patch = self.data / "generations" / "2"
        ingest_update(self.data)
        run("update", "--data", self.data)
        [file] = [p for p in patch.iterdir() if p.name.startswith("patch-")]
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
        self.assertEqual(run("search", "--data", self.data, "x", ok=False).returncode, 6)
        self.assertEqual(run("check", "--data", self.data, ok=False).returncode, 6)


class WhileServing(unittest.TestCase):
    def test_a_server_takes_updates_up_without_a_failed_request(self):
        with temp_folder() as data, Server(make_data(data)) as server:
            stop, answers = threading.Event(), []

            def ask():
                connection = server.connection()
                while not stop.is_set():
                    for query in ("treatment of asthma", "lumbago", "source:pubmed sort"):
                        target = "/v1/search?q=" + query.replace(" ", "+")
                        connection.request("GET", target)
                        response = connection.getresponse()
                        body = response.read()
                        answers.append((response.status, json.loads(body).get("generation")))
                connection.close()

            threads = [threading.Thread(target=ask) for _ in range(2)]
            for thread in threads:
                thread.start()
            for number in range(2, 6):
                text = ("<PubmedArticleSet>" +
                        article(f"99000{number}001", f"Lumbago study {number}", "Lumbago again.") +
                        "</PubmedArticleSet>")
                ingest_update(data, f"pubmed26n16{number:02}.xml", text)
                report = run_json("update", "--data", data, "--json")
                self.assertEqual(report["generation"], number)
                end = time.monotonic() + HANG
                while server.search("lumbago").json["generation"] != number:
                    self.assertLess(time.monotonic(), end, "the new generation is not served")
                    time.sleep(0.05)
                found = [r["id"].split("~")[0] for r in server.search("lumbago").json["results"]]
                self.assertIn(f"pmid:99000{number}001", found)
            stop.set()
            for thread in threads:
                thread.join()
            self.assertEqual({status for status, _ in answers}, {200})
            seen = [generation for _, generation in answers]
            self.assertEqual(max(seen), 5)
            self.assertTrue(set(seen) <= {1, 2, 3, 4, 5})


if __name__ == "__main__":
    unittest.main()
