"""What both test files share: a server, a browser, and what must hold at the end of each test."""
import contextlib
import json
import os
import pathlib
import sys
import unittest
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "http"))
from browser import CHROMIUM, Browser  # noqa: E402
from support import NODE_MODULES, Server, make_data, node_has, run, temp_folder  # noqa: E402

RESULTS = ".results > li"
AXE = NODE_MODULES / "axe-core/axe.min.js"
HAS_AXE = node_has("axe-core")

HOSTILE = {
    "_id": "hostile",
    "title": "<img src=x onerror=\"window.broken=1\"><script>window.broken=2</script> "
             "zebrafish & Co",
    "text": "Zebrafish </p><svg onload=window.broken=3> &lt;b&gt; in the β-cell of the zebrafish. "
            "<b>Zebrafish</b> <a href=\"javascript:window.broken=4\">read on</a>.",
    "authors": ["<i>Eve</i> Mallory"], "journal": "<b>Journal</b> of \"Quotes\" & 'Ticks'",
    "url": "javascript:window.broken=5",
}


@unittest.skipUnless(CHROMIUM, "Chromium is not installed")
class PageCase(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.data = cls.stack.enter_context(temp_folder())
        record = cls.data.with_suffix(".jsonl")
        record.write_text(json.dumps(HOSTILE) + "\n", encoding="utf-8")
        run("ingest", "--data", cls.data, "--quiet", record)
        record.unlink()
        make_data(cls.data)
        cls.server = cls.stack.enter_context(Server(cls.data))
        cls.browser = Browser()
        cls.stack.callback(cls.browser.close)

    @classmethod
    def tearDownClass(cls):
        cls.stack.close()

    def setUp(self):
        self.tabs = []

    def tearDown(self):
        for number, (tab, base) in enumerate(self.tabs):
            shots = os.environ.get("MEDICUS_SHOTS")
            if shots:
                pathlib.Path(shots).mkdir(exist_ok=True)
                tab.screenshot(f"{shots}/{self._testMethodName}-{number}.png")
            self.assertIsNone(tab.js("window.broken"))
            foreign = [r["url"] for r in tab.requests
                       if not r["url"].startswith((base + "/", "about:"))]
            self.assertEqual(foreign, [], "a request went elsewhere")
            self.assertEqual(tab.complaints, [])
            tab.close()

    def tab(self, path="/", width=1280, height=900, dark=False, server=None):
        base = f"http://127.0.0.1:{(server or self.server).port}"
        tab = self.browser.tab(width, height, dark)
        self.tabs.append((tab, base))
        tab.open(base + path)
        return tab

    def found(self, query, width=1280, height=900, dark=False, server=None, **state):
        """A tab that shows the results of a query."""
        fragment = urllib.parse.urlencode({"q": query, **state}, doseq=True)
        tab = self.tab("/#" + fragment, width, height, dark, server)
        tab.wait_for(RESULTS)
        return tab

    def answer(self, query, **body):
        """What the API says to the request that the page should make."""
        return self.server.post("/v1/search", {"query": query, "response_format": "detailed",
                                               **body}).json

    def shown(self, tab):
        return tab.js("[...document.querySelectorAll('.results a.title')].map(a => a.dataset.id)")

    def wait_shown(self, tab, answer):
        """Until the page shows what the API answered."""
        ids = json.dumps([r["id"] for r in answer["results"]])
        tab.wait("JSON.stringify([...document.querySelectorAll('.results a.title')]"
                 f".map(a => a.dataset.id)) === JSON.stringify({ids})")

    def accessible(self, tab):
        """axe-core finds nothing; it is put in from outside, where the page's policy has no say."""
        with self.subTest("accessibility"):
            if not HAS_AXE:
                self.skipTest("axe-core is not installed (tests/tools)")
            tab.call("Page.setBypassCSP", enabled=True)
            tab.js(AXE.read_text(encoding="utf-8") + "; 0")
            found = tab.js("""axe.run(document, {resultTypes: ['violations']}).then(r =>
                r.violations.map(v => [v.id, v.nodes.map(
                    n => n.target.join(' ') + ': ' + n.failureSummary)]))""")
            tab.call("Page.setBypassCSP", enabled=False)
            self.assertEqual(found, [])

    def fits(self, tab):
        """No horizontal scrolling of the page."""
        self.assertLessEqual(tab.js("document.documentElement.scrollWidth - innerWidth"), 0)
