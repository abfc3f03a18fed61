// Server-sent events, and a run followed to its end over as many connections as it takes.
//
// Every event of a run has an offset, sent as the `id` of its last frame. When a connection breaks, the next one asks for
// what follows the last offset seen. Frames are handed on only when their event is complete, so that none comes twice.
// A run is over when its `end` event was read, not when a connection closes.

import { ApiError, joinRun } from "./api.js";

const SILENCE_MS = 45_000; // three heartbeats of the server
const REPLAY_MS = 400; // what comes in right after a join is stored, not live

/** The run is not there (any more). */
export class RunGone extends Error {}

/** An array of `{event, data, id}` for each piece that is read from the response. */
export async function* readFrames(response, onSilence) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let silence;
  const watch = () => {
    clearTimeout(silence);
    silence = setTimeout(onSilence, SILENCE_MS);
  };
  try {
    for (;;) {
      watch();
      const { done, value } = await reader.read();
      if (done) return;
      const pieces = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
      rest = pieces.pop();
      const frames = pieces.map(parseFrame).filter((frame) => frame !== null);
      if (frames.length > 0) yield frames;
    }
  } finally {
    clearTimeout(silence);
    reader.cancel().catch(() => {});
  }
}

function parseFrame(piece) {
  const frame = { event: "message", data: null, id: null };
  const data = [];
  for (const line of piece.split("\n")) {
    const colon = line.indexOf(":");
    if (colon < 1) continue; // a comment: the heartbeat
    const field = line.slice(0, colon);
    const value = line.slice(colon + 1).replace(/^ /, "");
    if (field === "event") frame.event = value;
    else if (field === "id") frame.id = value;
    else if (field === "data") data.push(value);
  }
  if (data.length === 0 && frame.event === "message") return null;
  const text = data.join("\n");
  frame.data = text ? JSON.parse(text) : null;
  return frame;
}

/** The run's id, from the address that the server gives it. */
const runIdOf = (response) =>
  response.headers.get("content-location")?.match(/\/runs\/([^/?]+)/)?.[1] ?? null;

/**
 * Follow one run until it has ended.
 *
 * `start(signal)` opens the first connection of a new run; without it, the run `runId` is joined from its beginning.
 * `onFrames(frames, {runId, at})` gets every frame once, in order; `at` is when they came (`performance.now()`), or null if
 * they were stored before we asked. `link` is the connection's state: `lost()` says that it broke, `back(signal)` waits
 * until the server answers again.
 *
 * Rejects with what `start` rejected with if no run was made, and with `RunGone` if the run was deleted meanwhile.
 */
export async function followRun({ threadId, runId = null, start = null, onFrames, link, signal }) {
  const place = { runId, after: "0", ended: false, fruitless: 0 };
  let open = start;
  for (;;) {
    const connection = new AbortController();
    const stop = () => connection.abort();
    signal.addEventListener("abort", stop, { once: true });
    try {
      const response = open
        ? await open(connection.signal)
        : await joinRun(threadId, place.runId, place.after, connection.signal);
      place.runId ??= runIdOf(response);
      await readConnection(response, { place, joined: !open, onFrames, stop });
      open = null;
      if (place.ended) return place.runId;
    } catch (error) {
      if (signal.aborted) throw error;
      if (place.runId === null || error instanceof RunGone) throw error;
      if (error instanceof ApiError && error.status === 404) throw new RunGone(error.message);
      if (error instanceof ApiError && !error.unavailable) throw error;
      open = null;
    } finally {
      signal.removeEventListener("abort", stop);
    }
    signal.throwIfAborted();
    link.lost();
    await pause(place.fruitless++, signal);
    await link.back(signal);
  }
}

/** A server that answers but closes each stream at once is asked ever more slowly. */
function pause(fruitless, signal) {
  if (fruitless === 0) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, Math.min(250 * 2 ** fruitless, 8_000));
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  }).then(() => signal.throwIfAborted());
}

async function readConnection(response, { place, joined, onFrames, stop }) {
  const liveFrom = joined ? performance.now() + REPLAY_MS : 0;
  let held = [];
  for await (const frames of readFrames(response, stop)) {
    held.push(...frames);
    const complete = held.splice(0, held.findLastIndex((frame) => frame.id !== null) + 1);
    if (complete.length === 0) continue;
    place.runId ??= complete.find((frame) => frame.event === "metadata")?.data.run_id ?? null;
    place.after = complete.at(-1).id;
    place.ended = complete.some((frame) => frame.event === "end");
    place.fruitless = 0;
    const now = performance.now();
    onFrames(complete, { runId: place.runId, at: now >= liveFrom ? now : null });
    if (place.ended) return;
  }
  const refusal = held.find((frame) => frame.event === "error"); // not of the log: the run was deleted meanwhile
  if (refusal) throw new RunGone(refusal.data?.message);
}
