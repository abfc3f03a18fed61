// The open chat: what it shows, and what one can do with it.

import * as api from "./api.js";
import { checkpointBefore } from "./history.js";
import { createStore, newId } from "./state.js";
import { followRun, RunGone } from "./stream.js";
import { applyFrame, emptyTranscript, fromState, isOpen, settled, toMessage } from "./transcript.js";

const ACTIVE = new Set(["pending", "running"]);

const blank = {
  threadId: null,
  agentId: null, // who was chosen to answer
  phase: "empty", // empty | loading | ready | missing | failed
  problem: null, // why the chat could not be opened
  transcript: emptyTranscript,
  run: null, // {id, stopping} while one is under way
  outcome: null, // {kind: "error" | "stopped" | "timeout", message, code} of the last run, if it did not succeed
  past: {}, // the outcomes of the runs before it, by the id of the question
};

/**
 * `link` says whether the server answers (see connection.js), `threads` is the list of chats, `whoAnswers(agentId)` is the
 * agent to run where that one was chosen, if any, and `onCreated(threadId)` is told when the first question made a thread.
 */
export function createConversation({ link, threads, whoAnswers, onCreated }) {
  const store = createStore(blank);
  let session = new AbortController(); // ends when another chat is opened

  // Frames come faster than a screen shows them: they are applied at once and shown once a frame.
  let shown = null;
  function setTranscript(change) {
    const transcript = change(shown ?? store.get().transcript);
    if (shown === null) {
      const show = () => {
        if (shown !== null) store.set({ transcript: shown });
        shown = null;
      };
      document.hidden ? setTimeout(show, 200) : requestAnimationFrame(show);
    }
    shown = transcript;
  }
  function set(patch) {
    if (shown !== null) store.set({ transcript: shown });
    shown = null;
    store.set(patch);
  }

  /** Call the server until it answers; a refusal is an answer. */
  async function reach(call, signal) {
    for (;;) {
      signal.throwIfAborted();
      try {
        return await call();
      } catch (error) {
        if (error instanceof api.ApiError && !error.unavailable) throw error;
        link.lost();
        await link.back(signal);
      }
    }
  }

  /** Run `work` for the open chat; when another was opened meanwhile, that is no error. */
  async function within(work) {
    const { signal } = session;
    try {
      await work(signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  function leave() {
    session.abort();
    session = new AbortController();
    shown = null;
  }

  /** `agentId` is who answers in a new chat; an older one goes on with who answered last. */
  function open(threadId, agentId = null) {
    leave();
    store.set({ ...blank, threadId, agentId, phase: threadId ? "loading" : "empty" });
    if (!threadId) return Promise.resolve();
    return within(async (signal) => {
      try {
        const [{ metadata }, state, runs] = await reach(
          () =>
            Promise.all([
              api.getThread(threadId),
              api.getState(threadId),
              api.listRuns(threadId, { limit: 10 }),
            ]),
          signal,
        );
        signal.throwIfAborted();
        set({ phase: "ready", agentId: metadata?.graph_id ?? null, transcript: fromState(state) });
        await follow(pickRun(runs), signal);
      } catch (error) {
        if (signal.aborted) return;
        set({ phase: error.status === 404 ? "missing" : "failed", problem: error.message });
      }
    });
  }

  /** The run to show: the first that is under way, else the last one, if it left something that the state has not. */
  function pickRun(runs) {
    const active = runs.filter((run) => ACTIVE.has(run.status)).at(-1);
    if (active) return active;
    const asks = store.get().transcript.interrupts.length > 0;
    return runs[0] && runs[0].status !== "success" && !asks ? runs[0] : null;
  }

  async function follow(run, signal) {
    if (!run) return;
    showQuestion(run);
    if (ACTIVE.has(run.status)) set({ run: { id: run.run_id, stopping: false } });
    await watch({ runId: run.run_id }, signal);
  }

  /** A run that waits, or failed early, has a question that the state does not hold yet. */
  function showQuestion(run) {
    const asked = [run.kwargs?.input?.messages ?? []].flat().map(toMessage);
    const { transcript } = store.get();
    const missing = asked.filter(({ id }) => id && !transcript.messages.some((message) => message.id === id));
    if (missing.length > 0)
      set({ transcript: { ...transcript, messages: [...transcript.messages, ...missing] } });
  }

  /** Follow a run to its end, then take over the state it left. */
  async function watch({ runId = null, start = null }, signal) {
    const { threadId } = store.get();
    const onFrames = (frames, { runId: id, at }) => {
      if (signal.aborted) return;
      if (store.get().run && store.get().run.id !== id) set(({ run }) => ({ run: { ...run, id } }));
      const failure = frames.find((frame) => frame.event === "error");
      if (failure) set({ outcome: failureOf(failure.data) });
      setTranscript((transcript) =>
        frames.reduce((before, frame) => applyFrame(before, frame, at), transcript),
      );
    };
    try {
      const id = await followRun({ threadId, runId, start, onFrames, link, signal });
      await settle(id, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      const ended = error instanceof RunGone && !store.get().run; // an old run whose log has expired
      set({ run: null, outcome: ended ? null : { kind: "error", message: error.message, code: error.code } });
    }
  }

  async function settle(runId, signal) {
    const { threadId } = store.get();
    const [state, run, runs] = await reach(
      () =>
        Promise.all([
          api.getState(threadId),
          api.getRun(threadId, runId),
          api.listRuns(threadId, { limit: 10 }),
        ]),
      signal,
    );
    signal.throwIfAborted();
    set(({ transcript, outcome }) => {
      const after = settled(transcript, state, run.status === "success");
      return { transcript: after, run: null, outcome: outcomeOf(run, after, outcome) };
    });
    threads.touch(threadId, { busy: false, waiting: store.get().transcript.interrupts.length > 0 });
    const next = runs.filter((other) => ACTIVE.has(other.status)).at(-1);
    if (next) await follow(next, signal);
  }

  /** Ask `content`; from `checkpoint` on, where it takes the place of what was asked there. */
  async function ask(content, checkpoint, signal) {
    const message = toMessage({ type: "human", id: newId(), content });
    set(({ transcript }) => ({
      phase: "ready",
      transcript: { ...transcript, interrupts: [], messages: [...transcript.messages, message] },
    }));
    if (!store.get().threadId) await createThread(message.text, signal);
    await start(
      {
        input: { messages: [{ type: "human", id: message.id, content }] },
        ...(checkpoint && { checkpoint }),
      },
      signal,
    );
  }

  async function createThread(text, signal) {
    set({ run: { id: null, stopping: false } });
    const thread = await reach(() => threads.create(text, whoAnswers(store.get().agentId)), signal);
    signal.throwIfAborted();
    set({ threadId: thread.id });
    onCreated(thread.id);
  }

  async function start(body, signal) {
    const { threadId, agentId } = store.get();
    const ticket = newId(); // by it we find our run when the answer to the request was lost
    const run = { assistant_id: whoAnswers(agentId), metadata: { page_ticket: ticket }, ...body };
    set(({ transcript, past, outcome }) => ({
      run: { id: null, stopping: false },
      past: outcome ? { ...past, [questionBefore(transcript, body.input)]: outcome } : past,
      outcome: null,
    }));
    threads.touch(threadId, { busy: true, waiting: false });
    let lost = false; // a request got no answer: it may have made the run all the same
    const begin = (connection) =>
      reach(async () => {
        const made = lost && (await findRun(threadId, ticket));
        if (made) return api.joinRun(threadId, made.run_id, 0, connection);
        lost = true;
        return await api.startRun(threadId, run, connection);
      }, connection);
    await watch({ start: begin }, signal);
  }

  async function findRun(threadId, ticket) {
    const runs = await api.listRuns(threadId, { limit: 10 });
    return runs.find((run) => run.metadata?.page_ticket === ticket);
  }

  const send = (text) => within((signal) => guarded(() => ask(text, null, signal), signal));

  /** Ask a question anew, in its own words or in others: what came after it is left behind. */
  function resend(messageId, text) {
    return within((signal) =>
      guarded(async () => {
        const { threadId, transcript } = store.get();
        const at = transcript.messages.findIndex((message) => message.id === messageId);
        if (at < 0) return;
        const { content, text: asked } = transcript.messages[at];
        const before = { ...transcript, interrupts: [], messages: transcript.messages.slice(0, at) };
        set({ transcript: before, run: { id: null, stopping: false }, outcome: null });
        const checkpoint = threadId && (await reach(() => checkpointBefore(threadId, messageId), signal));
        await ask(text === asked ? content : text, checkpoint, signal);
      }, signal),
    );
  }

  /** Ask the last question again. */
  function retry() {
    const last = store.get().transcript.messages.findLast((message) => message.role === "human");
    return last ? resend(last.id, last.text) : Promise.resolve();
  }

  /** Answer what the agent asks; it goes on when nothing is left to answer. */
  function answer(interrupt, value) {
    const { transcript } = store.get();
    const interrupts = transcript.interrupts.map((other) =>
      other === interrupt ? { ...other, answer: value } : other,
    );
    const waits = interrupts.some(isOpen);
    set({ transcript: { ...transcript, interrupts: waits ? interrupts : [] } });
    if (waits) return Promise.resolve();
    const answers = interrupts.map((each) => [each.id, each.answer]);
    const resume = answers.length > 1 ? Object.fromEntries(answers) : value;
    return within((signal) => guarded(() => start({ command: { resume } }, signal), signal));
  }

  async function guarded(work, signal) {
    try {
      await work();
    } catch (error) {
      if (signal.aborted) throw error;
      set({ run: null, outcome: { kind: "error", message: error.message, code: error.code } });
    }
  }

  function stop() {
    const { run, threadId } = store.get();
    if (!run?.id || run.stopping) return Promise.resolve();
    set({ run: { ...run, stopping: true } });
    return within((signal) => reach(() => api.cancelRun(threadId, run.id), signal)).catch(() => {
      set(({ run: now }) => ({ run: now && { ...now, stopping: false } }));
    });
  }

  /** Read the chat again, unless something is under way: another window may have gone on with it. */
  function refresh() {
    const { threadId, phase, run } = store.get();
    if (!threadId || phase !== "ready" || run) return Promise.resolve();
    return within(async (signal) => {
      const [state, runs] = await Promise.all([
        api.getState(threadId),
        api.listRuns(threadId, { limit: 10 }),
      ]);
      const active = runs.filter((other) => ACTIVE.has(other.status)).at(-1);
      const { transcript, outcome, run: begun } = store.get();
      const half = transcript.interrupts.some((each) => !isOpen(each));
      if (signal.aborted || begun || ((outcome || half) && !active)) return;
      set({ transcript: { ...fromState(state), calls: transcript.calls }, outcome: null });
      await follow(active, signal);
    }).catch(() => link.lost());
  }

  /** Who answers from the next question on. */
  const chooseAgent = (agentId) => store.set({ agentId });

  return { ...store, open, send, resend, retry, answer, stop, refresh, chooseAgent };
}

/** The question that the last outcome belongs to: the last one, but for what is being asked now. */
function questionBefore(transcript, input) {
  const asked = new Set((input?.messages ?? []).map((message) => message.id));
  return (
    transcript.messages.findLast((message) => message.role === "human" && !asked.has(message.id))?.id ?? ""
  );
}

function failureOf(data) {
  const message = data?.message ?? (typeof data === "string" ? data : null);
  return { kind: "error", message: message ?? "The run failed.", code: data?.error ?? data?.code };
}

function outcomeOf(run, transcript, seen) {
  if (run.status === "success" || transcript.interrupts.length > 0) return null;
  if (run.status === "timeout")
    return { kind: "timeout", message: seen?.message ?? "The run took too long and was ended." };
  if (run.status === "interrupted") return { kind: "stopped" };
  return seen ?? { kind: "error", message: "The run failed; the server's log says why." };
}
