// The page at /: asking, the list of results, which view is shown, and the keyboard.
import {
  askJson,
  button,
  byId,
  byteSlicer,
  failureBox,
  h,
  isShortcut,
  marked,
  plural,
  say,
  showKeys,
  wireHeader,
} from "./ui.js";
import { explainBar, EVIDENCE, flagLabels, SOURCES } from "./result.js";
import { closeDocument, showDocument } from "./document.js";
import {
  PAGE,
  WORDS,
  cleared,
  filtered,
  format,
  fromAddress,
  parse,
  go,
  onChange,
  request,
  settle,
  shownCount,
  state,
  typing,
} from "./state.js";
import { showExport } from "./export.js";
import { renderBar, renderFilters } from "./filters.js";
import { renderWelcome } from "./welcome.js";

const TYPING_MS = 160;

// --- asking, never out of order ---

let flight = null; // AbortController of the search in progress
let answer = null; // what is shown, and the fragment that it answers
let answered = "";
let timer = 0;
let searching = Promise.resolve();

const searchKey = (s) => format({ ...s, doc: "", n: 0 });

async function search() {
  clearTimeout(timer);
  if (flight) flight.abort();
  const mine = (flight = new AbortController());
  const asked = state;
  byId("results").setAttribute("aria-busy", "true");
  try {
    const got = await askJson("/v1/search", {
      method: "POST",
      signal: mine.signal,
      body: JSON.stringify(request(asked, asked.n)),
    });
    if (mine !== flight) return;
    answer = got;
    answered = searchKey(asked);
    renderAnswer();
  } catch (e) {
    if (e.name === "AbortError" || mine !== flight) return;
    answer = null;
    answered = "";
    renderFailure(e);
  } finally {
    if (mine === flight) {
      flight = null;
      byId("results").removeAttribute("aria-busy");
    }
  }
}

/** The next results, behind those that are shown; by cursor where the server gives one. */
async function more(control) {
  if (flight) flight.abort();
  const mine = (flight = new AbortController());
  const asked = state;
  const first = answer.results.length;
  control.disabled = true;
  try {
    const next = answer.next_cursor ? { cursor: answer.next_cursor } : { offset: first };
    const got = await askJson("/v1/search", {
      method: "POST",
      signal: mine.signal,
      body: JSON.stringify(request(asked, PAGE, next)),
    });
    if (mine !== flight || searchKey(state) !== answered) return;
    if (got.generation !== answer.generation) return anew(first + PAGE);
    answer.results.push(...got.results);
    answer.next_cursor = got.next_cursor;
    shownCount(answer.results.length);
    renderAnswer();
    focusResult(first);
  } catch (e) {
    if (e.name === "AbortError" || mine !== flight) return;
    if (e.status === 410) return anew(first + PAGE);
    control.replaceWith(failureBox(e, () => more(control)));
  } finally {
    if (mine === flight) flight = null;
    control.disabled = false;
  }
}

/** The index changed underneath: the list begins anew, as long as it would have been. */
function anew(count) {
  say("The index has changed; the results are those of the new one");
  shownCount(count);
  return search();
}

// --- the answer ---

const resultLinks = () => [...byId("results").querySelectorAll("a.title")];

function focusResult(index) {
  const links = resultLinks();
  if (links.length === 0) return;
  const link = links[Math.max(0, Math.min(index, links.length - 1))];
  link.focus();
  link.closest("li").scrollIntoView({ block: "nearest" });
}

function resultItem(r, longest) {
  const grave = (flag) => flag !== "full-text";
  const where = [EVIDENCE[r.evidence], r.journal, r.date || r.year, SOURCES[r.source]];
  const href = format({ ...state, doc: r.id });
  const article = h(
    "article",
    { class: r.flags.includes("retracted") ? "result retracted" : "result" },
    h(
      "h2",
      { dir: "auto" },
      flagLabels(r.flags.filter(grave)),
      h("a", { class: "title", href, "data-id": r.id, onclick: openHere }, r.title || "Untitled"),
    ),
    h(
      "p",
      { class: "where" },
      where
        .filter(Boolean)
        .map((w, i) => [
          i ? " · " : "",
          h("span", { class: w === where[0] ? "level" : null, dir: "auto" }, String(w)),
        ]),
      " ",
      flagLabels(r.flags.filter((flag) => !grave(flag))),
    ),
    h("p", { class: "snippet", dir: "auto" }, marked(r.snippet, r.highlights)),
  );
  if (r.explain) article.append(explainBar(r, longest));
  return h("li", {}, article);
}

// A plain click stays in the page; with a modifier the browser opens a tab of its own.
function openHere(e) {
  if (e.ctrlKey || e.metaKey || e.shiftKey || e.button) return;
  e.preventDefault();
  go({ doc: e.currentTarget.dataset.id, n: state.n });
}

function countText(a) {
  if (a.results.length === 0) return "Nothing found";
  const all =
    a.total_relation === "gte" ? `at least ${plural(a.total, "work")}` : plural(a.total, "work");
  const time = a.took_ms === undefined ? "" : ` in ${a.took_ms.toFixed(1)} ms`;
  return `${a.results.length.toLocaleString("en")} of ${all}${time}`;
}

function renderAnswer() {
  const a = answer;
  byId("count").textContent = countText(a);
  byId("export").hidden = a.results.length === 0;
  byId("notices").replaceChildren(...notices(a));
  const longest = Math.max(1e-9, ...a.results.map((r) => (r.explain ? positive(r.explain) : 0)));
  const list = h(
    "ol",
    { class: "results" },
    a.results.map((r) => resultItem(r, longest)),
  );
  byId("results").replaceChildren(a.results.length ? list : nothing(a));
  const rest = a.next_cursor || (a.results.length >= PAGE && a.results.length < a.total);
  if (rest && a.results.length < 1000 && a.results.length)
    byId("results").append(
      h(
        "p",
        { class: "more" },
        button("More results", (e) => more(e.currentTarget), { id: "more" }),
      ),
    );
  renderFilters(a.facets);
  about(a);
}

const positive = (x) =>
  ["lexical_part", "dense_part", "evidence_part", "grade_part", "recency_part"].reduce(
    (sum, part) => sum + Math.max(0, x[part]),
    0,
  );

function queryLink(q) {
  return h(
    "a",
    {
      href: format({ ...state, q, n: PAGE, doc: "" }),
      onclick: (e) => {
        e.preventDefault();
        setQuery(q);
      },
    },
    q,
  );
}

function notices(a) {
  const out = [];
  if (a.searched)
    out.push(
      h(
        "p",
        { class: "notice" },
        "Nothing found as typed. Searched for ",
        queryLink(a.searched),
        ".",
      ),
    );
  else if (a.suggestion)
    out.push(h("p", { class: "notice" }, "Did you mean ", queryLink(a.suggestion), "?"));
  for (const x of a.expansions || [])
    out.push(
      h(
        "p",
        { class: "notice" },
        "Also searched for ",
        x.added.map((w, i) => [i ? ", " : "", h("q", {}, w)]),
        " (",
        x.typed,
        ")",
      ),
    );
  if (a.mode !== state.mode && state.sort !== "date")
    out.push(h("p", { class: "notice" }, `Ranked in ${a.mode} mode.`));
  // What was searched for instead is told above, with a link.
  const told = (text) => a.searched && text.startsWith("nothing was found for");
  for (const text of a.results.length ? a.notices.filter((n) => !told(n)) : [])
    out.push(h("p", { class: "notice" }, text));
  return out;
}

function nothing(a) {
  const steps = [];
  if (filtered(state)) steps.push(["Search without filters", () => go(cleared())]);
  if (state.mode !== "hybrid")
    steps.push(["Search by words and meaning (hybrid)", () => go({ mode: "hybrid" })]);
  if (!state.expand) steps.push(["Search for other names as well", () => go({ expand: true })]);
  if (/["()]|\b(AND|OR|NOT)\b|\w:|\[\w+\]/.test(state.q))
    steps.push(["Search as plain words", () => setQuery(plain(state.q))]);
  return h(
    "div",
    { class: "nothing" },
    h("h2", {}, "Nothing found"),
    a.notices.map((text) => h("p", {}, text, without(text))),
    h(
      "p",
      { class: "actions" },
      steps.map(([label, act]) => button(label, act)),
    ),
  );
}

/** Behind "0 results with year:1950; 12 without it": a button that takes this filter away. */
function without(notice) {
  const found = /^0 results with (\w+).*; .* without/.exec(notice);
  if (!found) return null;
  const names = {
    year: ["from", "to"],
    exclude_retracted: ["retracted"],
    has_abstract: ["abstract"],
  };
  const none = cleared();
  const changes = {};
  for (const name of names[found[1]] || [found[1]])
    if (Object.hasOwn(none, name) && String(state[name]) !== String(none[name]))
      changes[name] = none[name];
  // It may be a part of the query instead.
  return Object.keys(changes).length ? [" ", button("Search without it", () => go(changes))] : null;
}

const plain = (q) =>
  q
    .replace(/\b(AND|OR|NOT)\b/g, " ")
    .replace(/\b\w+:(?=\S)|\[\w+\]|["()*]/g, " ")
    .replace(/\s+/g, " ")
    .trim();

function renderFailure(e) {
  byId("count").textContent = "";
  byId("export").hidden = true;
  byId("notices").replaceChildren();
  byId("results").replaceChildren(failureBox(readable(e), search));
  renderFilters();
}

/** Of a query that cannot be read: where, and a way out. */
function readable(e) {
  const at = e.status === 400 && /^query, byte (\d+): (.*)/s.exec(e.message);
  if (!at) return e;
  const slice = byteSlicer(state.q);
  const start = Math.min(Number(at[1]), slice.length_bytes);
  e.problem = {
    title: "The query cannot be read",
    detail: at[2],
    show: [slice(0, start), h("mark", {}, slice(start, slice.length_bytes) || " … ")],
    steps: [["Search as plain words", () => setQuery(plain(state.q))]],
  };
  return e;
}

function setQuery(q) {
  byId("q").value = q;
  go({ q });
}

function about(a) {
  byId("about").textContent =
    `Index of ${a.index_date.slice(0, 10)}, generation ${a.generation}` +
    (a.last_input ? `, newest file ${a.last_input}` : "");
}

// --- which view ---

let left = null; // the result that was opened, and where the list stood

function show() {
  const q = byId("q");
  if (document.activeElement !== q || q.value.trim() !== state.q) q.value = state.q;
  document.title = state.q ? `${state.q} – medicus` : "medicus";
  byId("document-view").hidden = !state.doc;
  byId("welcome").hidden = Boolean(state.doc || state.q);
  byId("search-view").hidden = Boolean(state.doc || !state.q);
  byId("skip").textContent = state.doc ? "To the document" : "To the results";
  if (state.doc) return openDocument();
  closeDocument();
  if (!state.q) {
    if (flight) flight.abort();
    answer = null;
    answered = "";
    return renderWelcome(queryLink);
  }
  renderBar();
  const fresh =
    answer &&
    answered === searchKey(state) &&
    answer.results.length >= Math.min(state.n, answer.total);
  if (!fresh) searching = search();
  if (left) restore();
}

function openDocument() {
  if (!left) left = { id: state.doc, top: scrollY };
  const result = answer && answer.results.find((r) => r.id === state.doc);
  showDocument(byId("document-view"), state.doc, {
    result,
    back,
    href: (id) => format({ ...state, doc: id }),
    open: (id) => go({ doc: id, n: state.n }),
  });
}

function restore() {
  const { id, top } = left;
  left = null;
  scrollTo(0, top);
  const link = resultLinks().find((a) => a.dataset.id === id);
  if (link) link.focus({ preventScroll: true });
}

function back() {
  if (history.state && history.state.inside) history.back();
  else go({ doc: "", n: state.n });
}

// --- events ---

function typed() {
  const q = byId("q").value.trim();
  if (q === state.q && !state.doc) return;
  typing(q);
  clearTimeout(timer);
  if (!q) return show();
  timer = setTimeout(show, TYPING_MS);
}

function submitted(e) {
  e.preventDefault();
  typed();
  clearTimeout(timer);
  settle();
  show();
  if (state.q) searching.then(() => focusResult(0));
}

const HELP = [
  ["/", "to the search field"],
  ["↓ j", "next result"],
  ["↑ k", "previous result"],
  ["Enter", "open"],
  ["Esc", "back to the results, then to the search field"],
  ["f", "to the filters"],
  ["m", "next mode: hybrid, lexical, dense"],
  ["s", "sort by relevance or date"],
  ["e", "explain the scores"],
  ["x", "export the results as citations"],
  ["c", "cite the open document"],
  ["?", "this help"],
];

function next(name) {
  const words = WORDS[name];
  go({ [name]: words[(words.indexOf(state[name]) + 1) % words.length] });
  say(`${name} ${state[name]}`);
}

const LETTERS = {
  "/": () => {
    byId("q").focus();
    byId("q").select();
  },
  "?": () => showKeys(HELP),
  j: () => move(1),
  k: () => move(-1),
  f: () => {
    byId("filters").open = true;
    byId("filters").querySelector("button, input, select").focus();
  },
  m: () => next("mode"),
  s: () => next("sort"),
  e: () => go({ explain: !state.explain, n: state.n }),
  x: () => byId("export").click(),
  c: () => {
    const cite = byId("cite");
    if (cite) {
      cite.scrollIntoView({ block: "nearest" });
      cite.querySelector("button").focus();
    }
  },
};
const IN_LIST = ["j", "k", "f", "m", "s", "e", "x"];

function move(step) {
  const links = resultLinks();
  const at = links.findIndex((a) => a.closest("li").contains(document.activeElement));
  if (at === 0 && step < 0) byId("q").focus();
  else focusResult(at < 0 ? 0 : at + step);
}

function pressed(e) {
  const list = !byId("search-view").hidden;
  if (document.querySelector("dialog[open]")) return;
  if (e.key === "Escape" && e.target.tagName !== "SELECT") {
    if (state.doc) {
      e.preventDefault();
      back();
    } else if (e.target !== byId("q")) {
      e.preventDefault();
      byId("q").focus();
    }
    return;
  }
  const inResults =
    list &&
    (e.target === byId("q") || byId("results").contains(e.target) || e.target === document.body);
  if (
    inResults &&
    (e.key === "ArrowDown" || e.key === "ArrowUp") &&
    !e.altKey &&
    !e.ctrlKey &&
    !e.metaKey
  ) {
    if (e.target === byId("q") && e.key === "ArrowUp") return;
    e.preventDefault();
    move(e.key === "ArrowDown" ? 1 : -1);
    return;
  }
  if (!isShortcut(e) || !Object.hasOwn(LETTERS, e.key) || (IN_LIST.includes(e.key) && !list))
    return;
  e.preventDefault();
  LETTERS[e.key]();
}

wireHeader();
byId("form").addEventListener("submit", submitted);
byId("q").addEventListener("input", typed);
byId("export").addEventListener("click", () => showExport(request(state, PAGE), answer.total));
byId("help").addEventListener("click", () => showKeys(HELP));
byId("home").addEventListener("click", (e) => {
  if (e.ctrlKey || e.metaKey || e.shiftKey) return;
  e.preventDefault();
  go(parse(""));
  byId("q").focus();
});
document.addEventListener("keydown", pressed);
addEventListener("popstate", () => {
  clearTimeout(timer);
  fromAddress();
});
const wide = matchMedia("(min-width: 56em)");
const fold = () => {
  byId("filters").open = wide.matches;
};
wide.addEventListener("change", fold);
fold();
history.scrollRestoration = "manual";
onChange(show);
fromAddress();
if (!state.q && !state.doc) byId("q").focus();
