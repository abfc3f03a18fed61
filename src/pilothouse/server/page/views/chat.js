// The open chat: its turns, what went wrong, what is asked. It follows an answer only for who is at its end.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../html.js";
import { useStore } from "../state.js";
import { isOpen } from "../transcript.js";
import { IconButton } from "./buttons.js";
import { Interrupt } from "./interrupt.js";
import { Icon } from "./icons.js";
import { Turn } from "./message.js";

const FIRST_SHOWN = 24;
const NEAR_END_PX = 60;

function turnsOf(messages) {
  const turns = [];
  for (const message of messages) {
    if (message.role === "system") continue;
    if (message.role === "human" || turns.length === 0) turns.push([]);
    turns.at(-1).push(message);
  }
  return turns;
}

/** Keeps the end in view while it is in view; returns the refs and whether the reader has left the end. */
function useFollowedEnd(threadId) {
  const frame = useRef(null);
  const content = useRef(null);
  const atEnd = useRef(true);
  const [away, setAway] = useState(false);

  const toEnd = (behavior = "instant") =>
    frame.current.scrollTo({ top: frame.current.scrollHeight, behavior });
  useLayoutEffect(() => {
    atEnd.current = true;
    setAway(false);
    toEnd();
  }, [threadId]);
  useEffect(() => {
    const view = frame.current;
    let seen = view.scrollTop;
    const onScroll = () => {
      const left = view.scrollHeight - view.scrollTop - view.clientHeight;
      if (left < NEAR_END_PX) atEnd.current = true;
      else if (view.scrollTop < seen) atEnd.current = false; // only a reader scrolls up
      seen = view.scrollTop;
      setAway(!atEnd.current);
    };
    const onGrowth = new ResizeObserver(() => atEnd.current && toEnd());
    onGrowth.observe(content.current);
    onGrowth.observe(view);
    view.addEventListener("scroll", onScroll, { passive: true });
    return () => {
      onGrowth.disconnect();
      view.removeEventListener("scroll", onScroll);
    };
  }, []);
  const jump = () => {
    atEnd.current = true;
    setAway(false);
    toEnd("smooth");
  };
  return { frame, content, away, jump };
}

export function Chat({ conversation, editing, setEditing, canSend, phase: link, children }) {
  const { threadId, phase, problem, transcript, run, outcome, past } = useStore(conversation);
  const turns = useMemo(() => turnsOf(transcript.messages), [transcript.messages]);
  const [shown, setShown] = useState(FIRST_SHOWN);
  const { frame, content, away, jump } = useFollowedEnd(threadId);
  useEffect(() => setShown(FIRST_SHOWN), [threadId]);

  const asked = transcript.messages.findLast((message) => message.role === "human")?.id;
  useEffect(() => {
    if (asked && run) jump();
  }, [asked]);

  const first = Math.max(0, turns.length - shown);
  const showEarlier = () => {
    const view = frame.current;
    const fromEnd = view.scrollHeight - view.scrollTop;
    setShown(shown + FIRST_SHOWN);
    requestAnimationFrame(() => requestAnimationFrame(() => (view.scrollTop = view.scrollHeight - fromEnd)));
  };
  const resend = (id, text) => {
    setEditing(null);
    conversation.resend(id, text);
  };

  return html`<div class="chat-frame">
    <div class="chat" ref=${frame} tabindex="-1">
      <div class="chat-content" ref=${content}>
        <${Opening} phase=${phase} problem=${problem} onRetry=${() => conversation.open(threadId)} />
        ${
          first > 0 &&
          html`<button class="quiet-button earlier" type="button" onClick=${showEarlier}>
          Show ${Math.min(first, FIRST_SHOWN)} earlier turns
        </button>`
        }
        ${turns.slice(first).map((messages, at) => {
          const last = first + at === turns.length - 1;
          const { id } = messages[0];
          return html`<${Turn}
            key=${id} messages=${messages} events=${transcript.calls} outcome=${past[id]} last=${last}
            underWay=${Boolean(run) && last} canChange=${!run && canSend} editing=${editing === id}
            onEdit=${setEditing} onResend=${resend}
          />`;
        })}
        ${
          !run &&
          transcript.interrupts.filter(isOpen).map(
            (interrupt) => html`<${Interrupt}
            key=${interrupt.id} interrupt=${interrupt}
            onAnswer=${(value) => conversation.answer(interrupt, value)}
          />`,
          )
        }
        ${run && (link === "reconnecting" || link === "gone") && html`<p class="link-lost">${LINK_LOST}</p>`}
        ${outcome && html`<${Outcome} outcome=${outcome} onRetry=${!run && conversation.retry} />`}
        ${children}
      </div>
    </div>
    ${away && html`<${IconButton} icon="down" label="Go to the end" kind="jump" onClick=${jump} />`}
  </div>`;
}

const LINK_LOST = "The connection is lost. The answer goes on here as soon as the server is back.";

/** What is shown of a chat that is not there yet, or not at all. */
function Opening({ phase, problem, onRetry }) {
  if (phase === "loading") {
    return html`<div class="chat-loading" role="status" aria-label="Opening the chat"><i></i><i></i><i></i></div>`;
  }
  if (phase === "missing") return html`<${Missing} />`;
  if (phase !== "failed") return null;
  return html`<${Problem} title="This chat could not be opened" message=${problem} onRetry=${onRetry} />`;
}

const Missing = () => html`<div class="blank-state">
  <h1>This chat is gone</h1>
  <p>It was deleted, has expired, or belongs to somebody else.</p>
  <a class="button" href="#/">New chat</a>
</div>`;

const TITLES = {
  model_key_invalid: "The model's key was refused",
  model_quota_exceeded: "The model's quota is spent",
  model_unknown: "There is no such model",
  model_unavailable: "The model can't be reached",
  model_error: "The model could not answer",
  agent_unavailable: "The agent could not be loaded",
};

function Outcome({ outcome, onRetry }) {
  if (outcome.kind === "stopped") {
    const again = html`<button class="link-button" type="button" onClick=${onRetry}>Ask again</button>`;
    return html`<p class="stopped">Stopped. ${onRetry && again}</p>`;
  }
  const title =
    outcome.kind === "timeout" ? "This took too long" : (TITLES[outcome.code] ?? "That did not work");
  return html`<${Problem} title=${title} message=${outcome.message} onRetry=${onRetry} />`;
}

function Problem({ title, message, onRetry }) {
  return html`<div class="run-error" role="alert">
    <${Icon} name="alert" />
    <div><strong>${title}</strong><p>${message}</p></div>
    ${
      onRetry &&
      html`<button class="button" type="button" onClick=${onRetry}><${Icon} name="retry" />Try again</button>`
    }
  </div>`;
}
