"""The page at /: what a person can do with it, and what a hostile record cannot."""
import base64
import json
import shutil
import unittest
import urllib.parse

from page_case import HAS_AXE, HOSTILE, RESULTS, PageCase
from support import Server, run, temp_folder

QUERY = "beta-blockers after myocardial infarction"


class Search(PageCase):
    def test_typing_finds_without_enter(self):
        tab = self.tab()
        tab.wait("document.activeElement.id === 'q'")
        tab.type("asthma reliever")
        self.wait_shown(tab, self.answer("asthma reliever"))
        self.assertIn("asthma", tab.text(RESULTS).lower())
        self.assertIn(f"of {self.answer('asthma reliever')['total']}", tab.text("#count"))

    def test_query_text_is_in_no_address_that_is_sent(self):
        tab = self.tab()
        tab.type("zebrafishsecret")
        tab.wait("document.querySelector('.nothing, .results') !== null")
        self.assertIn("zebrafishsecret", tab.url())
        for request in tab.requests:
            self.assertNotIn("zebrafishsecret", request["url"].split("#")[0])

    def test_an_older_answer_never_replaces_a_newer_one(self):
        tab = self.tab()
        # The first search is held back until the second one was answered.
        tab.call("Fetch.enable", patterns=[{"urlPattern": "*/v1/search"}])
        tab.type("asthma")
        tab.wait("document.querySelector('#results[aria-busy]') !== null")
        tab.until(lambda: tab.paused)
        held = tab.paused.pop()
        tab.type(" children")
        tab.until(lambda: any("children" in p["request"]["postData"] for p in tab.paused))
        tab.call("Fetch.continueRequest", requestId=tab.paused.pop()["requestId"])
        self.wait_shown(tab, self.answer("asthma children"))
        try:
            tab.call("Fetch.continueRequest", requestId=held["requestId"])
        except AssertionError:
            pass  # the page gave it up
        tab.call("Fetch.disable")
        self.browser.read(0.2)
        self.assertEqual(self.shown(tab),
                         [r["id"] for r in self.answer("asthma children")["results"]])

    def test_everything_from_the_keyboard(self):
        tab = self.tab()
        tab.press("Escape")
        tab.js("document.activeElement.blur()")
        tab.press("/")
        tab.wait("document.activeElement.id === 'q'")
        tab.type(QUERY)
        self.wait_shown(tab, self.answer(QUERY))
        first, second = self.shown(tab)[:2]
        tab.press("ArrowDown")
        tab.press("j")
        tab.press("j")
        tab.press("k")
        self.assertEqual(tab.js("document.activeElement.dataset.id"), second)
        ring = tab.js("getComputedStyle(document.activeElement).outlineStyle")
        self.assertEqual(ring, "solid")
        tab.press("Enter")
        tab.wait_for(".document h1")
        title = self.server.get("/v1/documents/" + urllib.parse.quote(second, "")).json["title"]
        self.assertEqual(tab.text(".document h1"), title)
        tab.press("c")
        self.assertEqual(tab.js("document.activeElement.closest('#cite') !== null"), True)
        tab.press("Enter")
        tab.wait("!document.querySelector('.citation').hidden")
        forms = {b: f for b, f in zip(tab.texts("#cite button"), ("vancouver", "ris", "nbib",
                                                                  "bibtex", "csl-json"))}
        self.assertEqual(len(forms), 5)
        address = f"/v1/documents/{urllib.parse.quote(second.rsplit('~', 1)[0], '')}?format="
        for place, form in enumerate(forms.values()):
            tab.js(f"document.querySelectorAll('#cite button')[{place}].focus()")
            tab.press("Enter")
            wanted = json.dumps(self.server.get(address + form).body.decode().split())
            tab.wait("JSON.stringify(document.querySelector('.citation').textContent.split(/\\s+/))"
                     f" === JSON.stringify({wanted})")
        tab.press("Escape")
        tab.wait(f"document.activeElement.dataset.id === {json.dumps(second)}")
        self.assertEqual(self.shown(tab)[0], first)
        tab.press("Escape")
        tab.wait("document.activeElement.id === 'q'")

    def test_help_names_the_keys_and_can_switch_letters_off(self):
        tab = self.found(QUERY)
        tab.press("?")
        tab.wait_for("dialog[open] kbd")
        tab.click("dialog input[type=checkbox]")
        tab.press("Escape")
        tab.wait("document.querySelector('dialog') === null")
        tab.press("/")
        self.assertNotEqual(tab.js("document.activeElement.id"), "q")

    def test_the_address_holds_the_whole_state(self):
        tab = self.found(QUERY)
        tab.click("input[name=mode][value=lexical]")
        self.wait_shown(tab, self.answer(QUERY, mode="lexical"))
        tab.click("[data-facet=evidence][data-value=randomized-trial]")
        wanted = self.answer(QUERY, mode="lexical", filters={"evidence": ["randomized-trial"]})
        self.wait_shown(tab, wanted)
        other = self.tab(tab.url().split(str(self.server.port))[1])
        self.wait_shown(other, wanted)
        self.assertTrue(other.js("document.querySelector('[value=lexical]').checked"))
        tab.js("history.back()")
        self.wait_shown(tab, self.answer(QUERY, mode="lexical"))
        tab.js("history.back()")
        self.wait_shown(tab, self.answer(QUERY))
        tab.js("history.forward()")
        self.wait_shown(tab, self.answer(QUERY, mode="lexical"))

    def test_filters_do_what_the_api_does(self):
        for state, filters in (
                ({"from": "2020", "to": "2022"}, {"year": "2020..2022"}),
                ({"source": "guideline"}, {"source": ["guideline"]}),
                ({"type": ["Meta-Analysis", "Case Reports"]},
                 {"type": ["Meta-Analysis", "Case Reports"]}),
                ({"mesh": "Asthma"}, {"mesh": ["Asthma"]}),
                ({"language": "eng"}, {"language": ["eng"]}),
                ({"retracted": "only"}, {"retracted": "only"}),
                ({"retracted": "exclude", "abstract": "1"},
                 {"retracted": "exclude", "has_abstract": True})):
            with self.subTest(state):
                tab = self.found("treatment trial", **state)
                self.wait_shown(tab, self.answer("treatment trial", filters=filters))
        tab = self.found("treatment", sort="date")
        self.wait_shown(tab, self.answer("treatment", sort="date"))
        tab = self.found("MI", expand="1")
        self.wait_shown(tab, self.answer("MI", expand=True))

    def test_facets_show_the_counts_of_the_api_and_filter(self):
        tab = self.found(QUERY)
        facets = self.answer(QUERY, facets=["type"], facet_limit=8)["facets"]["type"]
        shown = tab.js("""[...document.querySelectorAll('[data-facet=type]')].map(b =>
            [b.dataset.value, Number(b.querySelector('.number').textContent.replace(/,/g, ''))])""")
        self.assertEqual(shown, [[f["value"], f["count"]] for f in facets])
        chosen = facets[2]["value"]
        tab.click(f"[data-facet=type][data-value={json.dumps(chosen)}]")
        wanted = self.answer(QUERY, filters={"type": [chosen]})
        self.wait_shown(tab, wanted)
        pressed = "document.querySelector('[data-facet=type][aria-pressed=true]').dataset.value"
        self.assertEqual(tab.js(pressed), chosen)
        tab.click("#clear")
        self.wait_shown(tab, self.answer(QUERY))

    def test_years_can_be_typed(self):
        tab = self.found(QUERY)
        tab.click("#year-from")
        tab.type("2021")
        tab.press("Enter")
        self.wait_shown(tab, self.answer(QUERY, filters={"year": "2021.."}))

    def test_more_results_follow_on(self):
        tab = self.found(QUERY)
        tab.click("#more")
        self.wait_shown(tab, self.answer(QUERY, limit=20))
        asked = [json.loads(r["postData"]) for r in tab.requests if r.get("postData")]
        self.assertIn("cursor", asked[-1])
        self.assertEqual(tab.js("document.activeElement.dataset.id"), self.shown(tab)[10])
        again = self.tab(tab.url().split(str(self.server.port))[1])
        self.wait_shown(again, self.answer(QUERY, limit=20))

    def test_results_are_exported_as_citations(self):
        with temp_folder() as folder:
            tab = self.found("asthma", source="pubmed")
            self.browser.call("Browser.setDownloadBehavior", behavior="allow",
                              downloadPath=str(folder), browserContextId=tab.context)
            tab.press("x")
            tab.wait_for("dialog[open] button")
            self.accessible(tab)
            tab.press("Tab", "Enter")  # the second form, RIS
            tab.until(lambda: (folder / "medicus.ris").exists())
            records = (folder / "medicus.ris").read_text(encoding="utf-8")
        found = self.answer("asthma", filters={"source": ["pubmed"]}, limit=1000)["results"]
        self.assertEqual(records.count("TY  - "), len(found))
        self.assertIn(found[0]["title"].rstrip("."), records)

    def test_spelling_and_names_are_offered(self):
        for query, key in (("metfromin vitamin", "suggestion"), ("astma reliver", "searched")):
            better = self.answer(query)[key]
            tab = self.found(query)
            tab.wait_for("#notices a")
            self.assertEqual(tab.text("#notices a"), better)
            tab.click("#notices a")
            self.wait_shown(tab, self.answer(better))
            self.assertEqual(tab.js("document.getElementById('q').value"), better)

    def test_nothing_found_has_next_steps(self):
        tab = self.tab("/#q=asthma+reliever&from=1950&to=1951")
        tab.click(".nothing .actions button")
        self.wait_shown(tab, self.answer("asthma reliever"))
        tab = self.tab("/#q=asthma&from=1950&to=1951&evidence=guideline")
        tab.wait_for(".nothing p button")
        self.assertIn("year:1950..1951", tab.text(".nothing p"))
        tab.click(".nothing p button")
        self.wait_shown(tab, self.answer("asthma", filters={"evidence": ["guideline"]}))

    def test_an_unreadable_query_is_shown_where_it_breaks(self):
        tab = self.tab("/#q=" + urllib.parse.quote("β-blocker AND (asthma"))
        tab.wait_for(".problem pre mark")
        self.assertTrue(tab.text(".problem pre").startswith("β-blocker AND "))
        tab.click(".problem .actions button")
        self.wait_shown(tab, self.answer("β-blocker asthma"))


class Trust(PageCase):
    def test_highlights_are_exactly_the_offsets(self):
        for query in (QUERY, "β-blocker HbA1c", "zebrafish"):
            tab = self.found(query)
            results = self.answer(query)["results"]
            self.wait_shown(tab, {"results": results})
            expected = []
            for r in results:
                snippet = r["snippet"].encode()
                expected.append([snippet[a:b].decode() for a, b in r["highlights"]])
            self.assertTrue(any(expected))
            self.assertEqual(tab.texts(".snippet"), [r["snippet"] for r in results])
            self.assertEqual(expected, tab.js("""[...document.querySelectorAll('.snippet')].map(s =>
                [...s.querySelectorAll('mark')].map(m => m.textContent))"""))

    def test_the_found_passage_is_marked_in_the_document(self):
        passage = self.answer("asthma key message salbutamol")["results"][0]
        tab = self.tab("/#doc=" + urllib.parse.quote(passage["id"], ""))
        tab.wait_for(".passage")
        marked = " ".join("".join(tab.texts(".passage")).split())
        self.assertEqual(marked.replace(" ", ""), "".join(passage["text"].split()))

    def test_a_hostile_record_stays_text(self):
        tab = self.found("zebrafish")
        titles = tab.texts(".results a.title")
        self.assertIn(HOSTILE["title"], titles)
        elements = "document.querySelectorAll('main img, main script, main svg').length"
        self.assertEqual(tab.js(elements), 0)
        index = titles.index(HOSTILE["title"])
        tab.js(f"document.querySelectorAll('.results a.title')[{index}].click()")
        tab.wait_for(".similar")
        self.assertEqual(tab.text(".document h1"), HOSTILE["title"])
        self.assertIn("</p><svg onload=window.broken=3>", tab.text(".text"))
        self.assertEqual(tab.text(".authors"), HOSTILE["authors"][0])
        dangerous = "[...document.links].filter(a => !/^https?:/.test(a.href)).length"
        self.assertEqual(tab.js(dangerous), 0)
        tab.click("#cite button")
        tab.wait("!document.querySelector('.citation').hidden")

    def test_a_hostile_query_and_address_stay_text(self):
        evil = "\"><img src=x onerror=window.broken=1><script>window.broken=2</script>"
        tab = self.tab("/#" + urllib.parse.urlencode({"q": evil, "mesh": evil, "journal": evil}))
        tab.wait("document.querySelector('.nothing, .problem') !== null")
        self.assertEqual(tab.js("document.querySelectorAll('main img, main script').length"), 0)
        self.assertIn(evil, tab.texts("[data-facet=mesh] .value"))
        tab = self.tab("/#doc=" + urllib.parse.quote("javascript:alert(1)/../../metrics", ""))
        tab.wait_for(".problem")

    def test_retracted_articles_are_named_so(self):
        tab = self.found("N-acetylcysteine bismuth quadruple Helicobacter")
        flagged = [r["id"] for r in self.answer("N-acetylcysteine bismuth quadruple Helicobacter")[
            "results"] if "retracted" in r["flags"]]
        self.assertTrue(flagged)
        for name in flagged:
            label = tab.js(f"""document.querySelector('[data-id={json.dumps(name)}]')
                .closest('.retracted').querySelector('.flag.bad').textContent""")
            self.assertEqual(label, "Retracted")
        tab = self.tab("/#doc=pmid:990000804")
        tab.wait_for(".banner.bad")
        self.assertIn("has been retracted", tab.text(".banner.bad"))
        tab.click(".links a")
        tab.wait("document.querySelector('.flag.warn') !== null")
        self.assertIn("doc=pmid%3A990000805", tab.url())

    def test_explanations_are_the_numbers_of_the_api(self):
        tab = self.found(QUERY, explain="1")
        tab.wait_for(".explain .stack")
        first = self.answer(QUERY, explain=True)["results"][0]["explain"]
        told = tab.text(".explain")
        for part, label in (("lexical_part", "BM25"), ("dense_part", "dense"),
                            ("evidence_part", "evidence"), ("recency_part", "recency")):
            self.assertIn(f"{label} +{first[part]:.3f}", told)
        self.assertIn(f"= {first['score']:.3f}", told)

    def test_the_policies_are_strict(self):
        for path in ("/", "/docs", "/assets/search.js", "/assets/style.css"):
            answer = self.server.get(path)
            policy = dict((p.split(" ", 1) + [""])[:2] for p in
                          answer.headers["content-security-policy"].split("; "))
            self.assertEqual(policy["default-src"], "'none'")
            self.assertEqual(policy["script-src"], "'self'")
            for name in ("base-uri", "form-action", "frame-ancestors"):
                self.assertEqual(policy[name], "'none'")
            self.assertNotIn("unsafe", answer.headers["content-security-policy"])
            self.assertEqual(answer.headers["x-content-type-options"], "nosniff")
            self.assertEqual(answer.headers["referrer-policy"], "no-referrer")
            self.assertIn("permissions-policy", answer.headers)
            again = self.server.get(path, If_None_Match=answer.headers["etag"])
            self.assertEqual((again.status, again.body), (304, b""))
            self.assertEqual(self.server.request("HEAD", path).headers["etag"],
                             answer.headers["etag"])
        self.assertEqual(self.server.get("/assets/nothing.js").status, 404)

    def test_the_policy_is_enforced(self):
        tab = self.tab()
        tab.js("""(() => { const s = document.createElement('style'); s.textContent = 'x{}';
            document.head.append(s); })()""")
        refused = tab.js("""(() => { try { document.body.innerHTML = '<b>x</b>'; return false; }
            catch (e) { return e.name === 'TypeError'; } })()""")
        self.assertTrue(refused)
        tab.wait("document.querySelector('style') !== null")
        tab.until(lambda: tab.complaints)  # the record of violations works: "none" means something
        tab.complaints.clear()
        self.browser.read(0.3)
        tab.complaints.clear()


class Trouble(PageCase):
    def paused(self, tab, pattern):
        tab.call("Fetch.enable", patterns=[{"urlPattern": pattern}])

    def reply(self, tab, status, body, *headers):
        tab.until(lambda: tab.paused)
        names = [("Content-Type", "application/problem+json"), *headers]
        tab.call("Fetch.fulfillRequest", requestId=tab.paused.pop()["requestId"],
                 responseCode=status, responseHeaders=[{"name": n, "value": v} for n, v in names],
                 body=base64.b64encode(json.dumps(body).encode()).decode())

    def test_a_server_that_is_gone_is_told_and_tried_again(self):
        with Server(self.data) as server:
            tab = self.found(QUERY, server=server)
            server.stop()
            tab.click("#q")
            tab.type(" trial")
            tab.wait_for(".problem")
            self.assertIn("does not answer", tab.text(".problem"))
            self.assertIn("Try again", tab.text(".problem button"))

    def test_an_overloaded_server_is_asked_again_after_retry_after(self):
        tab = self.tab()
        self.paused(tab, "*/v1/search")
        tab.type("asthma")
        self.reply(tab, 503, {"type": "/problems/overloaded", "title": "Overloaded", "status": 503,
                              "next": "Wait and try again."}, ("Retry-After", "1"))
        tab.wait_for(".problem")
        self.assertIn("Overloaded", tab.text(".problem"))
        tab.until(lambda: tab.paused)  # the page asks again by itself
        tab.call("Fetch.continueRequest", requestId=tab.paused.pop()["requestId"])
        tab.call("Fetch.disable")
        self.wait_shown(tab, self.answer("asthma"))

    def test_a_key_is_asked_for_and_kept_in_the_tab_alone(self):
        with temp_folder() as folder:
            data = shutil.copytree(self.data, folder / "data")
            secret = run("key", "--data", data, "add", "reader", "--quiet").stdout.decode().strip()
            with Server(data) as server:
                tab = self.tab(server=server)
                tab.wait_for(".language")
                self.assertEqual(tab.js("document.querySelector('dialog')"), None)
                tab.type("asthma")
                tab.wait("document.activeElement.id === 'key-input'")
                self.accessible(tab)
                tab.type("wrong")
                tab.press("Enter")
                tab.wait_for(".problem")
                self.assertIn("401", str(server.get("/v1/search?q=asthma").status))
                tab.click(".problem .actions button")
                tab.wait("document.activeElement.id === 'key-input'")
                tab.type(secret)
                tab.press("Enter")
                self.wait_shown(tab, self.answer("asthma"))
                kept = tab.js("""[JSON.stringify(localStorage), document.cookie, location.href,
                    JSON.stringify(sessionStorage)]""")
                self.assertNotIn(secret, "".join(kept[:3]))
                self.assertIn(secret, kept[3])
                self.assertFalse([r for r in tab.requests if secret in r["url"]])
                other = self.tab("/#q=asthma", server=server)
                other.wait("document.activeElement.id === 'key-input'")

    def test_an_expired_cursor_begins_the_list_anew(self):
        tab = self.found(QUERY)
        self.paused(tab, "*/v1/search")
        tab.click("#more")
        self.reply(tab, 410, {"type": "/problems/expired-cursor", "title": "Expired",
                              "status": 410, "next": "Begin again."})
        tab.until(lambda: tab.paused)
        tab.call("Fetch.continueRequest", requestId=tab.paused.pop()["requestId"])
        tab.call("Fetch.disable")
        self.wait_shown(tab, self.answer(QUERY, limit=20))

    def test_an_unknown_document_has_a_problem_and_a_way_back(self):
        tab = self.found(QUERY)
        tab.js("location.hash = '#q=asthma&doc=pmid%3A1'")
        tab.wait_for(".problem")
        tab.press("Escape")
        self.wait_shown(tab, self.answer("asthma"))
        self.assertNotIn("doc=", tab.url())


class Look(PageCase):
    VIEWS = ("/", "/#q=beta-blockers+after+myocardial+infarction&explain=1",
             "/#q=N-acetylcysteine+bismuth&explain=1&retracted=only&from=2000",
             "/#doc=guideline%3Aasthma-reliever-therapy~1", "/#doc=pmid%3A990000804",
             "/#q=asthma+AND", "/#q=asthma&from=1950&to=1951")
    DONE = ".language, .results > li, .nothing, .problem, .similar li"

    @unittest.skipUnless(HAS_AXE, "axe-core is not installed (tests/tools)")
    def test_every_view_is_accessible_in_both_schemes_and_widths(self):
        for width, height in ((1280, 900), (360, 740)):
            for dark in (False, True):
                for view in self.VIEWS:
                    with self.subTest(view=view, width=width, dark=dark):
                        tab = self.tab(view, width, height, dark)
                        tab.wait_for(self.DONE)
                        self.accessible(tab)

    def test_every_view_fits_a_narrow_screen(self):
        for view in self.VIEWS:
            with self.subTest(view=view):
                tab = self.tab(view, 360, 740)
                tab.wait_for(self.DONE)
                self.fits(tab)

    def test_the_scheme_follows_the_system_until_one_is_chosen(self):
        paper = "getComputedStyle(document.body).backgroundColor"
        tab = self.tab()
        light = tab.js(paper)
        tab.scheme(True)
        dark = tab.js(paper)
        self.assertNotEqual(light, dark)
        tab.click("#theme")
        self.assertEqual(tab.js(paper), light)
        tab.open(tab.url())
        self.assertEqual(tab.js(paper), light)

    def test_counts_are_told_to_screen_readers(self):
        tab = self.found(QUERY)
        role = tab.js("document.getElementById('count').getAttribute('role')")
        self.assertEqual(role, "status")
        for landmark in ("header", "main", "[role=search]", "nav[aria-label]", "aside[aria-label]"):
            self.assertEqual(tab.js(f"document.querySelectorAll('{landmark}').length > 0"), True)

    def test_paper_gets_the_text_alone(self):
        tab = self.tab("/#doc=pmid%3A990000804", dark=True)
        tab.wait_for(".similar li")
        tab.call("Emulation.setEmulatedMedia", media="print")
        self.assertEqual(tab.js("getComputedStyle(document.querySelector('.top')).display"), "none")
        self.assertEqual(tab.js("getComputedStyle(document.body).backgroundColor"),
                         "rgb(255, 255, 255)")
        self.assertIn("has been retracted", tab.text(".banner.bad"))


if __name__ == "__main__":
    unittest.main()
