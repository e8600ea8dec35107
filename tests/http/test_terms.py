"""Vocabularies, terms, expansion and similar documents, over HTTP and on the command line."""
import json
import unittest
import urllib.parse

from support import Server, make_data, run, run_json, temp_folder

VOCABULARY = ("id\tname\tsynonyms\n"
              "D009203\tMyocardial Infarction\tHeart Attack|C14.280.647.500\n"
              "D006331\tHeart Diseases\tC14.280\n")
ID = "pmid:990000101"


class Terms(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = temp_folder()
        cls.data = cls.folder.__enter__() / "data"
        file = cls.data.parent / "own.tsv"
        file.write_text(VOCABULARY)
        added = run_json("vocab", "--data", cls.data, "--json", "add", file)
        assert (added["name"], added["entries"], added["tree_numbers"]) == ("own", 2, 2), added
        make_data(cls.data)
        cls.server = Server(cls.data).__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()
        cls.folder.__exit__(None, None, None)

    def terms(self, query, **params):
        return self.server.get("/v1/terms?" + urllib.parse.urlencode({"q": query, **params}))

    def similar(self, document, **params):
        path = "/v1/documents/" + urllib.parse.quote(document, "") + "/similar"
        return self.server.get(path + "?" + urllib.parse.urlencode(params))

    def test_a_term_by_any_name(self):
        for query in ("D009203", "heart attacks", "Myocardial infarction"):
            answer = self.terms(query).json
            self.assertEqual(answer["terms"][0]["id"], "D009203", query)
            self.assertGreater(answer["terms"][0]["documents"], 0)
            self.assertEqual(answer["notices"], [])
        top = self.terms("heart diseases").json["terms"][0]
        self.assertEqual(top["narrower"], 1)
        self.assertEqual(self.terms("zymurgy").json["terms"], [])
        self.assertEqual(len(self.terms("heart", limit=1).json["terms"]), 1)

    def test_the_command_line_prints_the_same(self):
        printed = run("terms", "--data", self.data, "--json", "heart attack").stdout
        self.assertEqual(printed, self.terms("heart attack").body)
        base = f"http://127.0.0.1:{self.server.port}"
        printed = run("similar", "--data", self.data, "--public-url", base, "--limit", 3, "--json",
                      ID).stdout
        self.assertEqual(printed, self.similar(ID, limit=3, response_format="detailed").body)

    def test_wrong_requests_say_why(self):
        for target in ("/v1/terms", "/v1/terms?q=", "/v1/terms?q=a&limit=0", "/v1/terms?q=%ff",
                       "/v1/terms?q=a&x=1", f"/v1/documents/{ID}/similar?q=a",
                       f"/v1/documents/{ID}/similar?limit=0",
                       f"/v1/documents/{ID}/similar?facets=year"):
            self.assertEqual(self.server.get(target).status, 400, target)
        self.assertEqual(self.similar("pmid:1").status, 404)
        self.assertEqual(self.server.request("POST", "/v1/terms", body="{}").status, 405)

    def test_other_names_are_shown_when_asked_for(self):
        plain = self.server.search("heart attack")
        self.assertNotIn("expansions", plain.json)
        more = self.server.search("heart attack", expand="true")
        self.assertEqual(more.json["expansions"],
                         [{"typed": "heart attack", "added": ["Myocardial Infarction"]}])
        self.assertNotEqual(plain.headers["etag"], more.headers["etag"])
        posted = self.server.post("/v1/search", {"query": "heart attack", "expand": True})
        self.assertEqual(posted.body, more.body)

    def test_similar_leaves_the_document_out(self):
        answer = self.similar(ID, limit=20)
        found = [r["id"].rsplit("~", 1)[0] for r in answer.json["results"]]
        self.assertEqual(answer.json["similar_to"], ID)
        self.assertEqual(len(found), 20)
        self.assertEqual(len(set(found)), 20)
        self.assertNotIn(ID, found)
        again = self.similar(ID + "~0", limit=20)
        self.assertEqual(again.json["results"], answer.json["results"])
        same = self.server.get(f"/v1/documents/{ID}/similar?limit=20",
                               If_None_Match=answer.headers["etag"])
        self.assertEqual(same.status, 304)
        old = self.similar(ID, limit=5, year="..2018").json["results"]
        self.assertTrue(old and all(r["year"] <= 2018 for r in old))

    def test_vocabularies_are_listed_and_removed(self):
        with temp_folder() as folder:
            file = folder / "Some Names.TSV"
            file.write_text("X1\tone\ttwo\n")
            data = folder / "data"
            run("vocab", "--data", data, "add", file)
            listed = run_json("vocab", "--data", data, "--json", "list")
            self.assertEqual([v["name"] for v in listed], ["some-names-tsv"])
            run("vocab", "--data", data, "remove", listed[0]["name"])
            self.assertEqual(json.loads(run("vocab", "--data", data, "--json", "list").stdout), [])
            self.assertEqual(run("vocab", "--data", data, "remove", "x", ok=False).returncode, 4)
            self.assertEqual(run("vocab", "--data", data, "add", data, ok=False).returncode, 8)
            self.assertEqual(run("vocab", "--data", data, ok=False).returncode, 2)


if __name__ == "__main__":
    unittest.main()
