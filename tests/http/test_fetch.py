"""Fetch: outlines, windows, budgets with a way to go on, old passages, and every form."""
import json
import unittest
import urllib.parse

from support import Server, WithServer, make_data, run, temp_folder

LONG = "guideline:asthma-reliever-therapy"
PAPER = "pmid:990000101"


class Fetch(WithServer):
    def document(self, name, **params):
        return self.server.get("/v1/documents/" + urllib.parse.quote(name, "") + "?" +
                               urllib.parse.urlencode(params))

    def test_an_outline_has_headings_passages_and_sizes_but_no_text(self):
        whole = self.document(LONG).json
        outline = self.document(LONG, view="outline").json
        self.assertNotIn("text", outline)
        self.assertEqual([s["path"] for s in outline["sections"]],
                         [s["path"] for s in whole["sections"]])
        self.assertLessEqual(abs(outline["tokens"] - len(whole["text"].encode()) / 4), 1)
        named = [p for s in outline["sections"] for p in s["passages"]]
        self.assertLessEqual({p["id"] for p in whole["passages"]}, set(named) | {LONG + "~0"})
        for s in outline["sections"]:
            self.assertLessEqual(abs(s["tokens"] - (s["end_byte"] - s["start_byte"]) / 4), 1)
        for form in ("text", "markdown"):
            shown = self.document(LONG, view="outline", format=form).body.decode()
            self.assertIn("tokens; passages ~", shown)
        self.assertEqual(self.document(LONG, view="outline").json["generation"], 1)

    def test_a_window_shows_the_neighbours(self):
        whole = self.document(LONG).json
        passages, text = whole["passages"], whole["text"].encode()
        for n, width in ((3, 0), (3, 1), (0, 2), (len(passages) - 1, 3), (2, 20)):
            got = self.document(f"{LONG}~{n}", window=width).json
            first, last = max(0, n - width), min(len(passages) - 1, n + width)
            self.assertEqual((got["start_byte"], got["end_byte"]),
                             (passages[first]["start_byte"], passages[last]["end_byte"]))
            self.assertEqual(got["text"], text[got["start_byte"]:got["end_byte"]].decode())
            self.assertEqual(got["id"], f"{LONG}~{n}")

    def test_a_budget_holds_and_the_rest_follows(self):
        whole = self.document(LONG).json
        for params in ({}, {"sections": ", ".join(s["path"] for s in whole["sections"][1:5])}):
            wanted = self.document(LONG, **params).json["text"].split()
            for most in (450, 700, 1500):
                words, start = [], 0
                while True:
                    answer = self.document(LONG, max_tokens=most, start_byte=start, **params)
                    self.assertEqual(answer.status, 200, answer.body)
                    self.assertLessEqual(len(answer.body) / 4, most)
                    words += answer.json["text"].split()
                    if not answer.json["truncated"]:
                        break
                    self.assertGreater(answer.json["next_start_byte"], start)
                    start = answer.json["next_start_byte"]
                self.assertEqual(words, wanted)

    def test_a_budget_holds_in_every_form(self):
        for name in (LONG, PAPER, LONG + "~2"):
            for form in ("json", "ndjson", "text", "markdown"):
                for most in (450, 1000):
                    answer = self.document(name, max_tokens=most, format=form)
                    self.assertEqual(answer.status, 200, answer.body)
                    self.assertLessEqual(len(answer.body) / 4, most, (name, form))
                for few in (1, 5, 50):
                    detail = self.problem(self.document(name, max_tokens=few, format=form),
                                          "invalid-parameter", 400)["detail"]
                    needed = int(detail.rsplit(" ", 1)[1])
                    answer = self.document(name, max_tokens=needed, format=form)
                    self.assertEqual(answer.status, 200, (detail, answer.body))
                    self.assertLessEqual(len(answer.body) / 4, needed, (name, form))

    def test_wrong_parameters_are_refused(self):
        for params in ({"window": 21}, {"window": "x"}, {"view": "x"}, {"start_byte": -1},
                       {"start_byte": 10 ** 7}, {"format": "pdf"}, {"max_tokens": 0},
                       {"format": "ris", "max_tokens": 100}, {"format": "bibtex", "window": 1}):
            self.problem(self.document(LONG, **params), "invalid-parameter", 400)
        text = self.document(LONG).json["text"].encode()
        inside = next(i for i, byte in enumerate(text) if byte & 0xC0 == 0x80)
        self.problem(self.document(LONG, start_byte=inside), "invalid-parameter", 400)
        self.assertIn('"window"', self.problem(self.document(LONG, windw=1), "unknown-parameter",
                                               400)["detail"])
        for body in ({"ids": [PAPER], "window": "1"}, {"ids": [PAPER], "view": 1},
                     {"ids": [PAPER], "max_tokens": 1.5}, {"ids": [PAPER], "start_byte": []}):
            self.problem(self.server.post("/v1/fetch", body), "invalid-parameter", 400)

    def test_every_form_of_one_and_of_many(self):
        many = {"ids": [PAPER, "pmid:1", LONG + "~1"]}
        for form in ("ris", "bibtex", "csl-json", "vancouver", "nbib"):
            one = self.document(PAPER, format=form)
            self.assertEqual(one.status, 200)
            self.assertIn(b"990000101", one.body)
            answer = self.server.post("/v1/fetch", {**many, "format": form})
            self.assertEqual((answer.status, answer.headers["x-error-count"]), (200, "1"))
            self.assertIn(b"990000101", answer.body)
        lines = self.server.post("/v1/fetch", {**many, "format": "ndjson"}).body.splitlines()
        self.assertEqual([json.loads(line)["id"] for line in lines], many["ids"])
        for form in ("text", "markdown"):
            shown = self.server.post("/v1/fetch", {**many, "format": form}).body.decode()
            self.assertIn("pmid:1: no document", shown)
            self.assertEqual(shown.count("\n----\n"), 2)
        self.problem(self.document(LONG, format="nbib"), "invalid-parameter", 400)

    def test_what_a_budget_leaves_out_is_named(self):
        ids = [PAPER, "pmid:1", LONG, 'a"\\\x01' * 20, LONG + "~1"]
        for form in ("json", "ndjson", "text", "markdown"):
            detail = self.problem(self.server.post("/v1/fetch", {
                "ids": ids, "format": form, "max_tokens": 30}), "invalid-parameter", 400)["detail"]
            needed = int(detail.rsplit(" ", 1)[1])
            for most in (needed, needed + 30, 1200):
                answer = self.server.post("/v1/fetch", {"ids": ids, "format": form,
                                                        "max_tokens": most})
                self.assertEqual(answer.status, 200, (detail, answer.body))
                self.assertLessEqual(len(answer.body) / 4, most, form)
                if form in ("text", "markdown"):
                    self.assertIn(b"Left out by max_tokens: ", answer.body)
                    continue
                if form == "json":
                    shown, rest = [d["id"] for d in answer.json["documents"]], answer.json["rest"]
                else:
                    *lines, last = map(json.loads, answer.body.splitlines())
                    shown, rest = [line["id"] for line in lines], last["rest"]
                self.assertEqual(shown + rest, ids)

    def test_sixty_four_at_once(self):
        ids = [f"{LONG}~{i % 5}" for i in range(60)] + ["pmid:1", PAPER, "~", "x"]
        answer = self.server.post("/v1/fetch", {"ids": ids})
        self.assertEqual([d["id"] for d in answer.json["documents"]], ids)
        self.assertEqual(sum("error" in d for d in answer.json["documents"]), 3)
        self.problem(self.server.post("/v1/fetch", {"ids": ids + ["y"]}), "limit-exceeded", 400)

    def test_the_command_line_prints_the_same(self):
        base = f"http://127.0.0.1:{self.server.port}"
        for flags, params in ((["--window", 1], {"window": 1}), (["--view", "outline"],
                              {"view": "outline"}), (["--max-tokens", 500], {"max_tokens": 500})):
            printed = run("fetch", "--data", self.data, "--public-url", base, "--format", "json",
                          *flags, LONG + "~2").stdout
            self.assertEqual(printed, self.document(LONG + "~2", **params).body)
        printed = run("fetch", "--data", self.data, "--public-url", base, "--format", "ris",
                      PAPER).stdout
        self.assertEqual(printed, self.document(PAPER, format="ris").body)


class OldVersions(unittest.TestCase):
    def test_a_passage_is_that_of_the_version_in_which_it_was_found(self):
        def ingest(text):
            run("ingest", "--data", data, "--quiet", "-", stdin=json.dumps(
                {"_id": "leaflet", "title": "Leaflet", "text": text}).encode() + b"\n")
        with temp_folder() as data:
            make_data(data)
            ingest("The first wording mentions quokkas.")
            run("build", "--data", data, "--quiet")
            with Server(data) as server:
                found = server.search("quokkas").json["results"][0]["id"]
                ingest("The second wording does not.")
                passage = server.get("/v1/documents/" + found).json
                self.assertIn("quokkas", passage["text"])
                self.assertEqual((passage["current"], passage["version"]), (False, 1))
                self.assertIn("newer", passage["notice"])
                document = server.get("/v1/documents/doc:leaflet").json
                self.assertIn("second", document["text"])
                self.assertEqual((document["current"], document["version"]), (True, 2))


if __name__ == "__main__":
    unittest.main()
