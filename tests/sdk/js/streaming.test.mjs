import assert from "node:assert/strict";
import { test } from "node:test";
import { client, clientOf, collect, contents, cuttingProxy, datas, events, openGate, says, text } from "./support.mjs";

const { runs, threads } = client;
const thread = async () => (await threads.create()).thread_id;

test("a model is streamed word by word between the steps", async (t) => {
  const gate = await openGate(t);
  const id = await thread();
  const created = [];
  const parts = [];
  const stream = runs.stream(id, "talker", {
    input: says(`one ${gate.word} two`),
    streamMode: ["values", "updates", "messages-tuple"],
    onRunCreated: (run) => created.push(run),
  });
  for await (const part of stream) {
    parts.push(part);
    if (text(parts) === "one ") gate.open();
  }

  assert.deepEqual(events(parts), ["metadata", "values", "messages", "updates", "values", "end"]);
  assert.equal(text(parts), "one two ");
  assert.deepEqual(created, [{ run_id: parts[0].data.run_id, thread_id: id }]);
  assert.equal(contents(datas(parts, "values").at(-1)).at(-1), "one two");
});

test("messages so far, custom data, tools and subgraphs are streamed", async () => {
  const partial = await collect(runs.stream(null, "talker", { input: says("one two"), streamMode: "messages" }));
  assert.equal(datas(partial, "messages/partial").at(-1)[0].content, "one two ");

  const custom = await collect(
    runs.stream(null, "counter", { input: { total: 3, steps: [] }, streamMode: ["custom", "values"] }),
  );
  assert.deepEqual(datas(custom, "custom"), [{ doubling: 3 }]);
  assert.deepEqual(datas(custom, "values").at(-1), { total: 7, steps: ["double", "add_one"] });

  const tools = await collect(runs.stream(null, "caller", { input: says("1 + 2"), streamMode: "updates" }));
  assert.deepEqual(datas(tools, "updates").map((data) => Object.keys(data)[0]), ["plan", "tools", "report"]);

  const nested = await collect(
    runs.stream(null, "outer", { input: says("hi"), streamMode: ["messages-tuple"], streamSubgraphs: true }),
  );
  assert.ok(nested.some((part) => part.event.startsWith("messages|inner:")));
});

test("a stream is joined in the middle and after its end, from any event on", async (t) => {
  const gate = await openGate(t);
  const id = await thread();
  const run = await runs.create(id, "talker", {
    input: says(`one ${gate.word} two`),
    streamMode: ["messages-tuple", "values"],
    streamResumable: true,
    onDisconnect: "continue",
  });
  await gate.reached;
  const joined = runs.joinStream(id, run.run_id, { lastEventId: "-1" });
  const first = (await joined.next()).value;
  gate.open();
  const parts = [first, ...(await collect(joined))];
  assert.equal(text(parts), "one two ");
  assert.equal(parts.at(-1).event, "end");

  assert.deepEqual(await collect(runs.joinStream(id, run.run_id)), parts);
  assert.deepEqual(await collect(runs.joinStream(null, run.run_id)), parts);
  for (const [seen, part] of parts.slice(0, -1).entries()) {
    const rest = await collect(runs.joinStream(id, run.run_id, { lastEventId: part.id }));
    assert.deepEqual(rest, parts.slice(seen + 1));
  }
  const values = await collect(runs.joinStream(id, run.run_id, { streamMode: ["values"] }));
  assert.deepEqual(events(values), ["metadata", "values", "end"]);
  assert.equal(contents(await runs.join(id, run.run_id)).at(-1), "one two");
});

test("after cut connections the SDK has every word once", async (t) => {
  const proxy = await cuttingProxy(t, { afterBytes: 9001, cuts: 2 });
  const words = Array.from({ length: 40 }, (_, n) => `word${n}`);
  const id = await thread();
  const parts = await collect(
    clientOf(proxy.url).runs.stream(id, "talker", {
      input: says(words.join(" ")),
      config: { configurable: { pause: 0.03 } },
      streamMode: ["messages-tuple", "updates"],
      streamResumable: true,
    }),
  );

  assert.equal(proxy.cutsLeft, 0);
  assert.deepEqual(text(parts).trim().split(" "), words);
  assert.deepEqual(parts, await collect(runs.joinStream(id, parts[0].data.run_id)));
});

test("a run whose client leaves is cancelled when asked for", async (t) => {
  const gate = await openGate(t);
  const id = await thread();
  const leaving = new AbortController();
  const stream = runs.stream(id, "talker", {
    input: says(`one ${gate.word}`),
    onDisconnect: "cancel",
    signal: leaving.signal,
  });
  const { run_id } = (await stream.next()).value.data;
  await gate.reached;
  leaving.abort();
  await runs.join(id, run_id);

  assert.equal((await runs.get(id, run_id)).status, "interrupted");
});

test("a failing run streams why it failed, and its thread goes on", async () => {
  const id = await thread();
  const parts = await collect(runs.stream(id, "failing", { input: says("one"), streamMode: "messages-tuple" }));
  assert.deepEqual(events(parts), ["metadata", "messages", "error", "end"]);
  assert.match(datas(parts, "error")[0].message, /the agent broke/);
  assert.equal((await runs.list(id))[0].status, "error");
  await assert.rejects(runs.wait(id, "failing", { input: says("one") }), /the agent broke/);

  assert.equal(contents(await runs.wait(id, "failing", { input: says("behave") })).at(-1), "fine");
});
