// The bar above the results, and the filters beside them with the counts of the answer.
import { button, byId, h } from "./ui.js";
import { EVIDENCE, SOURCES } from "./result.js";
import { FACETS, cleared, filtered, go, state } from "./state.js";

function choice(name, labels) {
  return h(
    "fieldset",
    { class: "choice" },
    h("legend", { class: "offscreen" }, name),
    Object.entries(labels).map(([value, label]) =>
      h(
        "label",
        {},
        h("input", {
          type: "radio",
          name,
          value,
          checked: state[name] === value,
          onchange: () => go({ [name]: value }),
        }),
        h("span", {}, label),
      ),
    ),
  );
}

function toggle(name, label) {
  return h(
    "label",
    { class: "toggle" },
    h("input", {
      type: "checkbox",
      name,
      checked: state[name],
      onchange: (e) => go({ [name]: e.target.checked }),
    }),
    " " + label,
  );
}

// The controls stay in the page while their values change: focus must not get lost.
export function renderBar() {
  const bar = byId("bar");
  if (!bar.firstChild)
    bar.append(
      choice("mode", { hybrid: "Hybrid", lexical: "Lexical", dense: "Dense" }),
      choice("sort", { relevance: "Relevance", date: "Newest" }),
      toggle("expand", "Other names"),
      toggle("explain", "Explain"),
    );
  for (const input of bar.querySelectorAll("input"))
    input.checked = input.type === "radio" ? state[input.name] === input.value : state[input.name];
}

let counts = {}; // facets of the answer

function labelOf(name, value) {
  if (name === "evidence" && value === "unknown") return "Not stated";
  return (name === "evidence" && EVIDENCE[value]) || (name === "source" && SOURCES[value]) || value;
}

function toggled(name, value) {
  if (name === "year")
    return state.from === value && state.to === value
      ? { from: "", to: "" }
      : { from: value, to: value };
  const list = state[name];
  return { [name]: list.includes(value) ? list.filter((v) => v !== value) : [...list, value] };
}

const isOn = (name, value) =>
  name === "year" ? state.from === value && state.to === value : state[name].includes(value);

function facetList(name) {
  const counted = (counts[name] || []).filter((f) => f.value);
  const values = new Map(counted.map((f) => [f.value, f.count]));
  for (const value of name === "year" ? [] : state[name])
    // chosen, but not among the counted
    if (!values.has(value)) values.set(value, null);
  if (values.size === 0) return null;
  const most = Math.max(1, ...values.values());
  return h(
    "ul",
    { class: "facet" },
    [...values].map(([value, count]) =>
      h(
        "li",
        {},
        button(
          [
            h("span", { class: "share", style: { width: `${(100 * (count || 0)) / most}%` } }),
            h("span", { class: "value", dir: "auto" }, labelOf(name, value)),
            count === null ? null : h("span", { class: "number" }, count.toLocaleString("en")),
          ],
          () => go(toggled(name, value)),
          {
            "aria-pressed": String(isOn(name, value)),
            "data-facet": name,
            "data-value": value,
          },
        ),
      ),
    ),
  );
}

function yearFields() {
  const field = (name, label) =>
    h(
      "label",
      {},
      h("span", {}, label),
      h("input", {
        id: "year-" + name,
        inputmode: "numeric",
        pattern: "[0-9]{4}",
        maxlength: "4",
        size: "4",
        value: state[name],
        onchange: (e) => {
          const value = e.target.value.trim();
          if (value && !/^[1-9]\d{3}$/.test(value))
            return e.target.setAttribute("aria-invalid", "true");
          const range = { from: state.from, to: state.to, [name]: value };
          if (range.from && range.to && range.from > range.to)
            [range.from, range.to] = [range.to, range.from];
          return go(range);
        },
      }),
    );
  return h("div", { class: "years" }, field("from", "From"), field("to", "To"));
}

function addField(name, label) {
  return h("input", {
    class: "add",
    id: "add-" + name,
    "aria-label": `Another ${label}`,
    placeholder: "Another …",
    onkeydown: (e) => {
      const value = e.target.value.trim();
      if (e.key !== "Enter" || !value) return;
      e.preventDefault();
      if (!state[name].includes(value)) go({ [name]: [...state[name], value] });
    },
  });
}

function group(name) {
  const label = FACETS[name];
  const list = facetList(name);
  const named = ["type", "journal", "mesh", "language"].includes(name);
  if (!list && !named && name !== "year") return null;
  return h(
    "section",
    { class: "group" },
    h("h3", {}, label),
    name === "year" ? yearFields() : null,
    list,
    named ? addField(name, label) : null,
  );
}

function stateGroup() {
  const select = h(
    "select",
    { id: "retracted", onchange: (e) => go({ retracted: e.target.value }) },
    Object.entries({ "": "Shown", exclude: "Left out", only: "Only" }).map(([value, label]) =>
      h("option", { value, selected: state.retracted === value }, label),
    ),
  );
  return h(
    "section",
    { class: "group" },
    h("h3", {}, "Standing"),
    h("label", { class: "line" }, h("span", {}, "Retracted"), select),
    h(
      "label",
      { class: "toggle" },
      h("input", {
        type: "checkbox",
        id: "abstract",
        checked: state.abstract,
        onchange: (e) => go({ abstract: e.target.checked }),
      }),
      " With abstract",
    ),
  );
}

/** facets of the answer; without them what is chosen stays as it is. */
export function renderFilters(facets = {}) {
  counts = facets;
  const at = document.activeElement;
  const focus =
    at && byId("filter-body").contains(at)
      ? [
          at.id && "#" + at.id,
          at.dataset.facet &&
            `[data-facet="${at.dataset.facet}"][data-value="${CSS.escape(at.dataset.value)}"]`,
        ].find(Boolean)
      : "";
  byId("filter-body").replaceChildren(
    ...(filtered(state)
      ? [
          h(
            "p",
            {},
            button("Clear all filters", () => go(cleared()), { id: "clear" }),
          ),
        ]
      : []),
    ...["year", "evidence"].map(group).filter(Boolean),
    stateGroup(),
    ...["type", "journal", "mesh", "source", "language"].map(group).filter(Boolean),
  );
  const again = focus && byId("filter-body").querySelector(focus);
  if (again) again.focus({ preventScroll: true });
}
