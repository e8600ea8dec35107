// The page at /: one state, kept in the fragment of the address, and two views of it.
//
// The fragment never leaves the browser, and searches are POST requests: what is searched for is in
// no proxy's log. Back, forward and a shared address restore the whole state.
import { askJson, byId, byteSlicer, failureBox, h, isShortcut, marked, plural, say, send, showKeys, wireHeader }
  from "./ui.js";
import { explainBar, EVIDENCE, flagLabels, SOURCES } from "./result.js";
import { closeDocument, showDocument } from "./document.js";

const PAGE = 10;
const TYPING_MS = 160;
const LISTS = ["source", "evidence", "type", "journal", "mesh", "language"];
const WORDS = {
  mode: ["hybrid", "lexical", "dense"],
  sort: ["relevance", "date"],
  retracted: ["", "exclude", "only"],
};
const SWITCHES = ["abstract", "expand", "explain"];
const FACETS = {
  year: "Year", evidence: "Evidence", type: "Publication type", journal: "Journal", mesh: "MeSH",
  source: "Source", language: "Language",
};

// --- state and address ---

let state = parse("");
let settled = true; // the next keystroke begins a new entry of the history

function parse(fragment) {
  const p = new URLSearchParams(fragment);
  const s = { q: p.get("q") || "", doc: p.get("doc") || "", n: PAGE };
  const n = Number(p.get("n"));
  if (Number.isInteger(n) && n > PAGE && n <= 1000) s.n = n;
  for (const [name, words] of Object.entries(WORDS))
    s[name] = words.includes(p.get(name)) ? p.get(name) : words[0];
  for (const name of LISTS) s[name] = p.getAll(name).filter((v) => v.trim());
  for (const name of SWITCHES) s[name] = p.get(name) === "1";
  for (const name of ["from", "to"]) s[name] = /^\d{4}$/.test(p.get(name)) ? p.get(name) : "";
  return s;
}

function format(s) {
  const p = new URLSearchParams();
  if (s.doc) p.set("doc", s.doc);
  if (s.q) p.set("q", s.q);
  for (const [name, words] of Object.entries(WORDS)) if (s[name] !== words[0]) p.set(name, s[name]);
  for (const name of ["from", "to"]) if (s[name]) p.set(name, s[name]);
  for (const name of LISTS) for (const value of s[name]) p.append(name, value);
  for (const name of SWITCHES) if (s[name]) p.set(name, "1");
  if (s.n !== PAGE) p.set("n", s.n);
  return "#" + p;
}

const filtered = (s) => Boolean(s.from || s.to || s.retracted || s.abstract ||
  LISTS.some((name) => s[name].length));

/** A step that Back undoes. */
function go(changes) {
  state = { ...state, n: PAGE, doc: "", ...changes };
  settled = true;
  history.pushState({ inside: true }, "", format(state));
  show();
}

function request(s, limit, more) {
  const filters = {};
  if (s.from || s.to) filters.year = s.from === s.to ? s.from : `${s.from}..${s.to}`;
  for (const name of LISTS) if (s[name].length) filters[name] = s[name];
  if (s.retracted) filters.retracted = s.retracted;
  if (s.abstract) filters.has_abstract = true;
  const body = {
    query: s.q, mode: s.mode, sort: s.sort, limit, response_format: "detailed", expand: s.expand,
    explain: s.explain, filters, ...more,
  };
  return JSON.stringify(body);
}

// --- asking, never out of order ---

let flight = null; // AbortController of the search in progress
let answer = null; // what is shown, and the fragment that it answers
let answered = "";
let timer = 0;

const searchKey = (s) => format({ ...s, doc: "", n: 0 });

async function search() {
  clearTimeout(timer);
  if (flight) flight.abort();
  const mine = flight = new AbortController();
  const asked = state;
  byId("results").setAttribute("aria-busy", "true");
  try {
    const got = await askJson("/v1/search", {
      method: "POST", signal: mine.signal,
      body: request(asked, asked.n, { facets: Object.keys(FACETS), facet_limit: 8 }),
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
async function more(button) {
  if (flight) flight.abort();
  const mine = flight = new AbortController();
  const asked = state;
  const first = answer.results.length;
  button.disabled = true;
  try {
    const next = answer.next_cursor ? { cursor: answer.next_cursor } : { offset: first };
    const got = await askJson("/v1/search", {
      method: "POST", signal: mine.signal, body: request(asked, PAGE, next),
    });
    if (mine !== flight || searchKey(state) !== answered) return;
    if (got.generation !== answer.generation) return search(); // the index changed underneath
    answer.results.push(...got.results);
    answer.next_cursor = got.next_cursor;
    state = { ...state, n: answer.results.length };
    history.replaceState(history.state, "", format(state));
    renderAnswer();
    focusResult(first);
  } catch (e) {
    if (e.name === "AbortError" || mine !== flight) return;
    if (e.status === 410) return search(); // the cursor's generation is gone
    button.replaceWith(failureBox(e, () => more(button)));
  } finally {
    if (mine === flight) flight = null;
    button.disabled = false;
  }
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
  const article = h("article", { class: r.flags.includes("retracted") ? "result retracted" : "result" },
    h("h3", { dir: "auto" }, flagLabels(r.flags.filter(grave)),
      h("a", { class: "title", href, "data-id": r.id, onclick: openHere }, r.title || "Untitled")),
    h("p", { class: "where" }, where.filter(Boolean).map((w, i) => [i ? " · " : "", h("span",
      { class: w === where[0] ? "level" : null, dir: "auto" }, String(w))]),
      " ", flagLabels(r.flags.filter((flag) => !grave(flag)))),
    h("p", { class: "snippet", dir: "auto" }, marked(r.snippet, r.highlights)));
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
  const all = a.total_relation === "gte" ? `at least ${plural(a.total, "work")}` : plural(a.total, "work");
  const time = a.took_ms === undefined ? "" : ` in ${a.took_ms.toFixed(1)} ms`;
  return `${a.results.length.toLocaleString("en")} of ${all}${time}`;
}

function renderAnswer() {
  const a = answer;
  byId("count").textContent = countText(a);
  byId("notices").replaceChildren(...notices(a));
  const longest = Math.max(1e-9, ...a.results.map((r) => r.explain ? positive(r.explain) : 0));
  const list = h("ol", { class: "results" }, a.results.map((r) => resultItem(r, longest)));
  byId("results").replaceChildren(a.results.length ? list : nothing(a));
  const rest = a.next_cursor || (a.results.length >= PAGE && a.results.length < a.total);
  if (rest && a.results.length < 1000 && a.results.length)
    byId("results").append(h("p", { class: "more" }, h("button", {
      type: "button", id: "more", onclick: (e) => more(e.currentTarget),
    }, "More results")));
  renderFilters();
  about(a);
}

const positive = (x) => ["lexical_part", "dense_part", "evidence_part", "grade_part", "recency_part"]
  .reduce((sum, part) => sum + Math.max(0, x[part]), 0);

function queryLink(q) {
  return h("a", {
    href: format({ ...state, q, n: PAGE, doc: "" }),
    onclick: (e) => {
      e.preventDefault();
      setQuery(q);
    },
  }, q);
}

function notices(a) {
  const out = [];
  if (a.searched)
    out.push(h("p", { class: "notice" }, "Nothing found as typed. Searched for ", queryLink(a.searched), "."));
  else if (a.suggestion)
    out.push(h("p", { class: "notice" }, "Did you mean ", queryLink(a.suggestion), "?"));
  for (const x of a.expansions || [])
    out.push(h("p", { class: "notice" }, "Also searched for ", x.added.map((w, i) => [i ? ", " : "", h("q", {}, w)]),
      " (", x.typed, ")"));
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
  const step = (label, changes) => steps.push(h("li", {}, h("button", {
    type: "button", onclick: () => go(changes),
  }, label)));
  if (filtered(state)) step("Search without filters", cleared());
  if (state.from || state.to) step("Search all years", { from: "", to: "" });
  if (state.mode !== "hybrid") step("Search by words and meaning (hybrid)", { mode: "hybrid" });
  if (!state.expand) step("Search for other names as well", { expand: true });
  if (/["()]|\b(AND|OR|NOT)\b|\w:|\[\w+\]/.test(state.q))
    steps.push(h("li", {}, h("button", { type: "button", onclick: () => setQuery(plain(state.q)) },
      "Search as plain words")));
  return h("div", { class: "nothing" }, h("h2", {}, "Nothing found"),
    a.notices.map((text) => h("p", {}, text)), h("ul", { class: "steps" }, steps));
}

const plain = (q) => q.replace(/\b(AND|OR|NOT)\b/g, " ").replace(/\b\w+:(?=\S)|\[\w+\]|["()*]/g, " ")
  .replace(/\s+/g, " ").trim();

function cleared() {
  const changes = { from: "", to: "", retracted: "", abstract: false };
  for (const name of LISTS) changes[name] = [];
  return changes;
}

function renderFailure(e) {
  byId("count").textContent = "";
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
    title: "The query cannot be read", detail: at[2],
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
  byId("about").textContent = `Index of ${a.index_date.slice(0, 10)}, generation ${a.generation}` +
    (a.last_input ? `, newest file ${a.last_input}` : "");
}

// --- the bar above the results ---

function choice(name, labels) {
  return h("fieldset", { class: "choice" }, h("legend", { class: "offscreen" }, name),
    Object.entries(labels).map(([value, label]) => h("label", {},
      h("input", {
        type: "radio", name, value, checked: state[name] === value, onchange: () => go({ [name]: value }),
      }), h("span", {}, label))));
}

function toggle(name, label) {
  return h("label", { class: "toggle" }, h("input", {
    type: "checkbox", name, checked: state[name], onchange: (e) => go({ [name]: e.target.checked }),
  }), " " + label);
}

// The controls stay in the page while their values change: focus must not get lost.
function renderBar() {
  const bar = byId("bar");
  if (!bar.firstChild)
    bar.append(choice("mode", { hybrid: "Hybrid", lexical: "Lexical", dense: "Dense" }),
      choice("sort", { relevance: "Relevance", date: "Newest" }),
      toggle("expand", "Other names"), toggle("explain", "Explain"));
  for (const input of bar.querySelectorAll("input"))
    input.checked = input.type === "radio" ? state[input.name] === input.value : state[input.name];
}

// --- filters and facets ---

function labelOf(name, value) {
  if (name === "evidence" && value === "unknown") return "Not stated";
  return (name === "evidence" && EVIDENCE[value]) || (name === "source" && SOURCES[value]) || value;
}

function toggled(name, value) {
  if (name === "year") return state.from === value && state.to === value ? { from: "", to: "" }
    : { from: value, to: value };
  const list = state[name];
  return { [name]: list.includes(value) ? list.filter((v) => v !== value) : [...list, value] };
}

const isOn = (name, value) => name === "year" ? state.from === value && state.to === value
  : state[name].includes(value);

function facetList(name) {
  const counted = ((answer && answer.facets && answer.facets[name]) || []).filter((f) => f.value);
  const values = new Map(counted.map((f) => [f.value, f.count]));
  for (const value of name === "year" ? [] : state[name]) // chosen, but not among the counted
    if (!values.has(value)) values.set(value, null);
  if (values.size === 0) return null;
  const most = Math.max(1, ...values.values());
  return h("ul", { class: "facet" }, [...values].map(([value, count]) => h("li", {}, h("button", {
    type: "button", "aria-pressed": String(isOn(name, value)), "data-facet": name, "data-value": value,
    onclick: () => go(toggled(name, value)),
  }, h("span", { class: "share", style: { width: `${(100 * (count || 0)) / most}%` } }),
  h("span", { class: "value", dir: "auto" }, labelOf(name, value)),
  count === null ? null : h("span", { class: "number" }, count.toLocaleString("en"))))));
}

function yearFields() {
  const field = (name, label) => h("label", {}, h("span", {}, label), h("input", {
    id: "year-" + name, inputmode: "numeric", pattern: "[0-9]{4}", maxlength: "4", size: "4", value: state[name],
    onchange: (e) => {
      const value = e.target.value.trim();
      if (value && !/^[1-9]\d{3}$/.test(value)) return e.target.setAttribute("aria-invalid", "true");
      const range = { from: state.from, to: state.to, [name]: value };
      if (range.from && range.to && range.from > range.to) [range.from, range.to] = [range.to, range.from];
      return go(range);
    },
  }));
  return h("div", { class: "years" }, field("from", "From"), field("to", "To"));
}

function addField(name, label) {
  return h("input", {
    class: "add", id: "add-" + name, "aria-label": `Another ${label}`, placeholder: "Another …",
    onkeydown: (e) => {
      const value = e.target.value.trim();
      if (e.key !== "Enter" || !value) return;
      e.preventDefault();
      if (!state[name].includes(value)) go({ [name]: [...state[name], value] });
    },
  });
}

function group(name, label) {
  const list = facetList(name);
  const named = ["type", "journal", "mesh", "language"].includes(name);
  if (!list && !named && name !== "year") return null;
  return h("section", { class: "group" }, h("h3", {}, label), name === "year" ? yearFields() : null, list,
    named ? addField(name, label) : null);
}

function stateGroup() {
  const select = h("select", { id: "retracted", onchange: (e) => go({ retracted: e.target.value }) },
    Object.entries({ "": "Shown, marked", exclude: "Left out", only: "Only these" })
      .map(([value, label]) => h("option", { value, selected: state.retracted === value }, label)));
  return h("section", { class: "group" }, h("h3", {}, "Standing"),
    h("label", { class: "line" }, h("span", {}, "Retracted"), select),
    h("label", { class: "toggle" }, h("input", {
      type: "checkbox", id: "abstract", checked: state.abstract,
      onchange: (e) => go({ abstract: e.target.checked }),
    }), " With abstract"));
}

function renderFilters() {
  const at = document.activeElement;
  const focus = at && byId("filter-body").contains(at)
    ? [at.id && "#" + at.id, at.dataset.facet &&
      `[data-facet="${at.dataset.facet}"][data-value="${CSS.escape(at.dataset.value)}"]`].find(Boolean) : "";
  byId("filter-body").replaceChildren(
    ...(filtered(state) ? [h("p", {}, h("button", { type: "button", id: "clear", onclick: () => go(cleared()) },
      "Clear all filters"))] : []),
    ...Object.entries(FACETS).map(([name, label]) => group(name, label)).filter(Boolean), stateGroup());
  const again = focus && byId("filter-body").querySelector(focus);
  if (again) again.focus({ preventScroll: true });
}

// --- the first look ---

const EXAMPLES = [
  ["Can beta-blockers be stopped after a heart attack?", "a question"],
  ['"myocardial infarction" AND beta-blocker*', "a phrase, an operator, a beginning of words"],
  ["title:asthma year:2018..", "words of the title, since 2018"],
  ["metformin[tiab] NOT review[pt]", "PubMed's tags"],
];
const LANGUAGE = [
  ["plain words", "ranked by words and by meaning"],
  ['"exact phrase"', "these words, side by side"],
  ["AND  OR  NOT  ( )", "in capitals; NOT binds before AND before OR"],
  ["word*", "every word that begins so"],
  ["title:  tiab:  mesh:  majr:", "in title, title or abstract, MeSH, major MeSH"],
  ["author:  journal:  type:  lang:  source:", "of the record"],
  ["year:2015..2020", "a year or a range; 2015.. or ..2020"],
  ["[ti] [tiab] [mh] [au] [pt] [dp] …", "PubMed's tags behind a word or phrase"],
];

function renderWelcome() {
  const box = byId("welcome");
  if (box.firstChild) return;
  box.append(
    h("h1", {}, "Search the library"),
    h("p", { class: "lead" }, "Citations, full texts and guidelines, ranked by relevance and by the strength of their evidence. ",
      h("span", { id: "shelf" })),
    h("h2", {}, "Try"),
    h("ul", { class: "examples" }, EXAMPLES.map(([q, what]) => h("li", {}, queryLink(q), h("span", {}, what)))),
    h("h2", {}, "The query language"),
    h("table", { class: "language" }, h("tbody", {}, LANGUAGE.map(([form, what]) => h("tr", {},
      h("th", { scope: "row" }, h("code", {}, form)), h("td", {}, what))))),
    h("p", { class: "small" }, "Everything works from the keyboard: ", h("kbd", {}, "?"), " shows how. Programs use the ",
      h("a", { href: "/docs" }, "API"), "."));
  // Without asking for a key: the shelf's size is a courtesy.
  send("/readyz?verbose").then((r) => r.json()).then((r) => {
    if (Number.isInteger(r.documents))
      byId("shelf").textContent = `${plural(r.documents, "document")}, indexed ${String(r.index_date).slice(0, 10)}.`;
  }).catch(() => {});
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
    return renderWelcome();
  }
  renderBar();
  const fresh = answer && answered === searchKey(state) && answer.results.length >= Math.min(state.n, answer.total);
  if (!fresh) search();
  if (left) restore();
}

function openDocument() {
  if (!left) left = { id: state.doc, top: scrollY };
  const result = answer && answer.results.find((r) => r.id === state.doc);
  showDocument(byId("document-view"), state.doc, {
    result, back, href: (id) => format({ ...state, doc: id }), open: (id) => go({ doc: id, n: state.n }),
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
  state = { ...state, q, n: PAGE, doc: "" };
  const change = settled ? "pushState" : "replaceState";
  settled = false;
  history[change]({ inside: true }, "", format(state));
  clearTimeout(timer);
  if (!q) return show();
  timer = setTimeout(show, TYPING_MS);
}

function submitted(e) {
  e.preventDefault();
  typed();
  clearTimeout(timer);
  settled = true;
  show();
  const go_on = () => { if (!flight) focusResult(0); else setTimeout(go_on, 30); };
  if (state.q) go_on();
}

const HELP = [
  ["/", "to the search field"], ["↓ j", "next result"], ["↑ k", "previous result"], ["Enter", "open"],
  ["Esc", "back to the results, then to the search field"], ["f", "to the filters"],
  ["m", "next mode: hybrid, lexical, dense"], ["s", "sort by relevance or date"], ["e", "explain the scores"],
  ["c", "cite the open document"], ["?", "this help"],
];

function next(name) {
  const words = WORDS[name];
  go({ [name]: words[(words.indexOf(state[name]) + 1) % words.length] });
  say(`${name} ${state[name]}`);
}

const LETTERS = {
  "/": () => { byId("q").focus(); byId("q").select(); },
  "?": () => showKeys(HELP),
  j: () => move(1),
  k: () => move(-1),
  f: () => { byId("filters").open = true; byId("filters").querySelector("button, input, select").focus(); },
  m: () => next("mode"),
  s: () => next("sort"),
  e: () => go({ explain: !state.explain, n: state.n }),
  c: () => { const cite = byId("cite"); if (cite) { cite.scrollIntoView({ block: "nearest" }); cite.querySelector("button").focus(); } },
};
const IN_LIST = ["j", "k", "f", "m", "s", "e"];

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
    if (state.doc) { e.preventDefault(); back(); }
    else if (e.target !== byId("q")) { e.preventDefault(); byId("q").focus(); }
    return;
  }
  const inResults = list && (e.target === byId("q") || byId("results").contains(e.target) || e.target === document.body);
  if (inResults && (e.key === "ArrowDown" || e.key === "ArrowUp") && !e.altKey && !e.ctrlKey && !e.metaKey) {
    if (e.target === byId("q") && e.key === "ArrowUp") return;
    e.preventDefault();
    move(e.key === "ArrowDown" ? 1 : -1);
    return;
  }
  if (!isShortcut(e) || !Object.hasOwn(LETTERS, e.key) || (IN_LIST.includes(e.key) && !list)) return;
  e.preventDefault();
  LETTERS[e.key]();
}

wireHeader();
byId("form").addEventListener("submit", submitted);
byId("q").addEventListener("input", typed);
byId("help").addEventListener("click", () => showKeys(HELP));
byId("home").addEventListener("click", (e) => {
  if (e.ctrlKey || e.metaKey || e.shiftKey) return;
  e.preventDefault();
  go({ ...parse(""), q: "" });
  byId("q").focus();
});
document.addEventListener("keydown", pressed);
addEventListener("popstate", () => {
  clearTimeout(timer);
  state = parse(location.hash.slice(1));
  settled = true;
  show();
});
const wide = matchMedia("(min-width: 56em)");
const fold = () => { byId("filters").open = wide.matches; };
wide.addEventListener("change", fold);
fold();
history.scrollRestoration = "manual";
state = parse(location.hash.slice(1));
show();
if (!state.q && !state.doc) byId("q").focus();
