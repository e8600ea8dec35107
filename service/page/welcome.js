// The first look: what can be asked, and how.
import { byId, h, plural, send } from "./ui.js";

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

/** queryLink(q): a link that searches. */
export function renderWelcome(queryLink) {
  const box = byId("welcome");
  if (box.firstChild) return;
  box.append(
    h("h1", {}, "Search the library"),
    h(
      "p",
      { class: "lead" },
      "Citations, full texts and guidelines, ranked by relevance and by strength of evidence. ",
      h("span", { id: "shelf" }),
    ),
    h("h2", {}, "Try"),
    h(
      "ul",
      { class: "examples" },
      EXAMPLES.map(([q, what]) => h("li", {}, queryLink(q), h("span", {}, what))),
    ),
    h("h2", {}, "The query language"),
    h(
      "table",
      { class: "language" },
      h(
        "tbody",
        {},
        LANGUAGE.map(([form, what]) =>
          h("tr", {}, h("th", { scope: "row" }, h("code", {}, form)), h("td", {}, what)),
        ),
      ),
    ),
    h(
      "p",
      { class: "small" },
      "Everything works from the keyboard: ",
      h("kbd", {}, "?"),
      " shows how. Programs use the ",
      h("a", { href: "/docs" }, "API"),
      ".",
    ),
  );
  // Without asking for a key: the shelf's size is a courtesy.
  send("/readyz?verbose")
    .then((r) => r.json())
    .then((r) => {
      if (Number.isInteger(r.documents))
        byId("shelf").textContent =
          `${plural(r.documents, "document")}, indexed ${String(r.index_date).slice(0, 10)}.`;
    })
    .catch(() => {});
}
