// All results of the search as citations for a reference manager, as a file.
import { ask, button, failureBox, h, open, plural } from "./ui.js";

const MOST = 1000; // what one request may answer

/** Of the API: its name and the ending of a file, and what people call it. */
export const CITATIONS = {
  vancouver: ["txt", "Vancouver"],
  ris: ["ris", "RIS"],
  nbib: ["nbib", "NBIB"],
  bibtex: ["bib", "BibTeX"],
  "csl-json": ["json", "CSL-JSON"],
};

function save(text, name) {
  const address = URL.createObjectURL(new Blob([text]));
  const link = h("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60000);
}

/** query: what the search asked, as an object; total: how many results it has. */
export function showExport(query, total) {
  const place = h("div", {});
  const give = async (format, suffix) => {
    const { query: words, mode, sort, expand, filters } = query;
    const body = JSON.stringify({ query: words, mode, sort, expand, filters, format, limit: MOST });
    try {
      const response = await ask("/v1/search", { method: "POST", body, accept: "*/*" });
      save(await response.text(), `medicus.${suffix}`);
      dialog.close();
    } catch (e) {
      place.replaceChildren(failureBox(e, () => give(format, suffix)));
    }
  };
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-labelledby": "export-title" },
    h("h2", { id: "export-title" }, "Export"),
    h(
      "p",
      {},
      total > MOST ? `The first ${plural(MOST, "result")}` : plural(total, "result"),
      " as citations, in the order of the list. Retracted articles say so.",
    ),
    h(
      "p",
      { class: "actions" },
      Object.entries(CITATIONS).map(([format, [suffix, label]]) =>
        button(label, () => give(format, suffix)),
      ),
      button("Cancel", () => dialog.close()),
    ),
    place,
  );
  open(dialog);
}
