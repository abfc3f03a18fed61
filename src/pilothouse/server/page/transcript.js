// What a conversation shows, as a value: the messages, what is known of each tool call, and what the agent asks.
//
// It is made from a thread's state and moved on by the frames of a run. Two rules keep the two from colliding:
//   1. A message is whole (from the state, from an update, or sent in one piece) or partial (chunks so far). A chunk adds
//      to a partial message and never touches a whole one: a log read again from its start doubles nothing.
//   2. When a run has ended, the state is what counts. What a run that failed or was stopped had begun to say is kept.

export const emptyTranscript = { messages: [], calls: {}, interrupts: [] };

/** The text of a message's content, which is a string or a list of blocks. */
export function textOf(content) {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return content == null ? "" : JSON.stringify(content, null, 2);
  return content
    .map((block) => (typeof block === "string" ? block : block.type === "text" ? (block.text ?? "") : ""))
    .join("");
}

function reasoningOf(message) {
  const blocks = Array.isArray(message.content) ? message.content : [];
  const said = blocks.map((block) => block.reasoning ?? block.thinking ?? "").join("");
  return said || message.additional_kwargs?.reasoning_content || "";
}

function imagesOf(content) {
  if (!Array.isArray(content)) return [];
  return content.map(imageOf).filter(Boolean);
}

function imageOf(block) {
  if (block.type === "image_url") return block.image_url?.url ?? block.image_url;
  if (block.type === "image" && block.base64)
    return `data:${block.mime_type ?? "image/png"};base64,${block.base64}`;
  return null;
}

const ROLES = { human: "human", user: "human", ai: "ai", assistant: "ai", tool: "tool", system: "system" };

/** A message as LangChain dumps it, in the page's own shape. */
export function toMessage(raw) {
  const role = ROLES[(raw.type ?? raw.role ?? "").replace("MessageChunk", "").toLowerCase()] ?? "ai";
  return {
    id: raw.id ?? null,
    role,
    content: raw.content,
    text: textOf(raw.content),
    images: imagesOf(raw.content),
    reasoning: reasoningOf(raw),
    calls: (raw.tool_calls ?? []).map((call) => ({ id: call.id, name: call.name, args: call.args ?? {} })),
    callId: raw.tool_call_id ?? null,
    failed: raw.status === "error",
    whole: true,
  };
}

const blank = (id) => ({ ...toMessage({ type: "ai", id, content: "" }), whole: false });

/** The transcript that a thread's state holds. */
export function fromState(state) {
  const values = state?.values;
  const raw = values && Array.isArray(values.messages) ? values.messages : [];
  const messages = raw
    .map(toMessage)
    .map((message, place) => ({ ...message, id: message.id ?? `at-${place}` }));
  return { messages, calls: {}, interrupts: interruptsOf(state) };
}

/** Whether a question has no answer yet. */
export const isOpen = (interrupt) => !("answer" in interrupt);

function interruptsOf(state) {
  const found = [
    ...(state?.interrupts ?? []),
    ...(state?.tasks ?? []).flatMap((task) => task.interrupts ?? []),
  ];
  return [...new Map(found.map((item) => [item.id ?? JSON.stringify(item.value), item])).values()];
}

/** The transcript after one frame of a run. `at` is when the frame came, or null if it did not come as it happened. */
export function applyFrame(transcript, frame, at) {
  const mode = frame.event.split("|", 1)[0];
  if (mode === "metadata") return frame.data.attempt > 1 ? withoutPartials(transcript) : transcript;
  if (mode === "messages") return withChunk(transcript, frame.data[0]);
  if (mode === "updates") return withUpdate(transcript, frame.data);
  if (mode === "tools") return withToolEvent(transcript, frame.data, at);
  return transcript;
}

/** Another attempt starts from the last checkpoint: what the one before had half said, it says again. */
function withoutPartials(transcript) {
  const kept = new Set(
    transcript.messages.flatMap((message) => (message.whole ? message.calls : [])).map((call) => call.id),
  );
  return {
    ...transcript,
    messages: transcript.messages.filter((message) => message.whole),
    calls: Object.fromEntries(Object.entries(transcript.calls).filter(([id]) => kept.has(id))),
  };
}

function place(transcript, message) {
  const at = transcript.messages.findIndex((other) => other.id === message.id);
  const messages = at < 0 ? [...transcript.messages, message] : transcript.messages.with(at, message);
  return { ...transcript, messages };
}

function withChunk(transcript, raw) {
  if (!raw?.id) return transcript;
  const known = transcript.messages.find((message) => message.id === raw.id);
  if (!raw.type?.endsWith("Chunk")) return withWhole(transcript, raw);
  if (known?.whole) return transcript;
  const message = known ?? blank(raw.id);
  return place(transcript, {
    ...message,
    text: message.text + textOf(raw.content),
    reasoning: message.reasoning + reasoningOf(raw),
    calls: mergeCalls(message.calls, raw.tool_call_chunks ?? []),
  });
}

/** Calls are written piece by piece: the first piece has name and id, all have the `index`, and the arguments are text. */
function mergeCalls(calls, chunks) {
  const merged = [...calls];
  for (const chunk of chunks) {
    const key = chunk.index ?? chunk.id;
    const at = merged.findIndex((call) => call.key === key);
    const call = at < 0 ? { key, id: null, name: "", written: "" } : merged[at];
    const written = call.written + (chunk.args ?? "");
    const next = {
      ...call,
      id: call.id ?? chunk.id,
      name: call.name || chunk.name || "",
      written,
      args: parsed(written),
    };
    if (at < 0) merged.push(next);
    else merged[at] = next;
  }
  return merged;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // not complete yet
  }
}

function withWhole(transcript, raw) {
  if (raw.type === "remove") {
    return { ...transcript, messages: transcript.messages.filter((message) => message.id !== raw.id) };
  }
  return raw.id ? place(transcript, toMessage(raw)) : transcript;
}

function withUpdate(transcript, update) {
  let next = transcript;
  for (const [node, writes] of Object.entries(update ?? {})) {
    if (node === "__interrupt__") {
      next = { ...next, interrupts: writes };
      continue;
    }
    for (const write of [writes].flat()) {
      for (const raw of [write?.messages ?? []].flat()) next = withWhole(next, raw);
    }
  }
  return next;
}

function withToolEvent(transcript, data, at) {
  const id = data.tool_call_id;
  const call = transcript.calls[id] ?? {};
  const put = (patch) => ({ ...transcript, calls: { ...transcript.calls, [id]: { ...call, ...patch } } });
  if (data.event === "tool-started") {
    return put({ status: "running", name: data.tool_name, args: data.input, startedAt: at });
  }
  if (data.event === "tool-output-delta") return put({ output: (call.output ?? "") + textOf(data.delta) });
  const took = at !== null && call.startedAt ? at - call.startedAt || null : null; // came together: no telling
  if (data.event === "tool-finished") return put({ status: "done", result: data.output, took });
  if (data.event === "tool-error") return put({ status: "failed", error: data.message, took });
  return transcript;
}

/**
 * What to show after a run ended: the state, with what is known of its tool calls' times. What a run that did not succeed
 * had begun to say is not in the state: it stays where it was said.
 */
export function settled(transcript, state, succeeded) {
  const truth = fromState(state);
  const messages = [...truth.messages];
  const known = new Set(messages.map((message) => message.id));
  let after = null;
  for (const message of transcript.messages) {
    const begun = message.left || (!succeeded && (message.text || message.calls.length > 0));
    if (!known.has(message.id) && begun) {
      messages.splice(messages.findIndex(({ id }) => id === after) + 1 || messages.length, 0, {
        ...message,
        left: true,
      });
      known.add(message.id);
    }
    if (known.has(message.id)) after = message.id;
  }
  const calls = Object.fromEntries(
    Object.entries(transcript.calls).map(([id, call]) => [
      id,
      call.status === "running" ? { ...call, status: "stopped" } : call,
    ]),
  );
  return { messages, calls, interrupts: truth.interrupts };
}

/**
 * What one call shows: `{id, name, args, written, status, result, error, took}`; `status` is `writing` (the model still
 * writes the arguments), `running`, `done`, `failed` or `stopped`.
 */
export function describeCall(call, answer, event = {}, underWay = false) {
  const status = answer ? (answer.failed || event.status === "failed" ? "failed" : "done") : event.status;
  return {
    id: call.id,
    name: call.name || event.name || "tool",
    args: event.args ?? call.args,
    written: call.written,
    status: status ?? (underWay ? (call.args === null ? "writing" : "running") : "stopped"),
    result: answer?.text ?? event.output ?? outputText(event.result),
    images: answer?.images ?? [],
    error: event.error ?? null,
    startedAt: event.startedAt ?? null,
    took: event.took ?? null,
  };
}

function outputText(output) {
  if (output == null) return null;
  if (typeof output === "object" && "content" in output) return textOf(output.content);
  return textOf(output);
}
