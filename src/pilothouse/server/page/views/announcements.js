// What the page says beside the chat: for a moment, quietly, or only to those who listen.

import { html, useEffect, useRef, useState } from "../html.js";
import { memory, useStore } from "../state.js";
import { IconButton } from "./buttons.js";

const PROBLEM_MS = 8_000;
const READ_ALOUD = 1_500;

/** What people should know about the model; once closed, it stays closed until it says something else. */
export function Notice({ text }) {
  const [closed, setClosed] = useState(memory.get("notice"));
  if (!text || closed === text) return null;
  const close = () => {
    memory.set("notice", text);
    setClosed(text);
  };
  return html`<div class="notice" role="note">
    <p>${text}</p>
    <${IconButton} icon="close" label="Close this note" onClick=${close} />
  </div>`;
}

/** Something long that the server prepares, such as fetching a model. */
export function Preparing({ task }) {
  if (!task) return null;
  const megabytes = (bytes) => Math.floor(bytes / 1e6);
  return html`<div class="preparing" role="status">
    <progress value=${task.done_bytes} max=${task.total_bytes}></progress>
    <span>${task.label}, ${megabytes(task.done_bytes)} of ${megabytes(task.total_bytes)} MB</span>
  </div>`;
}

/** A deleted chat that can be had back, or something that did not work. */
export function Toast({ threads, problem, onUndo, onProblemSeen }) {
  const { deleted } = useStore(threads);
  useEffect(() => {
    if (!problem) return undefined;
    const timer = setTimeout(onProblemSeen, PROBLEM_MS);
    return () => clearTimeout(timer);
  }, [problem]);
  return html`<div class="toasts" role="status">
    ${
      deleted &&
      html`<div class="toast" key=${deleted.thread.id}>
      <span>Deleted “${deleted.thread.title}”</span>
      <button class="link-button" type="button" onClick=${onUndo}>Undo</button>
    </div>`
    }
    ${problem && html`<div class="toast problem"><span>${problem}</span></div>`}
  </div>`;
}

/** Tells a screen reader what eyes see: that an answer began, what it says when it is whole, and that the server is gone. */
export function Announcer({ conversation, phase }) {
  const { run, transcript, outcome } = useStore(conversation);
  const [said, setSaid] = useState("");
  const wasRunning = useRef(false);
  useEffect(() => {
    if (run && !wasRunning.current) setSaid("The agent is at work.");
    if (!run && wasRunning.current && !outcome) {
      const last = transcript.messages.findLast((message) => message.role === "ai");
      setSaid(last?.text.slice(0, READ_ALOUD) ?? "");
    }
    if (!run && wasRunning.current && outcome?.kind === "stopped") setSaid("Stopped.");
    wasRunning.current = Boolean(run);
  }, [Boolean(run)]);
  useEffect(() => {
    if (phase === "reconnecting") setSaid("The connection was lost. Reconnecting.");
    if (phase === "gone") setSaid("The server is gone. Still trying.");
  }, [phase]);
  return html`<div class="unseen" aria-live="polite" role="log">${said}</div>`;
}
