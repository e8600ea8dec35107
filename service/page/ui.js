// What the pages share: making elements, talking to the server, the key, the scheme, dialogs.
//
// Elements are made with h() and never from markup: whatever the server or the address bar says
// ends up in a text node. The Content-Security-Policy enforces it (Trusted Types).

/** h("a", {class: "x", href: "/", onclick: f}, "text", child): an element. */
export function h(name, props, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(props || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") for (const [k, v] of Object.entries(value)) node.style[k] = v;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(
    ...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false),
  );
  return node;
}

export function button(label, onclick, props) {
  return h("button", { type: "button", onclick, ...props }, label);
}

export const byId = (id) => document.getElementById(id);

export function plural(n, one, many = one + "s") {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}

/** Only addresses that a reader may follow; anything else is undefined. */
export function webAddress(text) {
  try {
    const url = new URL(text, location.origin);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : undefined;
  } catch {
    return undefined;
  }
}

// --- bytes: the server counts offsets in bytes of UTF-8 ---

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export const byteLength = (text) => encoder.encode(text).length;

/** slice(start, end) of the text by byte offsets. */
export function byteSlicer(text) {
  const bytes = encoder.encode(text);
  const slice = (start, end) => decoder.decode(bytes.subarray(start, end));
  slice.length_bytes = bytes.length;
  return slice;
}

/** Text nodes and <mark> for the byte ranges, which are sorted and do not overlap. */
export function marked(text, ranges) {
  if (!ranges || ranges.length === 0) return [text];
  const slice = byteSlicer(text);
  const out = [];
  let at = 0;
  for (const [start, end] of ranges) {
    if (start < at) continue;
    out.push(slice(at, start), h("mark", {}, slice(start, end)));
    at = end;
  }
  out.push(slice(at, slice.length_bytes));
  return out;
}

// --- the server ---

export class Failure extends Error {
  /** status 0: the server could not be reached. */
  constructor(status, problem, retryAfter) {
    super(problem.detail || problem.title);
    this.status = status;
    this.problem = problem;
    this.retryAfter = retryAfter;
  }
}

const KEY = "medicus-key";
export const key = {
  get: () => sessionStorage.getItem(KEY) || "",
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

async function failureOf(response) {
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // Not the server's own answer: a proxy in between.
  }
  if (typeof problem.title !== "string") problem = { title: `The answer was ${response.status}` };
  const wait = Number(response.headers.get("Retry-After"));
  return new Failure(response.status, problem, wait > 0 ? wait : 0);
}

/** A raw request with the key; throws Failure when the server cannot be reached. */
export async function send(path, { method = "GET", body, accept, signal, headers } = {}) {
  const all = { Accept: accept || "application/json", ...headers };
  if (body !== undefined) all["Content-Type"] = "application/json";
  if (key.get()) all.Authorization = "Bearer " + key.get();
  try {
    return await fetch(path, { method, body, headers: all, signal, credentials: "omit" });
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new Failure(0, {
      title: "The server does not answer",
      detail: "The request did not reach it, or the connection broke.",
      next: "Check that the server is running and that you are on its network, then try again.",
    });
  }
}

/** The same, asking for a key once when one is wanted; throws Failure for every other answer. */
export async function ask(path, options = {}) {
  let response = await send(path, options);
  if (response.status === 401) {
    const failure = await failureOf(response);
    if (!(await askKey(key.get() ? "The server does not accept this key." : ""))) throw failure;
    response = await send(path, options);
  }
  if (!response.ok) throw await failureOf(response);
  return response;
}

export async function askJson(path, options) {
  return (await ask(path, options)).json();
}

/** A problem for people: what went wrong, what to do next, and buttons. */
export function failureBox(failure, retry) {
  const p = failure.problem || { title: "Something went wrong", detail: String(failure) };
  const box = h("div", { class: "problem", role: "alert" }, h("h2", {}, p.title));
  if (p.detail) box.append(h("p", {}, p.detail));
  if (p.show) box.append(h("pre", {}, p.show));
  if (p.next) box.append(h("p", { class: "next" }, p.next));
  const actions = h("p", { class: "actions" });
  if (failure.status === 401)
    actions.append(button("Enter a key", async () => (await askKey()) && retry()));
  for (const [label, act] of p.steps || []) actions.append(button(label, act));
  const again = button("Try again", () => retry());
  if (failure.status === 0 || failure.status === 429 || failure.status >= 500)
    actions.append(again);
  if (actions.children.length) box.append(actions);
  if (failure.retryAfter) countdown(box, again, failure.retryAfter, retry);
  if (p.request_id) box.append(h("p", { class: "small" }, "Request ", h("code", {}, p.request_id)));
  return box;
}

// An overloaded server says when to come back; the page does, once, as long as it is looked at.
function countdown(box, again, seconds, retry) {
  let left = Math.min(seconds, 60);
  const tick = () => {
    if (!box.isConnected) return;
    if (left === 0) return retry();
    again.textContent = `Trying again in ${left} s`;
    left -= 1;
    setTimeout(tick, 1000);
  };
  setTimeout(tick, 0);
}

// --- dialogs ---

let keyAnswer = null;

/** Shows the dialog; true when a key was given. Several callers share one dialog. */
export function askKey(reason = "") {
  if (keyAnswer) return keyAnswer;
  keyAnswer = new Promise((resolve) => {
    const input = h("input", {
      id: "key-input",
      type: "password",
      autocomplete: "off",
      spellcheck: "false",
      required: true,
    });
    const dialog = h(
      "dialog",
      { class: "dialog", "aria-labelledby": "key-title" },
      h(
        "form",
        {
          onsubmit: (e) => {
            e.preventDefault();
            key.set(input.value.trim());
            dialog.close("saved");
          },
        },
        h("h2", { id: "key-title" }, "Key"),
        h("p", {}, reason || "This server answers only with a key. Ask its operator for one."),
        h("label", { for: "key-input" }, "API key"),
        input,
        h("p", { class: "small" }, "Kept in this tab only, and gone when you close it."),
        h(
          "p",
          { class: "actions" },
          h("button", { type: "submit", class: "primary" }, "Use this key"),
          button("Cancel", () => dialog.close("")),
          key.get()
            ? button("Forget the key", () => {
                key.forget();
                dialog.close("");
              })
            : null,
        ),
      ),
    );
    open(dialog, () => {
      keyAnswer = null;
      resolve(dialog.returnValue === "saved");
    });
    input.focus();
  });
  return keyAnswer;
}

export function open(dialog, closed) {
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (closed) closed();
  });
  document.body.append(dialog);
  dialog.showModal();
}

/** rows: [[keys, what]...]. Single keys can be switched off, for who talks to a computer. */
export function showKeys(rows) {
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-labelledby": "keys-title" },
    h("h2", { id: "keys-title" }, "Keys"),
    h(
      "table",
      { class: "keys" },
      h(
        "tbody",
        {},
        rows.map(([keys, what]) =>
          h(
            "tr",
            {},
            h(
              "th",
              { scope: "row" },
              keys.split(" ").map((k) => [h("kbd", {}, k), " "]),
            ),
            h("td", {}, what),
          ),
        ),
      ),
    ),
    h(
      "p",
      {},
      h(
        "label",
        {},
        h("input", {
          type: "checkbox",
          checked: singleKeys(),
          onchange: (e) => localStorage.setItem("medicus-keys", e.target.checked ? "on" : "off"),
        }),
        " Single-letter keys",
      ),
    ),
    h(
      "p",
      { class: "actions" },
      button("Close", () => dialog.close()),
    ),
  );
  open(dialog);
}

export const singleKeys = () => localStorage.getItem("medicus-keys") !== "off";

/** Whether a plain key press belongs to the page and not to a field or dialog. */
export function isShortcut(e) {
  const field = /^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName);
  return (
    singleKeys() &&
    !field &&
    !e.ctrlKey &&
    !e.metaKey &&
    !e.altKey &&
    !document.querySelector("dialog[open]")
  );
}

// --- small things ---

/** Copies, and says so in the button. Without a secure origin the browser's older way is used. */
export async function copy(text, pressed) {
  let done = true;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = h("textarea", { class: "offscreen", "aria-hidden": "true", tabindex: "-1" });
    field.value = text;
    document.body.append(field);
    field.select();
    done = document.execCommand("copy");
    field.remove();
    pressed.focus();
  }
  const label = pressed.dataset.label || (pressed.dataset.label = pressed.textContent);
  pressed.textContent = done ? "Copied" : "Select it and copy";
  say(done ? "Copied" : "Copying was refused");
  setTimeout(() => {
    pressed.textContent = label;
  }, 1500);
}

/** To screen readers. */
export function say(text) {
  const region = byId("say");
  if (region) region.textContent = text;
}

export function wireHeader() {
  const theme = byId("theme");
  const dark = () =>
    document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
  const label = () => {
    theme.textContent = dark() ? "Light" : "Dark";
  };
  theme.addEventListener("click", () => {
    const chosen = dark() ? "light" : "dark";
    document.documentElement.dataset.theme = chosen;
    localStorage.setItem("medicus-theme", chosen);
    label();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
  label();
  byId("key").addEventListener("click", () =>
    askKey(
      key.get() ? "A key is in use in this tab." : "A server that wants a key will ask for it.",
    ),
  );
  const skip = byId("skip");
  skip.addEventListener("click", (e) => {
    // its own fragment would replace the page's state
    e.preventDefault();
    byId("main").focus();
  });
}
