"""The page at /docs: everything that openapi.json says, and forms that work."""
import json
import unittest

from page_case import PageCase

METHODS = ("get", "post", "put", "patch", "delete")


class Docs(PageCase):
    def docs(self, *args, **kwargs):
        tab = self.tab("/docs", *args, **kwargs)
        tab.wait_for(".operation")
        return tab

    def last_pre(self, tab, operation):
        selector = json.dumps(f"#{operation} .try pre")
        return json.loads(tab.js(f"[...document.querySelectorAll({selector})].pop().textContent"))

    def test_every_operation_and_tool_is_told(self):
        tab = self.docs()
        spec = self.server.get("/openapi.json").json
        told = tab.js("[...document.querySelectorAll('.operation')].map(s => s.id)")
        operations = [item[m]["operationId"] for item in spec["paths"].values()
                      for m in METHODS if m in item]
        tools = ["tool-" + t["name"] for t in self.server.post("/mcp", {
            "jsonrpc": "2.0", "id": 1, "method": "tools/list"}).json["result"]["tools"]]
        self.assertEqual(sorted(told), sorted(operations + tools))
        names = tab.texts("#search .fields code")
        for parameter in ("q", "mode", "facets", "has_abstract", "200", "503"):
            self.assertIn(parameter, names)

    def test_schemas_open(self):
        tab = self.docs()
        tab.click("#search .schema > summary, #search .fields details > summary")
        tab.wait("[...document.querySelectorAll('#search .schema code')].some("
                 "c => c.textContent === 'results')")

    def test_a_request_can_be_tried_and_copied(self):
        tab = self.docs()
        tab.click("#search .tryit > summary")
        tab.click("#search-q")
        tab.js("document.getElementById('search-q').select()")
        tab.type("it's asthma")
        tab.wait("document.querySelector('#search .try pre').textContent.includes('it%27s+asthma')")
        tab.click("#search .try .primary")
        tab.wait_for("#search .try .status")
        self.assertTrue(tab.text("#search .try .status").startswith("200"))
        self.assertEqual(self.last_pre(tab, "search"), self.server.search("it's asthma").json)

    def test_a_body_can_be_tried(self):
        tab = self.docs()
        tab.click("#fetch .tryit > summary")
        tab.js("document.getElementById('fetch-body').value = '{\"ids\": [\"pmid:990000101\"]}'")
        tab.click("#fetch .try .primary")
        tab.wait_for("#fetch .try .status")
        body = self.last_pre(tab, "fetch")
        self.assertEqual(body["documents"][0]["id"], "pmid:990000101")

    def test_it_fits_and_is_accessible_in_both_schemes_and_widths(self):
        for width, height in ((1280, 900), (360, 740)):
            for dark in (False, True):
                with self.subTest(width=width, dark=dark):
                    tab = self.docs(width, height, dark)
                    tab.js("document.querySelectorAll('#searchPost details, #search details')"
                           ".forEach(d => { d.open = true; })")
                    tab.wait_for("#search .try pre")
                    self.fits(tab)
                    self.accessible(tab)


if __name__ == "__main__":
    unittest.main()
