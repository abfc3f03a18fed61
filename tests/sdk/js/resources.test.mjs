import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { Client } from "@langchain/langgraph-sdk";
import { SERVER, client, contents, openGate, says } from "./support.mjs";

const { assistants, crons, runs, store, threads } = client;
const START = { total: 3, steps: [] };

test("assistants are found, counted, drawn and described", async () => {
  const [talker] = await assistants.search({ graphId: "talker" });
  assert.deepEqual(await assistants.get(talker.assistant_id), talker);
  assert.deepEqual(await assistants.getVersions(talker.assistant_id), [talker]);
  assert.equal(await assistants.count(), 6);
  const page = await assistants.search({ limit: 2, includePagination: true });
  assert.equal(page.assistants.length, 2);
  assert.equal(page.next, "2");
  const graph = await assistants.getGraph("outer", { xray: true });
  assert.ok(graph.nodes.some((node) => String(node.id).includes("say")));
  assert.ok("messages" in (await assistants.getSchemas("talker")).input_schema.properties);
  assert.deepEqual(Object.keys(await assistants.getSubgraphs("outer")), ["inner"]);
});

test("threads are created, changed, found, counted, copied and deleted", async () => {
  const tag = randomUUID();
  const { thread_id } = await threads.create({ metadata: { tag }, graphId: "talker" });
  await threads.update(thread_id, { metadata: { title: "first" } });
  await runs.wait(thread_id, "talker", { input: says("hi") });
  const shown = await threads.get(thread_id);
  assert.equal(shown.metadata.title, "first");
  assert.deepEqual(contents(shown.values), ["hi", "hi"]);

  const copied = await threads.copy(thread_id);
  const found = await threads.search({ metadata: { tag }, sortBy: "created_at", sortOrder: "asc", status: "idle" });
  assert.deepEqual(found.map((one) => one.thread_id), [thread_id, copied.thread_id]);
  assert.deepEqual(await threads.search({ ids: [thread_id], select: ["thread_id"] }), [{ thread_id }]);
  assert.equal(await threads.count({ metadata: { tag } }), 2);
  await threads.delete(thread_id);
  await assert.rejects(threads.get(thread_id), { status: 404 });
});

test("a state is read, written, listed in a history and forked", async () => {
  const { thread_id } = await threads.create();
  await runs.wait(thread_id, "counter", { input: START });
  const history = await threads.getHistory(thread_id);
  assert.deepEqual(history.map((state) => state.next), [[], ["add_one"], ["double"], ["__start__"]]);
  const [, past] = history;
  assert.deepEqual((await threads.getState(thread_id, past.checkpoint)).values, past.values);
  assert.deepEqual((await threads.getState(thread_id, past.checkpoint.checkpoint_id)).values, past.values);
  const before = await threads.getHistory(thread_id, { limit: 1, before: { configurable: history[0].checkpoint } });
  assert.deepEqual(before.map((state) => state.checkpoint), [past.checkpoint]);

  const fork = await threads.updateState(thread_id, { values: { total: 100 }, checkpoint: past.checkpoint });
  const values = await runs.wait(thread_id, "counter", { input: null, checkpoint: fork.checkpoint });
  assert.deepEqual(values, { total: 101, steps: ["double", "add_one"] });
  assert.deepEqual((await threads.getState(thread_id)).values, values);
});

test("runs are listed, cancelled and deleted, and meet on a thread", async (t) => {
  const gate = await openGate(t);
  const { thread_id } = await threads.create();
  const first = await runs.create(thread_id, "talker", { input: says(`one ${gate.word}`), metadata: { n: 1 } });
  await gate.reached;
  const second = await runs.create(thread_id, "talker", { input: says("two") });
  await assert.rejects(
    runs.create(thread_id, "talker", { input: says("no"), multitaskStrategy: "reject" }),
    { status: 409 },
  );
  await runs.cancel(thread_id, second.run_id, true);
  await runs.cancel(thread_id, first.run_id);
  await runs.join(thread_id, first.run_id);
  const listed = await runs.list(thread_id, { status: "interrupted", select: ["run_id"] });
  assert.deepEqual(listed, [{ run_id: second.run_id }, { run_id: first.run_id }]);

  const last = await runs.wait(thread_id, "talker", { input: says("three"), multitaskStrategy: "interrupt" });
  assert.equal(contents(last).at(-1), "three");
  await runs.delete(thread_id, first.run_id);
  await assert.rejects(runs.get(thread_id, first.run_id), { status: 404 });
});

test("a run asks twice and goes on with each answer", async () => {
  const { thread_id } = await threads.create();
  const asked = await runs.wait(thread_id, "asker", { input: { city: "Rome" } });
  assert.equal(asked.__interrupt__[0].value.question, "When do you want to go to Rome?");
  const shown = await threads.get(thread_id);
  assert.equal(shown.status, "interrupted");
  assert.equal(Object.values(shown.interrupts)[0][0].id, asked.__interrupt__[0].id);

  await runs.wait(thread_id, "asker", { command: { resume: "Monday" } });
  const booked = await runs.wait(thread_id, "asker", { command: { resume: "yes" } });
  assert.equal(booked.booked, "Rome on Monday");
});

test("runs without a thread are waited for, alone and in a batch", async () => {
  assert.equal((await runs.wait(null, "counter", { input: START })).total, 7);
  const batch = await runs.createBatch([3, 4].map((total) => ({ assistantId: "counter", input: { total, steps: [] } })));
  const totals = await Promise.all(batch.map((run) => runs.join(run.thread_id, run.run_id)));
  assert.deepEqual(totals.map((values) => values.total), [7, 9]);
});

test("items are put, read, found and deleted", async () => {
  const name = randomUUID();
  await store.putItem([name, "ana"], "likes", { food: "soup" });
  assert.deepEqual((await store.getItem([name, "ana"], "likes")).value, { food: "soup" });
  const found = await store.searchItems([name], { filter: { food: "soup" } });
  assert.deepEqual(found.items.map((item) => item.key), ["likes"]);
  assert.deepEqual((await store.listNamespaces({ prefix: [name] })).namespaces, [[name, "ana"]]);
  await store.deleteItem([name, "ana"], "likes");
  assert.equal(await store.getItem([name, "ana"], "likes"), null);
});

test("wrong ids and bodies are told with a status and a sentence", async () => {
  const nobody = randomUUID();
  const { thread_id } = await threads.create();
  await assert.rejects(threads.get(nobody), { status: 404, text: new RegExp(`no thread ${nobody}`) });
  await assert.rejects(threads.get("mine"), { status: 422, text: /must be a UUID/ });
  await assert.rejects(runs.create(thread_id, "tolker", {}), { status: 404, text: /no agent 'tolker'/ });
  await assert.rejects(runs.stream(nobody, "talker", {}).next(), { status: 404 });
  await assert.rejects(runs.joinStream(thread_id, nobody).next(), { status: 404, text: /no run/ });
  await assert.rejects(runs.create(thread_id, "talker", { streamMode: "vals" }), {
    status: 422,
    text: /Known ones: values/,
  });
});

test("crons are made, changed, found and deleted", async () => {
  const { thread_id } = await threads.create();
  const made = await crons.create("counter", {
    schedule: "0 9 * * *",
    input: { total: 1 },
    metadata: { team: "blue" },
    onRunCompleted: "keep",
  });
  assert.deepEqual([made.schedule, made.timezone, made.on_run_completed], ["0 9 * * *", null, "keep"]);
  const ofThread = await crons.createForThread(thread_id, "counter", { schedule: "0 9 * * *", input: { total: 2 } });
  assert.equal(ofThread.thread_id, thread_id);
  const changed = await crons.update(made.cron_id, { schedule: "0 18 * * *" });
  assert.match(changed.next_run_date, /T18:00:00/);
  assert.deepEqual((await crons.search({ threadId: thread_id })).map((cron) => cron.cron_id), [ofThread.cron_id]);
  assert.equal(await crons.count({ threadId: thread_id }), 1);
  await crons.delete(made.cron_id);
  await crons.delete(ofThread.cron_id);
  await assert.rejects(crons.update(made.cron_id, { schedule: "0 1 * * *" }), { status: 404, text: /no cron/ });
  await assert.rejects(crons.create("counter", { schedule: "daily" }), { status: 422, text: /not a cron expression/ });
});

test("what the server has not is told at once, not after retries", async () => {
  const retrying = new Client({ apiUrl: SERVER.origin, apiKey: null });
  await assert.rejects(retrying.assistants.create({ graphId: "talker" }), { status: 404, text: /configuration/ });
});
