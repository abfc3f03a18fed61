// The Agent Protocol over HTTP: one function a call. Addresses are relative to the page, so that it works under a prefix.

const base = new URL(".", document.baseURI);

/** The server answered, and said no. */
export class ApiError extends Error {
  constructor(status, message, code) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
  }

  /** The server, or something before it, can't answer now: the same call may succeed later. */
  get unavailable() {
    return this.status === 429 || this.status >= 502;
  }
}

async function refusal(response) {
  const text = await response.text().catch(() => "");
  let body = {};
  try {
    body = JSON.parse(text) ?? {};
  } catch {
    // Not ours: a proxy's page, or nothing.
  }
  const detail = typeof body.detail === "string" ? body.detail : body.message;
  return new ApiError(response.status, detail || `The server answered with ${response.status}.`, body.code);
}

async function send(method, path, body, options = {}) {
  const response = await fetch(new URL(path, base), {
    method,
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...options.headers,
    },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: options.signal,
    keepalive: options.keepalive,
    cache: "no-store",
  });
  if (!response.ok) throw await refusal(response);
  return response;
}

async function call(method, path, body, options = {}) {
  const response = await send(method, path, body, {
    ...options,
    signal: options.signal ?? AbortSignal.timeout(30_000),
  });
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

const at = encodeURIComponent;

export const ok = () => send("GET", "ok", undefined, { signal: AbortSignal.timeout(4_000) });
export const info = () => call("GET", "info");

export const createThread = (metadata) => call("POST", "threads", { metadata });
export const getThread = (id) => call("GET", `threads/${at(id)}`);
export const searchThreads = (query) =>
  call("POST", "threads/search", {
    sort_by: "updated_at",
    sort_order: "desc",
    select: ["thread_id", "created_at", "updated_at", "metadata", "status"],
    ...query,
  });
export const updateThread = (id, metadata) => call("PATCH", `threads/${at(id)}`, { metadata });
/** `keepalive` lets the request outlive the page. */
export const deleteThread = (id, keepalive = false) =>
  call("DELETE", `threads/${at(id)}`, undefined, { keepalive });

export const getState = (id) => call("GET", `threads/${at(id)}/state`);
export const getHistory = (id, query) => call("POST", `threads/${at(id)}/history`, query);

export const listRuns = (id, query = {}) =>
  call("GET", `threads/${at(id)}/runs?${new URLSearchParams(query)}`);
export const getRun = (id, run) => call("GET", `threads/${at(id)}/runs/${at(run)}`);
export const cancelRun = (id, run) => call("POST", `threads/${at(id)}/runs/${at(run)}/cancel?wait=0`);

const STREAM_MODES = ["messages-tuple", "updates", "custom", "tools"];

/** Start a run and stream it. The run goes on without us: we may come back to it. */
export const startRun = (id, run, signal) =>
  send(
    "POST",
    `threads/${at(id)}/runs/stream`,
    { stream_mode: STREAM_MODES, stream_resumable: true, on_disconnect: "continue", ...run },
    { signal },
  );

/** The same stream, after the event `after`: a run's log is stored, so nothing is missed and nothing comes twice. */
export const joinRun = (id, run, after, signal) => {
  const query = new URLSearchParams(STREAM_MODES.map((mode) => ["stream_mode", mode]));
  return send("GET", `threads/${at(id)}/runs/${at(run)}/stream?${query}`, undefined, {
    signal,
    headers: { "last-event-id": String(after) },
  });
};
