"""Answers that fit: budgets of tokens, cursors over new generations, what to do about nothing."""
import json
import pathlib
import unittest

from support import SAMPLE, Server, WithServer, make_data, run, temp_folder
from test_lifecycle import add_generation, wait_for

QUERY = "beta blockers after myocardial infarction"
QUERIES = [json.loads(line)["text"] for line in
           (SAMPLE / "queries.jsonl").read_text().splitlines()]
FORMS = ("json", "ndjson", "text", "markdown")


def tokens(answer):
    """The estimate that api-spec/README.md promises: four bytes of the answer are a token."""
    return len(answer.body) / 4


def pages(server, cursor=None, **params):
    """Every page of a request, from a cursor on."""
    while True:
        answer = server.search(**params, **({"cursor": cursor} if cursor else {}))
        assert answer.status == 200, answer.body
        yield answer.json
        cursor = answer.json.get("next_cursor")
        if not cursor:
            return


def document_of(result):
    return result["id"].rsplit("~", 1)[0]


class Budgets(WithServer):
    def test_ten_concise_results_stay_below_1500_tokens(self):
        for query in QUERIES + [QUERY]:
            answer = self.server.search(query)
            self.assertEqual(len(answer.json["results"]), 10)
            self.assertLess(tokens(answer), 1500, query)

    def test_max_tokens_holds_in_every_form(self):
        for query in QUERIES[:8]:
            for form in FORMS:
                for detail in ("concise", "detailed"):
                    for most in (500, 700, 1100, 3000):
                        answer = self.server.search(query, format=form, response_format=detail,
                                                    max_tokens=most)
                        self.assertEqual(answer.status, 200, answer.body)
                        self.assertLessEqual(tokens(answer), most, (query, form, detail))

    def test_pretty_and_facets_count_too(self):
        for extra in ({"pretty": "true"}, {"facets": "year,type", "facet_limit": 3},
                      {"explain": "true", "response_format": "detailed"}):
            answer = self.server.search(QUERY, max_tokens=900, **extra)
            self.assertEqual(answer.status, 200, answer.body)
            self.assertLessEqual(tokens(answer), 900, extra)

    def test_too_small_a_budget_says_how_much_is_needed(self):
        for form in FORMS:
            detail = self.problem(self.server.search(QUERY, max_tokens=40, format=form),
                                  "invalid-parameter", 400)["detail"]
            needed = int(detail.rsplit(" ", 1)[1])
            answer = self.server.search(QUERY, max_tokens=needed, format=form)
            self.assertEqual(answer.status, 200, answer.body)

    def test_what_is_left_out_follows_with_the_cursor(self):
        whole = [r["id"] for page in pages(self.server, query=QUERY, limit=20) for r in
                 page["results"]]
        short = list(pages(self.server, query=QUERY, limit=20, max_tokens=900,
                           response_format="detailed"))
        self.assertEqual([r["id"] for page in short for r in page["results"]], whole)
        self.assertTrue(short[0]["truncated"])
        self.assertTrue(any("max_tokens" in n for n in short[0]["notices"]))

    def test_texts_are_cut_at_the_end_of_a_sentence(self):
        cut = 0
        for most in range(400, 1500, 50):
            answer = self.server.search(QUERY, max_tokens=most, response_format="detailed").json
            for r in answer["results"]:
                document = self.server.get("/v1/documents/" + r["document_id"]).json
                text = document["text"].encode()
                self.assertEqual(text[r["start_byte"]:r["end_byte"]].decode(), r["text"])
                if r.get("truncated"):
                    cut += 1
                    self.assertRegex(r["text"], r"[.?!)\"]$")
        self.assertGreater(cut, 3)

    def test_the_command_line_keeps_to_it_as_well(self):
        printed = run("search", "--data", self.data, "--max-tokens", 400, "--format", "markdown",
                      QUERY).stdout
        self.assertLessEqual(len(printed) / 4, 400)


class Notices(WithServer):
    def count(self, **params):
        return self.server.search(**params, limit=1).json["total"]

    def test_nothing_with_a_filter_tells_how_much_without_it(self):
        for name, value, shown in (("year", "2090..", "year:2090.."), ("source", "pmc",
                                   "source:pmc"), ("journal", "No Such", "journal:No Such")):
            answer = self.server.search("asthma", mode="lexical", **{name: value}).json
            wanted = f"0 results with {shown}; {self.count(query='asthma', mode='lexical')} without"
            self.assertTrue(any(n.startswith(wanted) for n in answer["notices"]),
                            (wanted, answer["notices"]))

    def test_each_filter_in_the_way_is_named_with_its_own_number(self):
        answer = self.server.search("asthma", year="2090..", source="pmc", mode="lexical").json
        total = self.count(query="asthma", mode="lexical")
        self.assertEqual(answer["notices"],
                         [f"0 results with these filters; {total} without any of them"])

    def test_one_flag_is_left_out_and_the_other_stays(self):
        answer = self.server.search("asthma", mode="lexical", retracted="only",
                                    has_abstract="true").json
        total = self.count(query="asthma", mode="lexical", has_abstract="true")
        self.assertLess(total, self.count(query="asthma", mode="lexical"))
        self.assertEqual(answer["notices"], [f"0 results with retracted:only; {total} without it"])

    def test_parts_of_the_query_are_named_too(self):
        answer = self.server.search("asthma AND zebrafish").json
        self.assertIn(f'0 results with "zebrafish"; {self.count(query="asthma AND asthma")} '
                      'without it', answer["notices"])
        answer = self.server.search("asthma AND year:2090..2095").json
        self.assertTrue(any("year:2090..2095" in n for n in answer["notices"]), answer["notices"])

    def test_every_answer_names_its_index(self):
        info = json.loads(run("info", "--data", self.data, "--json").stdout)["index"]
        answer = self.server.search("asthma").json
        self.assertEqual(answer["generation"], info["generation"])
        self.assertEqual(answer["last_input"], info["last_input"])
        self.assertRegex(answer["index_date"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")


class Cursors(WithServer):
    def test_paging_to_the_end_gives_each_work_once(self):
        for extra in ({}, {"mode": "lexical"}, {"mode": "dense"}, {"sort": "date"},
                      {"fusion": "rrf"}, {"year": "2015.."}, {"authority_weight": 1}):
            found = [document_of(r) for page in pages(self.server, query="treatment trial", limit=7,
                                                      **extra) for r in page["results"]]
            self.assertEqual(len(found), len(set(found)), extra)
            last = self.server.search("treatment trial", limit=1000, **extra).json
            self.assertEqual(found, [document_of(r) for r in last["results"]])
            self.assertEqual(len(found), last["total"])

    def test_passages_too(self):
        found = [r["id"] for page in pages(self.server, query="treatment", limit=50,
                                           group_by="none") for r in page["results"]]
        self.assertEqual(len(found), len(set(found)))

    def test_limit_and_form_may_change_between_pages(self):
        first = self.server.search(QUERY, limit=3).json
        rest = self.server.search(QUERY, limit=5, cursor=first["next_cursor"],
                                  response_format="detailed").json
        every = self.server.search(QUERY, limit=8).json["results"]
        self.assertEqual([r["id"] for r in every],
                         [r["id"] for r in first["results"] + rest["results"]])
        posted = self.server.post("/v1/search", {"query": QUERY, "limit": 5,
                                                 "cursor": first["next_cursor"]})
        self.assertEqual([r["id"] for r in posted.json["results"]],
                         [r["id"] for r in rest["results"]])

    def test_other_forms_carry_it_in_a_header(self):
        answer = self.server.search(QUERY, limit=3, format="ndjson")
        self.assertEqual(len(answer.body.splitlines()), 3)
        self.assertEqual(answer.headers["x-next-cursor"],
                         self.server.search(QUERY, limit=3).json["next_cursor"])

    def test_similar_articles_page_as_well(self):
        target = "/v1/documents/pmid:990000101/similar?limit=20"
        first = self.server.get(target).json
        second = self.server.get(target + "&cursor=" + first["next_cursor"]).json
        self.assertFalse({r["id"] for r in first["results"]} & {r["id"] for r in second["results"]})
        other = self.server.get("/v1/documents/pmid:990000102/similar?cursor=" +
                                first["next_cursor"])
        self.problem(other, "invalid-parameter", 400)

    def test_strangers_are_refused(self):
        cursor = self.server.search(QUERY, limit=3).json["next_cursor"]
        for wrong in (cursor[:-1], cursor + "A", "A" * len(cursor), "=", "", "x" * 300,
                      cursor.swapcase(), cursor[:8] + ("A" if cursor[8] != "A" else "B") +
                      cursor[9:]):
            self.problem(self.server.search(QUERY, cursor=wrong), "invalid-parameter", 400)
        for other in ({"year": "2015.."}, {"mode": "lexical"}, {"sort": "date"},
                      {"group_by": "none"}):
            self.problem(self.server.search(QUERY, cursor=cursor, **other), "invalid-parameter",
                         400)
        self.problem(self.server.search("another question", cursor=cursor), "invalid-parameter",
                     400)
        self.problem(self.server.search(QUERY, cursor=cursor, offset=3), "invalid-parameter", 400)

    def test_the_command_line_goes_on_with_a_cursor_of_the_server(self):
        first = self.server.search(QUERY, limit=3).json
        answer = json.loads(run("search", "--data", self.data, "--json", "--limit", 4, "--cursor",
                                first["next_cursor"], QUERY).stdout)
        every = self.server.search(QUERY, limit=7).json["results"]
        self.assertEqual([r["id"] for r in answer["results"]], [r["id"] for r in every[3:]])


def new_document(number):
    return json.dumps({"_id": f"extra{number}", "title": f"Beta blockers, report {number}",
                       "text": "Beta blockers after myocardial infarction, once more. " * 5}
                      ).encode() + b"\n"


class NewGenerations(unittest.TestCase):
    def serve(self, data, generation, server):
        wait_for(lambda: server.get("/readyz?verbose").json["generation"] == generation, generation)

    def test_a_reader_turns_pages_of_the_index_that_answered_first(self):
        with temp_folder() as data:
            make_data(data)
            with Server(data) as server:
                before = [r["id"] for p in pages(server, query=QUERY, limit=10) for r in
                          p["results"]]
                first = server.search(QUERY, limit=10).json
                for number in range(2):
                    self.serve(data, add_generation(data, new_document(number)), server)
                rest = list(pages(server, first["next_cursor"], query=QUERY, limit=10))
                self.assertEqual({p["generation"] for p in rest}, {1})
                self.assertEqual([r["id"] for p in [first] + rest for r in p["results"]], before)
                new = server.search(QUERY, limit=10).json
                self.assertEqual(new["generation"], 3)
                self.assertIn("doc:extra1", [document_of(r) for r in new["results"]])

    def test_a_generation_is_given_up_when_too_many_follow(self):
        with temp_folder() as data:
            make_data(data)
            with Server(data) as server:
                cursor = server.search(QUERY, limit=10).json["next_cursor"]
                for number in range(4):
                    self.serve(data, add_generation(data, new_document(number)), server)
                answer = server.search(QUERY, limit=10, cursor=cursor)
                self.assertEqual((answer.status, answer.json["type"]),
                                 (410, "/problems/expired-cursor"))
                self.assertIn("without the cursor", answer.json["next"])
            # Nobody holds it now; the next build prunes it.
            add_generation(data, new_document(9))
            self.assertFalse((pathlib.Path(data) / "generations/1/MANIFEST").exists())

    def test_the_operator_may_keep_none(self):
        with temp_folder() as data:
            make_data(data)
            with Server(data, "--cursor-seconds", "0") as server:
                cursor = server.search(QUERY, limit=10).json["next_cursor"]
                self.assertEqual(server.search(QUERY, cursor=cursor).status, 200)
                self.serve(data, add_generation(data), server)
                self.assertEqual(server.search(QUERY, cursor=cursor).status, 410)

    def test_the_newest_update_file_is_named(self):
        one = b"""<PubmedArticleSet><PubmedArticle><MedlineCitation Status="MEDLINE"><PMID
            Version="1">990009%03d</PMID><Article><ArticleTitle>Update %d.</ArticleTitle><Abstract>
            <AbstractText>An abstract about updates.</AbstractText></Abstract></Article>
            </MedlineCitation></PubmedArticle></PubmedArticleSet>"""
        with temp_folder() as folder:
            data = folder / "data"
            for number in (12, 3):
                path = folder / f"pubmed26n{number:04}.xml"
                path.write_bytes(one % (number, number))
                run("ingest", "--data", data, "--quiet", path)
            run("build", "--data", data, "--quiet")
            answer = json.loads(run("search", "--data", data, "--json", "updates").stdout)
            self.assertEqual(answer["last_update"], "pubmed26n0012.xml")
            self.assertEqual(answer["last_input"], "pubmed26n0003.xml")


if __name__ == "__main__":
    unittest.main()
