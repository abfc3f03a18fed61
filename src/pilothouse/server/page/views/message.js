// One turn of a conversation: the question, and what the agent did and said.

import { html, memo, useLayoutEffect, useRef, useState } from "../html.js";
import { renderMarkdown } from "../markdown.js";
import { describeCall } from "../transcript.js";
import { CopyButton, IconButton } from "./buttons.js";
import { Icon } from "./icons.js";
import { ToolCard } from "./tool_card.js";

const still = matchMedia("(prefers-reduced-motion: reduce)");

/** Markdown that flows in: text arrives in bursts and is shown at an even pace, a little behind. */
export function Markdown({ text, writing }) {
  const root = useRef(null);
  const flow = useRef({ text: "", shown: 0, frame: 0, writing: false });

  useLayoutEffect(() => {
    const state = flow.current;
    const fresh = state.text === "" && !writing;
    state.text = text;
    state.writing = writing;
    state.shown = Math.min(state.shown, text.length);
    const paint = () =>
      renderMarkdown(root.current, text.slice(0, state.shown), state.writing || state.shown < text.length);
    if (fresh || still.matches || document.hidden) {
      state.shown = text.length;
      paint();
      return undefined;
    }
    const step = () => {
      state.shown = Math.min(
        text.length,
        state.shown + Math.max(2, Math.ceil((text.length - state.shown) / (writing ? 9 : 4))),
      );
      paint();
      if (state.shown < text.length) state.frame = requestAnimationFrame(step);
    };
    step();
    return () => cancelAnimationFrame(state.frame);
  }, [text, writing]);

  return html`<div class="markdown" ref=${root}></div>`;
}

/** Pictures that came with a message; none is loaded from elsewhere. */
function Images({ sources }) {
  return sources
    .filter((source) => source.startsWith("data:image/"))
    .map((source) => html`<img src=${source} alt="" />`);
}

function Question({ message, editing, canChange, onEdit, onSend, onCancel }) {
  if (editing) return html`<${QuestionEditor} text=${message.text} onSend=${onSend} onCancel=${onCancel} />`;
  return html`<div class="question">
    <div class="question-text">
      <${Images} sources=${message.images} />
      ${message.text}
    </div>
    <div class="actions">
      ${canChange && html`<${IconButton} icon="pencil" label="Edit and ask again" onClick=${onEdit} />`}
      <${CopyButton} text=${message.text} />
    </div>
  </div>`;
}

function QuestionEditor({ text, onSend, onCancel }) {
  const field = useRef(null);
  useLayoutEffect(() => {
    field.current.focus();
    field.current.setSelectionRange(text.length, text.length);
  }, []);
  const send = () => field.current.value.trim() && onSend(field.current.value.trim());
  const keys = (event) => {
    if (event.key === "Escape") onCancel();
    else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) send();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return html`<div class="question-editor">
    <textarea ref=${field} aria-label="Edit the question" rows="3" onKeyDown=${keys}>${text}</textarea>
    <div class="editor-actions">
      <span class="hint">What came after it will be left behind.</span>
      <button class="button" type="button" onClick=${onCancel}>Cancel</button>
      <button class="button primary" type="button" onClick=${send}>Send</button>
    </div>
  </div>`;
}

function Answer({ message, answers, events, underWay }) {
  const writing = underWay && !message.whole;
  return html`<div class="answer">
    ${
      message.reasoning &&
      html`<details class="reasoning">
      <summary>Thinking<${Icon} name="chevron" /></summary>
      <p>${message.reasoning}</p>
    </details>`
    }
    ${message.text && html`<${Markdown} text=${message.text} writing=${writing} />`}
    <${Images} sources=${message.images} />
    ${
      message.calls.length > 0 &&
      html`<div class="tools">
      ${message.calls.map((call, at) => {
        const described = describeCall(call, answers.get(call.id), events[call.id], underWay);
        return html`<${ToolCard} key=${call.id ?? at} call=${described} />`;
      })}
    </div>`
    }
  </div>`;
}

const pastOutcome = (outcome) =>
  outcome?.kind === "stopped" ? "Stopped." : (outcome?.message ?? "Not answered.");

/** Nothing of the answer is moving: say that the agent is at work. */
function isWaiting({ messages, events }) {
  const last = messages.at(-1);
  if (last.role !== "ai") return true;
  if (last.calls.length === 0) return last.text === "";
  return last.calls.every((call) => call.id in events && events[call.id].status !== "running");
}

/**
 * `messages` are a question and all that follows up to the next one; `events` holds what is known of each tool call by id;
 * `underWay` says that the run is still at work on this turn.
 */
function TurnView(props) {
  const { messages, events, underWay, canChange, last, editing, outcome, onEdit, onResend } = props;
  const question = messages[0].role === "human" ? messages[0] : null;
  const answers = new Map(
    messages.filter((message) => message.role === "tool").map((message) => [message.callId, message]),
  );
  const said = messages.filter((message) => message.role === "ai");
  const text = said
    .map((message) => message.text)
    .filter(Boolean)
    .join("\n\n");
  return html`<article class=${`turn ${last ? "last" : ""}`}>
    ${
      question &&
      html`<${Question}
      message=${question} editing=${editing} canChange=${canChange}
      onEdit=${() => onEdit(question.id)} onCancel=${() => onEdit(null)}
      onSend=${(changed) => onResend(question.id, changed)}
    />`
    }
    ${said.map((message) => {
      const about = { message, answers, events, underWay };
      return html`<${Answer} key=${message.id} ...${about} />`;
    })}
    ${
      underWay &&
      isWaiting(props) &&
      html`<div class="at-work" role="img" aria-label="The agent is at work"><i></i><i></i><i></i></div>`
    }
    ${!last && (outcome || said.length === 0) && html`<p class="past-outcome">${pastOutcome(outcome)}</p>`}
    ${
      !underWay &&
      text &&
      html`<div class="actions answer-actions">
      <${CopyButton} text=${text} />
      ${
        canChange &&
        question &&
        html`<${IconButton} icon="retry" label="Ask again" onClick=${() => onResend(question.id, question.text)} />`
      }
    </div>`
    }
  </article>`;
}

const PLAIN = ["underWay", "canChange", "last", "editing", "outcome"];

function sameTurn(before, next) {
  return (
    PLAIN.every((name) => before[name] === next[name]) &&
    before.messages.length === next.messages.length &&
    before.messages.every((message, at) => message === next.messages[at]) &&
    (before.events === next.events ||
      next.messages.every((message) =>
        message.calls.every(({ id }) => before.events[id] === next.events[id]),
      ))
  );
}

export const Turn = memo(TurnView, sameTurn);
