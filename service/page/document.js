// The view of one document: text with the found passage, outline, citation, similar articles.
import {
  ask,
  askJson,
  button,
  byteLength,
  byteSlicer,
  copy,
  failureBox,
  h,
  webAddress,
} from "./ui.js";
import { CITATIONS } from "./export.js";
import { EVIDENCE, flagLabels, SOURCES } from "./result.js";

let shown = ""; // the id in the view
let flight = null;

const path = (id) => "/v1/documents/" + encodeURIComponent(id);

export function closeDocument() {
  if (flight) flight.abort();
  flight = null;
  shown = "";
}

/** ctx: the result that was opened, if any; back(); href(id) and open(id) of another document. */
export async function showDocument(view, id, ctx) {
  if (shown === id) return;
  closeDocument();
  shown = id;
  const mine = (flight = new AbortController());
  const top = h("p", { class: "crumb" }, button("← Back", ctx.back));
  view.replaceChildren(top, h("p", { class: "count", role: "status" }, "Loading …"));
  scrollTo(0, 0);
  try {
    const documentId = id.replace(/~\d+$/, "");
    const doc = await askJson(path(documentId), { signal: mine.signal });
    if (mine !== flight) return;
    render(view, top, doc, id, ctx);
    similar(view.querySelector(".similar"), doc, mine, ctx);
  } catch (e) {
    if (e.name === "AbortError" || mine !== flight) return;
    const retry = () => {
      shown = "";
      showDocument(view, id, ctx);
    };
    view.replaceChildren(top, failureBox(e, retry));
  }
}

function render(view, top, doc, id, ctx) {
  const passages = doc.passages || [];
  const passage = passages.find((p) => p.id === id);
  // Of a text that is one passage all would be marked: the words are enough.
  if (passage) passage.mark = passages.length > 1 ? "passage" : "whole passage";
  const heading = h("h1", { tabindex: "-1", dir: "auto" }, doc.title || "Untitled");
  const text = textOf(doc, passage, foundWords(ctx.result));
  document.title = `${doc.title || doc.id} – medicus`;
  view.replaceChildren(
    top,
    h(
      "div",
      { class: "reading" },
      outline(text.sections),
      h(
        "article",
        { class: doc.flags.includes("retracted") ? "document retracted" : "document" },
        h(
          "header",
          {},
          h("p", { class: "flags" }, flagLabels(doc.flags)),
          heading,
          byline(doc),
          banners(doc, ctx),
        ),
        text.body,
      ),
      h(
        "aside",
        { class: "side", "aria-label": "About this document" },
        cite(doc),
        facts(doc),
        h("section", { class: "similar group" }),
      ),
    ),
  );
  heading.focus({ preventScroll: true });
  const found = view.querySelector(".passage:not(.whole)");
  if (found) found.scrollIntoView({ block: "center" });
}

// --- head ---

function byline(doc) {
  const issue = [doc.volume, doc.issue && `(${doc.issue})`].filter(Boolean).join("");
  const where = [doc.journal || doc.organization, doc.date || doc.year, issue, doc.pages].filter(
    Boolean,
  );
  const link = webAddress(doc.url);
  return [
    doc.vernacular_title
      ? h("p", { class: "vernacular", dir: "auto" }, doc.vernacular_title)
      : null,
    doc.authors.length ? h("p", { class: "authors", dir: "auto" }, doc.authors.join(", ")) : null,
    h(
      "p",
      { class: "where" },
      where.map((w, i) => [i ? " · " : "", h("span", {}, String(w))]),
    ),
    h(
      "p",
      { class: "where" },
      [EVIDENCE[doc.evidence], doc.grade && `Grade ${doc.grade}`, SOURCES[doc.source]]
        .filter(Boolean)
        .join(" · "),
      link
        ? [" · ", h("a", { href: link, rel: "noreferrer noopener", target: "_blank" }, "Source")]
        : null,
    ),
  ];
}

function banners(doc, ctx) {
  const out = [];
  const say = (tone, title, text) =>
    out.push(h("div", { class: `banner ${tone}` }, h("strong", {}, title), " ", text));
  if (doc.flags.includes("retracted"))
    say("bad", "This article has been retracted.", "Do not rely on it.");
  if (doc.flags.includes("expression-of-concern"))
    say("warn", "The editors have expressed concern about this article.", "");
  if (doc.flags.includes("retraction-notice"))
    say("warn", "This is a notice of a retraction,", "not the retracted article.");
  if (doc.flags.includes("superseded")) say("warn", "A newer version replaces this document.", "");
  if (doc.flags.includes("erratum")) say("warn", "A correction was published.", "");
  if (!doc.current) say("warn", "This is an older version of the document.", "");
  if (doc.links && doc.links.length)
    out.push(
      h(
        "ul",
        { class: "links" },
        doc.links.map((x) =>
          h(
            "li",
            {},
            h("span", { class: "kind" }, sentence(x.kind)),
            " ",
            x.id ? documentLink(x.id, x.id, ctx) : null,
            x.note ? [" ", h("span", { dir: "auto" }, x.note)] : null,
          ),
        ),
      ),
    );
  return out;
}

const sentence = (kind) => kind.charAt(0).toUpperCase() + kind.slice(1).replaceAll("-", " ");

function documentLink(id, label, ctx) {
  return h(
    "a",
    {
      href: ctx.href(id),
      dir: "auto",
      onclick: (e) => {
        if (e.ctrlKey || e.metaKey || e.shiftKey) return;
        e.preventDefault();
        ctx.open(id);
      },
    },
    label,
  );
}

// --- text ---

/** The words that the snippet of the result marks, in lower case. */
function foundWords(result) {
  if (!result || !result.highlights) return new Set();
  const slice = byteSlicer(result.snippet);
  return new Set(result.highlights.map(([start, end]) => slice(start, end).toLowerCase()));
}

function markWords(text, words) {
  if (words.size === 0) return [text];
  return text
    .split(/([\p{L}\p{N}]+(?:[-'][\p{L}\p{N}]+)*)/u)
    .map((piece) => (words.has(piece.toLowerCase()) ? h("mark", {}, piece) : piece));
}

/** One stretch of bytes as nodes, the part inside the passage marked. */
function stretch(slice, start, end, passage, words) {
  if (!passage || passage.end_byte <= start || passage.start_byte >= end)
    return [slice(start, end)];
  const a = Math.max(start, passage.start_byte),
    b = Math.min(end, passage.end_byte);
  return [
    slice(start, a),
    h("span", { class: passage.mark }, markWords(slice(a, b), words)),
    slice(b, end),
  ];
}

/** Paragraphs of [start, end), one per line of the text; offsets stay those of the document. */
function paragraphs(slice, start, end, passage, words) {
  const out = [];
  let at = start;
  for (const part of slice(start, end).split(/(\n+)/)) {
    const next = at + byteLength(part);
    const item = /^\s*([-•*–]|\(?[0-9a-z]{1,2}[.)])\s/.test(part);
    if (part.trim())
      out.push(
        h(
          "p",
          { dir: "auto", class: item ? "item" : null },
          stretch(slice, at, next, passage, words),
        ),
      );
    at = next;
  }
  return out;
}

function textOf(doc, passage, words) {
  const slice = byteSlicer(doc.text);
  const body = h("div", { class: "text" });
  const sections = [];
  let rank = 1;
  let at = doc.sections && doc.sections.length ? doc.sections[0].start_byte : 0;
  for (const s of doc.sections || []) {
    const steps = s.path ? s.path.split(" > ") : [];
    const name = steps.length ? steps[steps.length - 1] : "";
    const level = Math.min(6, steps.length + 1);
    rank = Math.max(2, Math.min(level, rank + 1)); // no step of headings is left out
    let start = s.start_byte;
    const part = h("section", { tabindex: "-1" });
    // The heading stands at the beginning of its section, on a line of its own.
    const line = slice(start, s.end_byte).split("\n", 1)[0];
    if (name && line === name) {
      const end = start + byteLength(line);
      part.append(h(`h${rank}`, { dir: "auto" }, stretch(slice, start, end, passage, words)));
      start = end;
    }
    part.append(...paragraphs(slice, start, s.end_byte, passage, words));
    body.append(part);
    if (name) sections.push({ name, level, part });
    at = Math.max(at, s.end_byte);
  }
  if (at < slice.length_bytes)
    body.append(...paragraphs(slice, at, slice.length_bytes, passage, words));
  return { body, sections };
}

function outline(sections) {
  if (sections.length < 2) return null;
  return h(
    "nav",
    { class: "outline side", "aria-label": "Sections" },
    h(
      "details",
      { open: matchMedia("(min-width: 56em)").matches },
      h("summary", {}, h("h2", {}, "Sections")),
      h(
        "ul",
        {},
        sections.map(({ name, level, part }) =>
          h(
            "li",
            { class: `level-${level}` },
            button(name, () => {
              part.scrollIntoView({ block: "start" });
              part.focus({ preventScroll: true });
            }),
          ),
        ),
      ),
    ),
  );
}

// --- citation ---

function identifiers(doc) {
  const link = webAddress(doc.url);
  return [
    ["ID", doc.id],
    ["PMID", doc.pmid],
    ["PMCID", doc.pmcid],
    ["DOI", doc.doi],
    ["Address", link],
  ].filter(([, value]) => value);
}

function cite(doc) {
  const out = h("pre", {
    class: "citation",
    tabindex: "0",
    role: "group",
    "aria-label": "Citation",
    hidden: true,
  });
  const buttons = h("p", { class: "actions" });
  const place = h("div", {}, out);
  const section = h("section", { class: "group", id: "cite" }, h("h2", {}, "Cite"), buttons, place);
  const give = (label, load) =>
    buttons.append(
      button(label, async (e) => {
        const pressed = e.currentTarget;
        try {
          out.textContent = (await load()).trim();
          out.hidden = false;
          place.replaceChildren(out);
          await copy(out.textContent, pressed);
        } catch (failure) {
          place.replaceChildren(failureBox(failure, () => pressed.click()));
        }
      }),
    );
  for (const [format, [, label]] of Object.entries(CITATIONS)) {
    if (format === "nbib" && !doc.pmid) continue; // the form of PubMed's own records
    const address = `${path(doc.id)}?format=${format}`;
    give(label, async () => (await ask(address, { accept: "*/*" })).text());
  }
  give("IDs", async () =>
    identifiers(doc)
      .map(([name, value]) => `${name}: ${value}`)
      .join("\n"),
  );
  return section;
}

// --- facts ---

function facts(doc) {
  const rows = [
    ...identifiers(doc).filter(([name]) => name !== "Address"),
    ["Also", (doc.also || []).join(", ")],
    ["Types", (doc.publication_types || []).join(", ")],
    ["MeSH", (doc.mesh || []).map((m) => m.descriptor + (m.major ? "*" : "")).join(", ")],
    ["Keywords", (doc.keywords || []).join(", ")],
    ["Substances", (doc.chemicals || []).join(", ")],
    ["Language", doc.language],
    ["Licence", doc.licence],
    ["Version", doc.version],
  ].filter(([, value]) => value);
  return h(
    "section",
    { class: "group" },
    h("h2", {}, "Record"),
    h(
      "dl",
      {},
      rows.map(([name, value]) =>
        h("div", {}, h("dt", {}, name), h("dd", { dir: "auto" }, String(value))),
      ),
    ),
  );
}

async function similar(section, doc, mine, ctx) {
  try {
    const a = await askJson(`${path(doc.id)}/similar?limit=5`, { signal: mine.signal });
    if (mine !== flight || a.results.length === 0) return;
    section.append(
      h("h2", {}, "Similar"),
      h(
        "ul",
        { class: "plainlist" },
        a.results.map((r) =>
          h(
            "li",
            {},
            flagLabels(r.flags.filter((f) => f !== "full-text")),
            documentLink(r.id, r.title || r.id, ctx),
            h(
              "span",
              { class: "small" },
              [EVIDENCE[r.evidence], r.year].filter(Boolean).join(" · "),
            ),
          ),
        ),
      ),
    );
  } catch (e) {
    if (e.name !== "AbortError")
      section.append(h("p", { class: "small" }, "Similar articles could not be loaded."));
  }
}
