// How a result is told: names of its evidence level, source and flags, and its score as a bar.
import { h } from "./ui.js";

export const EVIDENCE = {
  guideline: "Guideline",
  "systematic-review": "Systematic review",
  "randomized-trial": "Randomized trial",
  trial: "Trial",
  review: "Review",
  observational: "Observational study",
  "case-report": "Case report",
  opinion: "Opinion",
  unknown: "",
};
export const SOURCES = {
  pubmed: "PubMed",
  pmc: "PMC",
  guideline: "Guideline library",
  other: "Other source",
};

const FLAGS = {
  retracted: ["Retracted", "bad"],
  "retraction-notice": ["Retraction notice", "warn"],
  "expression-of-concern": ["Expression of concern", "warn"],
  erratum: ["Erratum", "warn"],
  superseded: ["Superseded", "warn"],
  "full-text": ["Full text", "plain"],
};

/** One label per flag; a flag that this page does not know is shown by its name. */
export function flagLabels(flags) {
  return flags.map((flag) => {
    const [label, tone] = FLAGS[flag] || [flag, "plain"];
    return [h("span", { class: `flag ${tone}` }, label), " "];
  });
}

const PARTS = [
  ["lexical_part", "BM25"],
  ["dense_part", "dense"],
  ["evidence_part", "evidence"],
  ["grade_part", "grade"],
  ["recency_part", "recency"],
  ["retraction_part", "standing"],
];

/** The terms that add up to the score: a stacked bar to scale, and the same in numbers. */
export function explainBar(r, longest) {
  const x = r.explain;
  const bar = (sign, name) => {
    const parts = PARTS.filter(([part]) => x[part] * sign > longest / 200); // visible at all
    return parts.length === 0
      ? null
      : h(
          "div",
          { class: `stack ${name}`, "aria-hidden": "true" },
          parts.map(([part]) =>
            h("span", {
              class: part,
              style: { width: `${Math.min(100, (100 * Math.abs(x[part])) / longest)}%` },
            }),
          ),
        );
  };
  return h(
    "div",
    { class: "explain" },
    bar(1, "up"),
    bar(-1, "down"),
    h(
      "ul",
      {},
      PARTS.filter(([part]) => x[part] !== 0).map(([part, label]) =>
        h(
          "li",
          {},
          h("span", { class: `swatch ${part}`, "aria-hidden": "true" }),
          `${label} ${x[part] < 0 ? "−" : "+"}${Math.abs(x[part]).toFixed(3)}`,
        ),
      ),
      h("li", { class: "sum" }, `= ${x.score.toFixed(3)}`),
    ),
  );
}
