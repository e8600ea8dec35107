"""Tools that were made for Serper, Jina Reader and Tavily work when they are pointed here."""
import json
import unittest
import urllib.parse

from support import Server, WithServer, make_data, run, temp_folder

# Ids and addresses that need care: percent signs, slashes, queries, fragments, other alphabets.
DOCUMENTS = [
    {"_id": "a/b?c#d", "title": "Zyxomab in gout", "text": "Zyxomab lowers uric acid."},
    {"_id": "50%41-x", "title": "Zyxomab and the kidney", "text": "Zyxomab spares the kidney."},
    {"_id": "größe", "title": "Zyxomab, Dosis", "text": "Zyxomab by body size."},
    {"_id": "p1", "title": "Zyxomab trial", "text": "Zyxomab against placebo.",
     "metadata": {"url": "https://journal.example:8443/a%2Fb/article.aspx?id=7&lang=en#top"}},
    {"_id": "p2", "title": "Zyxomab review", "text": "Zyxomab was reviewed.",
     "metadata": {"url": "http://Journal.Example/überblick/"}},
    {"_id": "p3", "title": "Zyxomab letter", "text": "Zyxomab, a letter.",
     "metadata": {"url": "https://doi.org/10.5555/Zyx(1)"}},
]


def add_documents(data, folder):
    lines = folder / "zyxomab.jsonl"
    lines.write_text("".join(json.dumps(d) + "\n" for d in DOCUMENTS), encoding="utf-8")
    run("ingest", "--data", data, "--quiet", lines)
    run("build", "--data", data, "--quiet")


class Compat(WithServer):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stack.close()  # the data folder needs more documents
        cls.data = make_data(cls.stack.enter_context(temp_folder()))
        add_documents(cls.data, cls.stack.enter_context(temp_folder()))
        cls.server = cls.stack.enter_context(Server(cls.data))

    def serper(self, body, **headers):
        return self.server.post("/compat/serper/search", body, **headers)

    def tavily(self, body, route="search"):
        return self.server.post("/compat/tavily/" + route, body)

    def refused(self, answer, status=400):
        self.assertEqual(answer.status, status, answer.body)
        value = answer.json
        if "message" in value:
            self.assertEqual(value.get("statusCode", value.get("code")), status)
        return value.get("message") or value["detail"]["error"]


class Serper(Compat):
    def test_what_a_search_tool_sends_and_reads(self):
        answer = self.serper({"q": "stopping beta-blockers after infarction", "num": 10},
                             **{"X-API-KEY": "any"})
        self.assertEqual(answer.status, 200)
        value = answer.json
        self.assertEqual(value["searchParameters"]["num"], 10)
        self.assertEqual([r["position"] for r in value["organic"]], list(range(1, 11)))
        first = value["organic"][0]
        self.assertIn("beta-blockers", first["title"].lower())
        shown = self.server.search("stopping beta-blockers after infarction").json["results"]
        self.assertEqual([r["link"] for r in value["organic"]], [r["url"] for r in shown])
        self.assertEqual([r["snippet"] for r in value["organic"]], [r["snippet"] for r in shown])
        dated = [r for r in value["organic"] if "date" in r]
        self.assertTrue(dated)
        years = [str(r["year"]) for r in shown if r["year"]]
        self.assertEqual([r["date"][:4] for r in dated], years)

    def test_everything_in_the_query_string(self):
        query = urllib.parse.urlencode({"q": "asthma", "gl": "us", "hl": "en", "num": 3, "tbs": ""})
        want = self.serper({"q": "asthma", "num": 3}).json
        kind = {"Content-Type": "application/json"}
        for method in ("POST", "GET"):
            answer = self.server.request(method, "/compat/serper/search?" + query, headers=kind)
            self.assertEqual((answer.status, answer.json), (200, want))

    def test_what_has_no_meaning_here_is_not_refused(self):
        body = {"q": "asthma", "gl": "us", "hl": "en", "location": "Bern", "autocorrect": True,
                "type": "search", "engine": "google", "tbs": "qdr:y"}
        plain = self.serper({"q": "asthma"}).json
        self.assertEqual(self.serper(body).json["organic"], plain["organic"])

    def test_pages_follow_each_other(self):
        whole = self.serper({"q": "asthma", "num": 6}).json["organic"]
        pages = [self.serper({"q": "asthma", "num": 3, "page": p}).json["organic"] for p in (1, 2)]
        self.assertEqual(pages[0] + pages[1], whole)
        self.refused(self.serper({"q": "asthma", "num": 100, "page": 101}))

    def test_nothing_found_is_an_empty_list(self):
        answer = self.serper({"q": "qqqwwwxyzzy"})
        self.assertEqual((answer.status, answer.json["organic"]), (200, []))

    def test_the_syntax_of_web_search_engines_is_words(self):
        for q in ('"beta-blocker', "asthma site:nih.gov", "asthma -children", "(asthma", "AND",
                  "intitle:asthma filetype:pdf", "year:20xx asthma", "asthma)", "\u0085a", "a OR"):
            answer = self.serper({"q": q})
            self.assertEqual(answer.status, 200, (q, answer.body))
        self.assertTrue(self.serper({"q": "asthma site:nih.gov"}).json["organic"])

    def test_more_than_a_hundred_is_a_hundred(self):
        self.assertEqual(self.serper({"q": "a", "num": 5000}).json["searchParameters"]["num"], 100)
        self.assertEqual(self.serper({"q": "a", "num": "7"}).json["searchParameters"]["num"], 7)

    def test_retracted_articles_say_so(self):
        one = self.server.search("trial", retracted="only", limit=1).json["results"][0]
        organic = self.serper({"q": one["title"], "num": 20}).json["organic"]
        titles = [r["title"] for r in organic if r["link"] == one["url"]]
        self.assertEqual(titles, ["[retracted] " + one["title"]])
        page = self.server.get("/compat/jina/" + one["url"]).body.decode()
        self.assertTrue(page.startswith("Title: [retracted] "), page[:80])

    def test_bad_requests(self):
        self.assertIn("q is missing", self.refused(self.serper({})))
        for body in ({"q": ""}, {"q": " "}, {"q": 5}, {"q": None}, {"q": ["a"]},
                     {"q": "a", "num": 0}, {"q": "a", "num": -1}, {"q": "a", "num": 1.5},
                     {"q": "a", "num": "x"}, {"q": "a", "num": []}, {"q": "a", "page": 0},
                     {"q": "a" * 16385}, [], "a", 5, None):
            self.refused(self.serper(json.dumps(body)))
        for body in (b"{", b"\xff", b'{"q":"a","q":"b"}', b"[" * 100):
            self.assertIn("byte", self.refused(self.serper(body)))
        for query in ("", "q=", "q=a&num=0", "q=a&num=x", "q=%ff"):
            self.refused(self.server.get("/compat/serper/search?" + query))


class Jina(Compat):
    def read(self, given, **headers):
        return self.server.get("/compat/jina/" + given, **headers)

    def test_the_text_has_the_three_labels(self):
        answer = self.read("pmid:990000101")
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.headers["content-type"].startswith("text/plain"))
        lines = answer.body.decode().split("\n")
        self.assertTrue(lines[0].startswith("Title: Stopping or continuing beta-blockers"))
        self.assertEqual(lines[2], "URL Source: https://example.org/medicus-sample/pmid/990000101")
        self.assertIn("Markdown Content:", lines)
        self.assertIn("noninferior", answer.body.decode())

    def test_json_when_it_is_asked_for(self):
        answer = self.read("pmid:990000101", Accept="application/json")
        self.assertEqual(answer.json["code"], 200)
        data = answer.json["data"]
        text = self.read("pmid:990000101", Accept="*/*").body.decode()
        self.assertTrue(text.endswith(data["content"]))
        self.assertIn("URL Source: " + data["url"], text)

    def test_every_link_of_a_search_can_be_read(self):
        links = {}
        for q in ("zyxomab", "asthma", "guideline for children"):
            for one in self.serper({"q": q, "num": 20}).json["organic"]:
                links[one["link"]] = one["title"]
        own = [link for link in links if "/v1/documents/" in link]
        self.assertEqual(len(own), 3)
        self.assertGreater(len(links), 30)
        for link, title in links.items():
            ways = {"raw": urllib.parse.quote(link, safe=":/?&=%#()").split("#")[0],
                    "encoded": urllib.parse.quote(link, safe=""),
                    "one slash": urllib.parse.quote(link.split("#")[0].replace("://", ":/"),
                                                    safe=":/?&=%()")}
            for how, target in ways.items():
                answer = self.read(target)
                self.assertEqual(answer.status, 200, (how, link, answer.body))
                first = answer.body.decode().split("\n")[0]
                self.assertEqual(first, "Title: " + title, (how, link))
            posted = self.server.post("/compat/jina", {"url": link}, Accept="application/json")
            self.assertEqual((posted.status, posted.json["data"]["title"]), (200, title))
            got = self.tavily({"urls": [link]}, "extract").json
            self.assertEqual([r["title"] for r in got["results"]], [title])

    def test_ids_of_documents_and_passages(self):
        hits = self.server.search("zyxomab", limit=6, response_format="detailed").json["results"]
        self.assertEqual(len(hits), 6)
        for hit in hits:
            for name in (hit["id"], hit["document_id"]):
                answer = self.read(urllib.parse.quote(name, safe=""))
                self.assertEqual((answer.status, "Title: " + hit["title"]),
                                 (200, answer.body.decode().split("\n")[0]), name)
        self.assertEqual(self.read("https://pubmed.ncbi.nlm.nih.gov/990000101/").status, 200)

    def test_addresses_differ_in_what_matters_only(self):
        for address in ("http://journal.example:8443/a%2Fb/article.aspx?id=7&lang=en",
                        "https://JOURNAL.example:8443/a%2Fb/article.aspx?id=7&lang=en"):
            self.assertEqual(self.read(address).status, 200, address)
        for address in ("https://journal.example/a%2Fb/article.aspx?id=7&lang=en",
                        "https://journal.example:8443/a%2Fb/article.aspx?id=8&lang=en",
                        "https://journal.example:8443/",
                        "https://elsewhere.example/v1/documents/pmid:990000101"):
            self.refused(self.read(address), 404)

    def test_this_server_by_any_name_that_it_has(self):
        target = "/compat/jina/http://library.test/v1/documents/pmid%3A990000101"
        self.refused(self.server.get(target), 404)
        self.assertEqual(self.server.get(target, Host="library.test").status, 200)
        self.assertEqual(self.read("/v1/documents/pmid%3A990000101").status, 200)

    def test_what_is_not_here(self):
        self.assertIn("pmid:1", self.refused(self.read("pmid:1"), 404))
        for given in ("nope", "https://example.com/", "http://", "..%2f..%2fetc%2fpasswd",
                      "a" * 5000, "%f0%9f%92%8a", "https:%2f%2fx"):
            self.refused(self.read(given), 404)
        self.refused(self.read("%20"), 404)
        self.refused(self.read("%ff"))
        for body in ({}, {"url": 1}, {"url": ""}, {"url": None}, {"url": ["a"]}):
            self.refused(self.server.post("/compat/jina", body))
        self.refused(self.server.post("/compat/jina", {"url": "a\nb"}), 404)

    def test_a_public_address_with_a_path(self):
        with Server(self.data, "--public-url", "https://library.example/med/") as server:
            organic = server.post("/compat/serper/search", {"q": "zyxomab"}).json["organic"]
            prefix = "https://library.example/med/v1/documents/"
            own = [r["link"] for r in organic if r["link"].startswith(prefix)]
            self.assertEqual(len(own), 3)
            for link in own:
                self.assertEqual(server.get("/compat/jina/" + link).status, 200, link)


class Tavily(Compat):
    def test_what_a_search_tool_sends_and_reads(self):
        value = self.tavily({"query": "stopping beta-blockers", "max_results": 3,
                             "include_answer": False, "include_images": False,
                             "include_raw_content": True, "topic": "general",
                             "search_depth": "basic", "days": 7, "include_domains": None}).json
        self.assertEqual(len(value["results"]), 3)
        shown = self.server.search("stopping beta-blockers", limit=3,
                                   response_format="detailed").json
        for one, hit in zip(value["results"], shown["results"]):
            self.assertEqual((one["url"], one["content"], one["score"]),
                             (hit["url"], hit["text"], hit["score"]))
            self.assertTrue(one["raw_content"].startswith("# " + hit["title"]))
        self.assertIsNone(value["answer"])

    def test_raw_content_is_asked_for(self):
        body = {"query": "asthma", "max_results": 1}
        self.assertIsNone(self.tavily(body).json["results"][0]["raw_content"])
        text = self.tavily({**body, "include_raw_content": "text"}).json["results"][0]
        self.assertTrue(text["raw_content"].startswith(text["title"]))
        self.refused(self.tavily({**body, "include_raw_content": "pdf"}))

    def test_five_results_unless_told(self):
        self.assertEqual(len(self.tavily({"query": "asthma"}).json["results"]), 5)
        self.assertEqual(self.tavily({"query": "asthma", "max_results": 0}).json["results"], [])
        many = self.tavily({"query": "trial", "max_results": 99}).json["results"]
        self.assertEqual(len(many), 20)
        self.assertEqual(self.tavily({"query": "qqqwwwxyzzy"}).json["results"], [])

    def test_the_years_of_dates_count(self):
        hits = self.tavily({"query": "asthma", "start_date": "2019-05-01", "max_results": 20}).json
        same = self.server.search("asthma", year="2019..", limit=20).json["results"]
        self.assertEqual([h["url"] for h in hits["results"]], [h["url"] for h in same])
        self.refused(self.tavily({"query": "asthma", "start_date": "soon"}))
        self.refused(self.tavily({"query": "asthma", "end_date": 2019}))

    def test_extract_tells_what_failed(self):
        value = self.tavily({"urls": ["pmid:990000101", "https://example.com/x", "pmid:990000102"],
                             "include_images": False, "extract_depth": "basic"}, "extract").json
        self.assertEqual([r["url"] for r in value["results"]], ["pmid:990000101", "pmid:990000102"])
        self.assertEqual([r["url"] for r in value["failed_results"]], ["https://example.com/x"])
        plain = self.tavily({"urls": "pmid:990000101", "format": "text"}, "extract").json
        self.assertEqual(plain["results"][0]["raw_content"],
                         self.server.get("/v1/documents/pmid:990000101").json["text"])

    def test_bad_requests(self):
        for body in ({}, {"query": ""}, {"query": 1}, {"query": "a", "max_results": -1},
                     {"query": "a", "max_results": "many"}, {"query": "a" * 16385}, [], None, "a"):
            self.assertTrue(self.refused(self.tavily(json.dumps(body))))
        for body in ({}, {"urls": []}, {"urls": ""}, {"urls": 1}, {"urls": ["a", 1]},
                     {"urls": ["a"] * 21}, {"urls": ["a"], "format": "pdf"},
                     {"urls": ["a"], "format": 1}, []):
            self.assertTrue(self.refused(self.tavily(json.dumps(body), "extract")))
        self.refused(self.tavily(b"{"))
        self.refused(self.tavily(b"", "extract"))


class Keys(WithServer):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.stack.close()
        cls.data = make_data(cls.stack.enter_context(temp_folder()))
        cls.key = run("key", "--data", cls.data, "add", "agents", "--quiet").stdout.decode().strip()
        cls.server = cls.stack.enter_context(Server(cls.data))

    def test_each_service_takes_the_key_where_its_clients_put_it(self):
        post, key = self.server.post, self.key
        serper, jina = "/compat/serper/search", "/compat/jina/pmid:990000101"
        tavily, extract = "/compat/tavily/search", "/compat/tavily/extract"
        self.assertEqual(post(serper, {"q": "asthma"}, **{"X-API-KEY": key}).status, 200)
        self.assertEqual(self.server.get(jina, Authorization="Bearer " + key).status, 200)
        for body in ({"query": "asthma"}, {"query": "asthma", "api_key": "wrong"}):
            answer = post(tavily, body, Authorization="Bearer " + key)
            self.assertEqual(answer.status, 200)
        self.assertEqual(post(tavily, {"query": "asthma", "api_key": key}).status, 200)
        self.assertEqual(post(extract, {"urls": "pmid:990000101", "api_key": key}).status, 200)

    def test_without_a_key_nobody_is_served(self):
        for target, body in (("serper/search", {"q": "a"}), ("jina", {"url": "pmid:990000101"}),
                             ("tavily/search", {"query": "a"}), ("tavily/search", []),
                             ("tavily/search", {"query": "a", "api_key": 5}),
                             ("tavily/search", {"query": "a", "api_key": "medicus_no"}),
                             ("tavily/extract", {"urls": "a"})):
            self.problem(self.server.post("/compat/" + target, body), "unauthorized", 401)
        self.problem(self.server.post("/compat/tavily/search", b"{"), "unauthorized", 401)
        answer = self.server.post("/compat/tavily/search", {"query": "a", "api_key": self.key},
                                  Authorization="Bearer medicus_no")
        self.problem(answer, "unauthorized", 401)


class Empty(unittest.TestCase):
    def test_without_an_index(self):
        with temp_folder() as empty, Server(empty / "later", "--wait") as server:
            for target, body in (("serper/search", {"q": "a"}), ("jina", {"url": "a"}),
                                 ("tavily/search", {"query": "a"}),
                                 ("tavily/extract", {"urls": "a"})):
                answer = server.post("/compat/" + target, body)
                self.assertEqual(answer.status, 503, answer.body)
                self.assertIn("retry-after", answer.headers)


if __name__ == "__main__":
    unittest.main()
