#!/usr/bin/env node
// An agent that answers a question from the library: a model, tools and a loop. Node 18 or later,
// no packages needed.
//
//     node agent.mjs "Can beta-blockers be stopped after a heart attack?"
//
// The model is any OpenAI-compatible server: OPENAI_BASE_URL, OPENAI_API_KEY, OPENAI_MODEL.
// The library is MEDICUS_URL, with MEDICUS_API_KEY where it asks for keys. What its tools are called
// and take, and the instructions for the model, come from the library itself.
const { env } = process;
const modelUrl = (env.OPENAI_BASE_URL ?? "http://127.0.0.1:11434/v1") + "/chat/completions";
const libraryUrl = (env.MEDICUS_URL ?? "http://127.0.0.1:8080") + "/mcp";
const roundsMax = 12;

async function post(url, key, body) {
  const headers = { "Content-Type": "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

// One request to the library's MCP endpoint, which needs neither session nor handshake.
async function library(method, params = {}) {
  const body = { jsonrpc: "2.0", id: 1, method, params };
  const { error, result } = await post(libraryUrl, env.MEDICUS_API_KEY, body);
  if (error) throw new Error(`${method}: ${error.message}`);
  return result;
}

// What a tool answers; a mistake of the model is a sentence that tells it how to do better.
async function use({ name, arguments: text }) {
  let args;
  try {
    args = JSON.parse(text || "{}");
  } catch (error) {
    return `the arguments are no JSON: ${error.message}`;
  }
  return (await library("tools/call", { name, arguments: args })).content[0].text;
}

const tools = (await library("tools/list")).tools.map((t) => ({
  type: "function",
  function: { name: t.name, description: t.description, parameters: t.inputSchema },
}));
const question = process.argv.slice(2).join(" ");
const prompt = await library("prompts/get", { name: "answer_with_evidence", arguments: { question } });
const messages = [{ role: "user", content: prompt.messages[0].content.text }];
for (let round = 0; ; round++) {
  if (round === roundsMax) throw new Error(`no answer after ${roundsMax} rounds`);
  const model = env.OPENAI_MODEL ?? "default";
  const answer = await post(modelUrl, env.OPENAI_API_KEY, { model, messages, tools });
  const { message } = answer.choices[0];
  messages.push(message);
  if (!message.tool_calls?.length) {
    console.log(message.content);
    break;
  }
  for (const call of message.tool_calls)
    messages.push({ role: "tool", tool_call_id: call.id, content: await use(call.function) });
}
