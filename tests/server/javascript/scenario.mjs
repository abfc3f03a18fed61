// What a front end does with the official SDK, step by step. The server's address is the only argument.

import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@langchain/langgraph-sdk";

const url = process.argv[2];
const client = new Client({ apiUrl: url, apiKey: null });
const folder = mkdtempSync(join(tmpdir(), "ph-"));

const says = (content) => ({ messages: [{ role: "user", content }] });
const lastText = (values) => values.messages.at(-1).content.trim();
const textOf = (parts) =>
  parts.filter((part) => part.event === "messages").map((part) => part.data[0].content).join("");

async function all(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
}

/** A place where the agent waits until it is let through. */
async function gated(use) {
  const path = join(folder, "gate");
  const waiting = [];
  const server = net.createServer((socket) => waiting.push(socket)).listen(path);
  const reached = once(server, "connection");
  const open = () => waiting.splice(0).forEach((socket) => socket.end("\n"));
  try {
    await use({ word: `gate:${path}`, reached, open });
  } finally {
    open();
    server.close();
  }
}

/** A way to the server whose first connection that sends `text` breaks there. */
async function cutting(text, use) {
  let cuts = 0;
  const { hostname, port } = new URL(url);
  const proxy = net.createServer((near) => {
    const far = net.connect(Number(port), hostname);
    near.pipe(far);
    far.on("data", (data) => {
      near.write(data, () => {
        if (cuts === 0 && data.includes(text)) {
          cuts += 1;
          near.destroy();
        }
      });
    });
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
    near.on("error", () => {});
    far.on("error", () => {});
  });
  await once(proxy.listen(0, "127.0.0.1"), "listening");
  try {
    await use(`http://127.0.0.1:${proxy.address().port}`);
    assert.equal(cuts, 1);
  } finally {
    proxy.close();
  }
}

async function streams() {
  const { thread_id: thread } = await client.threads.create();
  let created;
  const parts = await all(
    client.runs.stream(thread, "echo", {
      input: says("one two"),
      streamMode: ["values", "messages-tuple"],
      onRunCreated: (run) => (created = run),
    }),
  );
  assert.deepEqual([parts[0].event, parts.at(-1).event], ["metadata", "end"]);
  assert.equal(parts[0].data.run_id, created.run_id);
  assert.equal(created.thread_id, thread);
  assert.equal(textOf(parts), "one two ");
}

async function joinsLate() {
  const { thread_id: thread } = await client.threads.create();
  await gated(async (gate) => {
    const run = await client.runs.create(thread, "echo", {
      input: says(`one ${gate.word} two`),
      streamMode: ["messages-tuple"],
    });
    await gate.reached;
    const joined = all(client.runs.joinStream(thread, run.run_id, { lastEventId: "-1" }));
    gate.open();
    assert.equal(textOf(await joined), "one two ");
    const byId = await all(client.runs.joinStream(null, run.run_id, { streamMode: ["messages-tuple"] }));
    assert.equal(textOf(byId), "one two ");
  });
}

async function resumesAfterACut() {
  const { thread_id: thread } = await client.threads.create();
  await gated((gate) =>
    cutting("one ", async (through) => {
      const cut = new Client({ apiUrl: through, apiKey: null });
      const parts = [];
      const stream = cut.runs.stream(thread, "echo", {
        input: says(`one ${gate.word} two`),
        streamMode: ["messages-tuple"],
      });
      for await (const part of stream) {
        parts.push(part);
        if (part.event === "messages") gate.open();
      }
      assert.equal(textOf(parts), "one two ");
      assert.deepEqual(parts.map((part) => part.id), parts.map((_, index) => String(index + 1)));
    }),
  );
}

async function cancels() {
  const { thread_id: thread } = await client.threads.create();
  await gated(async (gate) => {
    const run = await client.runs.create(thread, "echo", { input: says(gate.word) });
    await gate.reached;
    await client.runs.cancel(thread, run.run_id, true);
    assert.equal((await client.runs.get(thread, run.run_id)).status, "interrupted");
  });
  assert.equal(lastText(await client.runs.wait(thread, "echo", { input: says("again") })), "again");
}

async function asksAPerson() {
  const { thread_id: thread } = await client.threads.create();
  const asked = await client.runs.wait(thread, "asks", { input: says("go") });
  assert.deepEqual(asked.__interrupt__[0].value, { question: "may I?" });
  const answered = await client.runs.wait(thread, "asks", { command: { resume: "yes" } });
  assert.equal(lastText(answered), "you said yes");
}

async function readsStateAndHistory() {
  const { thread_id: thread } = await client.threads.create({ metadata: { owner: "me" } });
  await client.runs.wait(thread, "echo", { input: says("one") });
  await client.threads.updateState(thread, { values: says("added"), asNode: "say" });
  const state = await client.threads.getState(thread);
  assert.equal(lastText(state.values), "added");
  const history = await client.threads.getHistory(thread, { limit: 2 });
  assert.deepEqual(history[0].checkpoint, state.checkpoint);
  const before = await client.threads.getState(thread, history[1].checkpoint);
  assert.equal(before.values.messages.length, 2);
  const copy = await client.threads.copy(thread);
  assert.deepEqual((await client.threads.get(copy.thread_id)).values, state.values);
  const found = await client.threads.search({ ids: [thread], metadata: { owner: "me" } });
  assert.equal(lastText(found[0].values), "added");
}

async function remembers() {
  await client.store.putItem(["people", "ana"], "likes", { food: "soup" });
  assert.deepEqual((await client.store.getItem(["people", "ana"], "likes")).value, { food: "soup" });
  assert.equal((await client.store.searchItems(["people"])).items.length, 1);
  assert.deepEqual(await client.store.listNamespaces({ prefix: ["people"] }), { namespaces: [["people", "ana"]] });
  await client.store.deleteItem(["people", "ana"], "likes");
  assert.equal(await client.store.getItem(["people", "ana"], "likes"), null);
}

async function isToldWhatWentWrong() {
  const { thread_id: thread } = await client.threads.create();
  await assert.rejects(client.runs.wait(thread, "echo", { input: says("fail:") }), /the model broke/);
  await assert.rejects(client.runs.create(thread, "nobody", {}), /There is no agent 'nobody'/);
}

const steps = [
  streams,
  joinsLate,
  resumesAfterACut,
  cancels,
  asksAPerson,
  readsStateAndHistory,
  remembers,
  isToldWhatWentWrong,
];
try {
  for (const step of steps) {
    await step();
    console.log(step.name);
  }
} finally {
  rmSync(folder, { recursive: true });
}
process.exit(0);
