// The page at /docs: openapi.json and the tools of MCP, told to people, with forms to try them.
import { ask, askJson, button, byId, copy, failureBox, h, say, send, wireHeader } from "./ui.js";

let spec = null;

/** Follows references; the name of the last one is kept for display. */
function resolve(value) {
  let name = "";
  for (let hops = 0; value && value.$ref && hops < 8; hops++) {
    const steps = value.$ref.replace(/^#\//, "").split("/");
    name = steps[steps.length - 1];
    value = steps.reduce((at, step) => at && at[step], spec);
  }
  return { value: value || {}, name };
}

/** Paragraphs and `code` of a description; every other character is text. */
function prose(text) {
  if (!text) return null;
  return h(
    "div",
    { class: "prose" },
    text
      .trim()
      .split(/\n\s*\n/)
      .map((part) => h("p", {}, inline(part.replace(/\s+/g, " ")))),
  );
}

function inline(text) {
  return (text || "").split("`").map((piece, i) => (i % 2 ? h("code", {}, piece) : piece));
}

function withCopy(text, label) {
  return h(
    "div",
    { class: "withbutton" },
    h("pre", { tabindex: "0", role: "group", "aria-label": label }, text),
    button("Copy", (e) => copy(text, e.currentTarget), { "aria-label": `Copy: ${label}` }),
  );
}

const pretty = (value) => JSON.stringify(value, null, 2);

// --- schemas ---

function typeText(schema) {
  const { value: s, name } = resolve(schema);
  if (s.const !== undefined) return JSON.stringify(s.const);
  if (s.type === "array") return `list of ${s.items ? typeText(s.items) : "values"}`;
  const alternatives = s.oneOf || s.anyOf;
  if (alternatives && !s.type) return alternatives.map(typeText).join(" or ");
  const type = Array.isArray(s.type) ? s.type.join(" or ") : s.type || "value";
  return type === "object" && name ? name : type;
}

function limits(schema) {
  const { value: s } = resolve(schema);
  const out = [];
  if (s.enum) out.push(s.enum.map((v) => JSON.stringify(v)).join(", "));
  if (s.minimum !== undefined || s.maximum !== undefined)
    out.push(`${s.minimum ?? "…"} to ${s.maximum ?? "…"}`);
  if (s.minItems !== undefined || s.maxItems !== undefined)
    out.push(`${s.minItems ?? 0} to ${s.maxItems ?? "any number of"} items`);
  if (s.maxLength !== undefined) out.push(`at most ${s.maxLength} characters`);
  if (s.pattern) out.push(`matches ${s.pattern}`);
  if (s.default !== undefined) out.push(`default ${JSON.stringify(s.default)}`);
  return out.join("; ");
}

/** The properties below a schema; a nested one opens when asked for, so that cycles end. */
function schemaTree(schema) {
  const { value: s } = resolve(schema);
  if (s.type === "array" && s.items) return schemaTree(s.items);
  const parts = [...(s.oneOf || []), ...(s.anyOf || []), ...(s.allOf || [])].filter(
    (p) => p.$ref || p.properties,
  );
  if (!s.properties) return parts.length ? parts.map(schemaTree) : null;
  const needed = new Set(s.required || []);
  return h(
    "ul",
    {},
    Object.entries(s.properties).map(([name, property]) => {
      const { value } = resolve(property);
      const line = [
        h("code", {}, name),
        " ",
        h(
          "span",
          { class: "type small" },
          [typeText(property), limits(property)].filter(Boolean).join("; "),
        ),
        needed.has(name) ? h("span", { class: "needed" }, " always") : null,
      ];
      const text = property.description || value.description;
      return h(
        "li",
        {},
        hasProperties(property) ? lazy(line, () => schemaTree(property)) : line,
        text ? h("div", { class: "small" }, inline(text)) : null,
      );
    }),
  );
}

function hasProperties(schema) {
  const { value: s } = resolve(schema);
  if (s.type === "array" && s.items) return hasProperties(s.items);
  return (
    Boolean(s.properties) ||
    [...(s.oneOf || []), ...(s.anyOf || [])].some((p) => resolve(p).value.properties)
  );
}

function lazy(summary, make) {
  const details = h("details", {}, h("summary", {}, summary));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1)
      details.append(...[make()].flat(Infinity).filter(Boolean));
  });
  return details;
}

function schemaBlock(label, schema) {
  if (!schema || !hasProperties(schema)) return null;
  return lazy([label, " ", h("span", { class: "small" }, typeText(schema))], () =>
    h("div", { class: "schema" }, schemaTree(schema)),
  );
}

// --- one operation ---

function exampleOf(media) {
  const first = media.examples && Object.values(media.examples)[0];
  if (first) return resolve(first).value.value;
  return media.example;
}

function examples(content) {
  return Object.entries(content || {}).flatMap(([type, media]) =>
    Object.entries(media.examples || {}).map(([name, ref]) => {
      const { value } = resolve(ref);
      const text = typeof value.value === "string" ? value.value : pretty(value.value);
      return lazy([`Example: ${value.summary || name} `, h("span", { class: "small" }, type)], () =>
        withCopy(text, `example ${name}`),
      );
    }),
  );
}

function parametersOf(item, operation) {
  return [...(item.parameters || []), ...(operation.parameters || [])].map((p) => resolve(p).value);
}

function parameterList(parameters) {
  if (parameters.length === 0) return null;
  return [
    h("h4", {}, "Parameters"),
    h(
      "ul",
      { class: "fields" },
      parameters.map((p) =>
        h(
          "li",
          {},
          h(
            "div",
            {},
            h("code", {}, p.name),
            p.required ? h("span", { class: "needed" }, " required") : null,
            h("div", { class: "type" }, p.in),
          ),
          h(
            "div",
            {},
            inline(p.description || resolve(p.schema).value.description || ""),
            h(
              "div",
              { class: "type" },
              [typeText(p.schema), limits(p.schema)].filter(Boolean).join("; "),
            ),
          ),
        ),
      ),
    ),
  ];
}

function responseList(operation) {
  const rows = Object.entries(operation.responses).map(([status, ref]) => {
    const { value } = resolve(ref);
    const types = Object.keys(value.content || {});
    return h(
      "li",
      {},
      h("div", {}, h("code", {}, status)),
      h(
        "div",
        {},
        inline(value.description),
        types.length ? h("div", { class: "type" }, types.join(", ")) : null,
        status[0] === "2"
          ? Object.values(value.content || {}).map((m) => schemaBlock("Fields", m.schema))
          : null,
        status[0] === "2" || status === "400" || status === "404" ? examples(value.content) : null,
      ),
    );
  });
  return [h("h4", {}, "Answers"), h("ul", { class: "fields" }, rows)];
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curlOf(method, target, body, accept) {
  const parts = ["curl -sS"];
  if (method !== "GET") parts.push(`-X ${method}`);
  if (accept) parts.push(`-H ${quoted("Accept: " + accept)}`);
  if (body) parts.push("-H 'Content-Type: application/json'", `-d ${quoted(body)}`);
  parts.push(quoted(location.origin + target));
  return parts.join(" \\\n  ");
}

/** The target of a request: path and query with the given values. */
function targetOf(path, parameters, values) {
  const query = new URLSearchParams();
  let target = path;
  for (const p of parameters) {
    const value = values[p.name];
    if (p.in === "path")
      target = target.replace(`{${p.name}}`, encodeURIComponent(value || p.example || p.name));
    else if (p.in === "query" && value) query.set(p.name, value);
  }
  const text = query.toString();
  return text ? `${target}?${text}` : target;
}

function parameterField(p, id, changed) {
  const { value: s } = resolve(p.schema);
  const choices = s.enum || (s.type === "boolean" ? ["true", "false"] : null);
  const field = choices
    ? h(
        "select",
        { id, name: p.name, onchange: changed },
        h("option", { value: "" }, ""),
        choices.filter((c) => c !== "").map((c) => h("option", { value: c }, String(c))),
      )
    : h("input", { id, name: p.name, oninput: changed, autocomplete: "off", spellcheck: "false" });
  if ((p.in === "path" || p.name === "q") && p.example !== undefined)
    field.value = String(p.example);
  return h("label", { for: id }, h("code", {}, p.name), field);
}

function tryIt(path, method, parameters, operation) {
  const id = operation.operationId;
  const usable = parameters.filter((p) => p.in !== "header");
  const media = operation.requestBody && operation.requestBody.content["application/json"];
  const values = {};
  const curl = h("div", {});
  const out = h("div", { "aria-live": "polite" });
  const body = media
    ? h("textarea", { id: `${id}-body`, spellcheck: "false", oninput: changed })
    : null;
  if (body) body.value = pretty(exampleOf(media) || {});
  const form = h(
    "form",
    {
      class: "try",
      onsubmit: (e) => {
        e.preventDefault();
        run();
      },
    },
    usable.map((p) => parameterField(p, `${id}-${p.name}`, changed)),
    body ? h("label", { class: "block", for: body.id }, "Body", body) : null,
    h("p", { class: "actions" }, h("button", { type: "submit", class: "primary" }, "Send")),
    curl,
    out,
  );

  function target() {
    for (const p of usable) values[p.name] = form.elements[p.name].value;
    return targetOf(path, usable, values);
  }
  function changed() {
    curl.replaceChildren(withCopy(curlOf(method, target(), body && body.value), "curl"));
  }
  async function run() {
    const began = performance.now();
    out.replaceChildren(h("p", { class: "small" }, "Waiting …"));
    try {
      const response = await send(target(), {
        method,
        body: body ? body.value : undefined,
        accept: "*/*",
      });
      const text = await response.text();
      const type = (response.headers.get("Content-Type") || "").split(";")[0];
      const shown = /json$/.test(type) ? pretty(JSON.parse(text)) : text;
      const facts = [
        `${response.status}`,
        type,
        `${Math.round(performance.now() - began)} ms`,
        `${text.length.toLocaleString("en")} characters`,
      ];
      out.replaceChildren(
        h("p", { class: "small status" }, facts.filter(Boolean).join(" · ")),
        withCopy(shown.slice(0, 200000), "answer"),
      );
      say(`Answer ${response.status}`);
    } catch (e) {
      out.replaceChildren(failureBox(e, run));
    }
  }
  const details = h("details", { class: "tryit" }, h("summary", {}, "Try it"), form);
  details.addEventListener("toggle", () => details.open && changed());
  return details;
}

function operationSection(path, method, item, operation) {
  const parameters = parametersOf(item, operation);
  const body = operation.requestBody && operation.requestBody.content;
  const heading = operation.operationId + "-title";
  return h(
    "section",
    { class: "operation", id: operation.operationId, tabindex: "-1", "aria-labelledby": heading },
    h(
      "h3",
      { id: heading },
      h("span", { class: `method ${method}` }, method.toUpperCase()),
      h("code", {}, path),
      h("span", {}, operation.summary),
    ),
    prose(operation.description),
    parameterList(parameters),
    body
      ? [
          h("h4", {}, "Body"),
          Object.values(body).map((m) => schemaBlock("Fields", m.schema)),
          examples(body),
        ]
      : null,
    responseList(operation),
    method === "get" || method === "post"
      ? tryIt(path, method.toUpperCase(), parameters, operation)
      : null,
  );
}

// --- the whole ---

const METHODS = ["get", "post", "put", "patch", "delete"];

function operations() {
  return Object.entries(spec.paths).flatMap(([path, item]) =>
    METHODS.filter((m) => item[m]).map((m) => ({ path, method: m, item, operation: item[m] })),
  );
}

function toolSection(tool) {
  return h(
    "section",
    {
      class: "operation",
      id: `tool-${tool.name}`,
      tabindex: "-1",
      "aria-labelledby": `title-${tool.name}`,
    },
    h(
      "h3",
      { id: `title-${tool.name}` },
      h("span", { class: "method" }, "tool"),
      h("code", {}, tool.name),
      h("span", {}, tool.title || ""),
    ),
    prose(tool.description),
    h("h4", {}, "Arguments"),
    h("div", { class: "schema" }, schemaTree(tool.inputSchema)),
    tool.outputSchema ? schemaBlock("Result", tool.outputSchema) : null,
  );
}

// Links of the page move the focus as well; the browser itself keeps the fragment.
function link(id, ...label) {
  return h(
    "a",
    { href: "#" + id, onclick: () => setTimeout(() => byId(id).focus({ preventScroll: true }), 0) },
    label,
  );
}

// A long path may break before a slash.
const breakable = (path) => path.split(/(?=\/)/).map((step, i) => [i ? h("wbr", {}) : null, step]);

function navigation(groups, tools) {
  return h(
    "nav",
    { "aria-label": "Routes" },
    groups.map(([tag, list]) => [
      h("h2", {}, tag),
      h(
        "ul",
        {},
        list.map(({ path, method, operation }) =>
          h(
            "li",
            {},
            link(
              operation.operationId,
              h("span", { class: `method ${method}` }, method.toUpperCase()),
              h("span", {}, breakable(path)),
            ),
          ),
        ),
      ),
    ]),
    tools.length
      ? [
          h("h2", {}, "MCP tools"),
          h(
            "ul",
            {},
            tools.map((t) =>
              h(
                "li",
                {},
                link(
                  `tool-${t.name}`,
                  h("span", { class: "method" }, "tool"),
                  h("span", {}, t.name),
                ),
              ),
            ),
          ),
        ]
      : null,
  );
}

async function main() {
  const root = byId("docs");
  try {
    spec = await askJson("/openapi.json");
    const tools = await ask("/assets/mcp-tools.json").then((r) => r.json());
    const all = operations();
    const tags = spec.tags.map((t) => t.name);
    const groups = tags
      .map((tag) => [tag, all.filter((o) => (o.operation.tags || []).includes(tag))])
      .filter(([, list]) => list.length);
    const about = new Map(spec.tags.map((t) => [t.name, t.description]));
    root.replaceChildren(
      navigation(groups, tools),
      h(
        "div",
        {},
        h("h1", {}, `${spec.info.title} API`),
        h(
          "p",
          { class: "small" },
          `Version ${spec.info.version} · `,
          h("a", { href: "/openapi.json" }, "openapi.json"),
        ),
        prose(spec.info.description),
        groups.map(([tag, list]) => [
          h("h2", { class: "tag" }, tag),
          prose(about.get(tag)),
          list.map(({ path, method, item, operation }) =>
            operationSection(path, method, item, operation),
          ),
        ]),
        h("h2", { class: "tag" }, "MCP tools"),
        h(
          "div",
          { class: "prose" },
          h("p", {}, "What an agent sees behind ", h("code", {}, "POST /mcp"), "."),
        ),
        tools.map(toolSection),
      ),
    );
    byId("about").textContent = `medicus ${spec.info.version}`;
    const wanted = location.hash && byId(location.hash.slice(1));
    if (wanted) wanted.scrollIntoView();
  } catch (e) {
    root.replaceChildren(failureBox(e, main));
  }
}

wireHeader();
main();
