// The state of the page at /, kept in the fragment of the address.
//
// The fragment never leaves the browser, and searches are POST requests: what is searched for is in
// no proxy's log. Back, forward and a shared address restore the whole state.

export const PAGE = 10;
export const LISTS = ["source", "evidence", "type", "journal", "mesh", "language"];
export const WORDS = {
  mode: ["hybrid", "lexical", "dense"],
  sort: ["relevance", "date"],
  retracted: ["", "exclude", "only"],
};
const SWITCHES = ["abstract", "expand", "explain"];
export const FACETS = {
  year: "Year",
  evidence: "Evidence",
  type: "Publication type",
  journal: "Journal",
  mesh: "MeSH",
  source: "Source",
  language: "Language",
};

export function parse(fragment) {
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

export function format(s) {
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

export const filtered = (s) =>
  Boolean(s.from || s.to || s.retracted || s.abstract || LISTS.some((name) => s[name].length));

// The modules that show the state see every change of it, but change it by these alone.
export let state = parse("");
let settled = true; // the next keystroke begins a new entry of the history
let show = () => {};

/** f is called after every step. */
export function onChange(f) {
  show = f;
}

/** A step that Back undoes. */
export function go(changes) {
  state = { ...state, n: PAGE, doc: "", ...changes };
  settled = true;
  history.pushState({ inside: true }, "", format(state));
  show();
}

/** A keystroke: many of them are one step. Nothing is shown yet. */
export function typing(q) {
  state = { ...state, q, n: PAGE, doc: "" };
  const change = settled ? "pushState" : "replaceState";
  settled = false;
  history[change]({ inside: true }, "", format(state));
}

/** What was typed is meant. */
export function settle() {
  settled = true;
}

/** How many results are shown is remembered, but is no step. */
export function shownCount(n) {
  state = { ...state, n };
  history.replaceState(history.state, "", format(state));
}

/** The address was changed by someone else: Back, Forward, a hand. */
export function fromAddress() {
  state = parse(location.hash.slice(1));
  settled = true;
  show();
}

/** What POST /v1/search is asked; from: where to go on. */
export function request(s, limit, from) {
  const filters = {};
  if (s.from || s.to) filters.year = s.from === s.to ? s.from : `${s.from}..${s.to}`;
  for (const name of LISTS) if (s[name].length) filters[name] = s[name];
  if (s.retracted) filters.retracted = s.retracted;
  if (s.abstract) filters.has_abstract = true;
  return {
    query: s.q,
    mode: s.mode,
    sort: s.sort,
    limit,
    response_format: "detailed",
    expand: s.expand,
    explain: s.explain,
    filters,
    facets: Object.keys(FACETS),
    facet_limit: 8,
    ...from,
  };
}

/** The changes that take all filters away. */
export function cleared() {
  const changes = { from: "", to: "", retracted: "", abstract: false };
  for (const name of LISTS) changes[name] = [];
  return changes;
}
