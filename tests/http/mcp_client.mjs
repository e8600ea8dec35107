// The official TypeScript SDKs as a client: search, read, look around, and what goes wrong.
//     node mcp_client.mjs NODE_MODULES sdk|client legacy|auto|REVISION http URL | stdio COMMAND...
// Prints the revision that was agreed on, where the SDK tells. MEDICUS_API_KEY is sent over HTTP.
import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [modules, sdk, mode, kind, ...target] = process.argv.slice(2);
const require = createRequire(modules + "/");
const name = (part) => `@modelcontextprotocol/${sdk}${part}`;
const { Client } = require(name(sdk === "sdk" ? "/client/index.js" : ""));
const { StreamableHTTPClientTransport: Http } =
  require(name(sdk === "sdk" ? "/client/streamableHttp.js" : ""));
const { StdioClientTransport: Stdio } =
  require(name(sdk === "sdk" ? "/client/stdio.js" : "/stdio"));

const key = process.env.MEDICUS_API_KEY;
const requestInit = key ? { headers: { Authorization: `Bearer ${key}` } } : {};
const transport = kind === "http" ? new Http(new URL(target[0]), { requestInit })
  : new Stdio({ command: target[0], args: target.slice(1) });
const pinned = mode === "legacy" || mode === "auto" ? mode : { pin: mode };
const client = new Client({ name: "test", version: "1" }, { versionNegotiation: { mode: pinned } });
await client.connect(transport);
const call = (tool, args) => client.callTool({ name: tool, arguments: args });

const { tools } = await client.listTools();
assert.deepEqual(tools.map((t) => t.name), ["search", "fetch", "similar", "terms"]);
const found = await call("search", { query: "asthma reliever", limit: 2 });
const { results } = found.structuredContent;
assert.equal(results.length, 2);
assert.deepEqual(JSON.parse(found.content[0].text).results, results);
const read = await call("fetch", { id: results[0].id });
assert.equal(read.structuredContent.title, results[0].title);
const near = await call("similar", { id: results[0].id, limit: 1 });
assert.equal(near.structuredContent.results.length, 1);
const terms = await call("terms", { query: "SGLT2" });
assert.match(terms.structuredContent.terms[0].name, /sodium-glucose/);
const wrong = await call("fetch", { id: "pmid:1" });
assert.ok(wrong.isError && wrong.content[0].text.includes("pmid:1"));

const { resources } = await client.listResources();
assert.equal(resources[0].uri, "medicus://library");
const { resourceTemplates } = await client.listResourceTemplates();
assert.equal(resourceTemplates[0].uriTemplate, "medicus://document/{id}");
const uri = "medicus://document/" + read.structuredContent.metadata.document_id;
const { contents } = await client.readResource({ uri });
assert.ok(contents[0].text.startsWith("# "));
await assert.rejects(client.readResource({ uri: "medicus://document/pmid:1" }));

const { prompts } = await client.listPrompts();
const topic = { topic: "gout" };
const prompt = await client.getPrompt({ name: prompts[1].name, arguments: topic });
assert.match(prompt.messages[0].content.text, /gout/);
const { completion } = await client.complete({
  ref: { type: "ref/prompt", name: prompts[1].name }, argument: { name: "topic", value: "sodium" } });
assert.deepEqual(completion.values, ["sodium-glucose cotransporter 2"]);

console.log(client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion ?? "");
await client.close();
