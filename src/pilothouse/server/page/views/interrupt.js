// What the agent asks before it goes on, and the reply.

import { html, useState } from "../html.js";
import { Markdown } from "./message.js";
import { Icon } from "./icons.js";

/** Tool calls that wait for approval, in the shape of LangChain's human-in-the-loop middleware. */
const requestsOf = (value) => (Array.isArray(value?.action_requests) ? value.action_requests : null);

function wordsOf(value) {
  if (typeof value === "string") return value;
  for (const name of ["question", "message", "prompt", "description"]) {
    if (typeof value?.[name] === "string") return value[name];
  }
  return null;
}

const decisions = (requests, decision) => ({ decisions: requests.map(() => decision) });

export function Interrupt({ interrupt, onAnswer }) {
  const { value } = interrupt;
  if (value?.type === "budget_exceeded") return html`<${Budget} message=${value.message} onAnswer=${onAnswer} />`;
  const requests = requestsOf(value);
  const words = requests ? null : wordsOf(value);
  const isBare = typeof value === "string" || (words !== null && Object.keys(value).length === 1);
  return html`<section class="interrupt" aria-label="The agent waits for you">
    <h3><${Icon} name="hand" />${requests ? "May it do this?" : "The agent asks"}</h3>
    ${words && html`<${Markdown} text=${words} writing=${false} />`}
    ${
      requests &&
      requests.map(
        (request) => html`<div class="request">
        <strong>${request.name ?? request.action}</strong>
        ${request.description && html`<p>${request.description}</p>`}
        <pre>${JSON.stringify(request.args ?? request.arguments ?? {}, null, 2)}</pre>
      </div>`,
      )
    }
    ${!requests && !isBare && html`<pre>${JSON.stringify(value, null, 2)}</pre>`}
    ${
      requests
        ? html`<${Approval} requests=${requests} onAnswer=${onAnswer} />`
        : html`<${Reply} onAnswer=${onAnswer} />`
    }
  </section>`;
}

/** The run has spent what it may. */
function Budget({ message, onAnswer }) {
  return html`<section class="interrupt" aria-label="The run waits for you">
    <h3><${Icon} name="hand" />May it go on?</h3>
    <p>${message}</p>
    <div class="reply">
      <button class="button primary" type="button" onClick=${() => onAnswer(true)}>Go on</button>
    </div>
  </section>`;
}

function Approval({ requests, onAnswer }) {
  const [reason, setReason] = useState("");
  const approve = () => onAnswer(decisions(requests, { type: "approve" }));
  const reject = () =>
    onAnswer(decisions(requests, { type: "reject", ...(reason.trim() && { message: reason.trim() }) }));
  return html`<div class="reply">
    <input
      aria-label="Why not" placeholder="If not, why (optional)" value=${reason}
      onInput=${(event) => setReason(event.target.value)}
    />
    <button class="button" type="button" onClick=${reject}>Reject</button>
    <button class="button primary" type="button" onClick=${approve}>Approve</button>
  </div>`;
}

function Reply({ onAnswer }) {
  const [text, setText] = useState("");
  const [asJson, setAsJson] = useState(false);
  const [problem, setProblem] = useState(null);
  const send = () => {
    if (!asJson) return text.trim() ? onAnswer(text.trim()) : null;
    try {
      return onAnswer(JSON.parse(text));
    } catch (error) {
      return setProblem(error.message);
    }
  };
  const keys = (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    send();
  };
  return html`<div class="reply">
    <textarea
      rows="1" aria-label="Your reply" placeholder=${asJson ? '{"approved": true}' : "Your reply"} value=${text}
      onInput=${(event) => (setText(event.target.value), setProblem(null))} onKeyDown=${keys}
    ></textarea>
    <label class="as-json">
      <input type="checkbox" checked=${asJson} onChange=${(event) => setAsJson(event.target.checked)} />JSON
    </label>
    <button class="button primary" type="button" onClick=${send}>Reply</button>
    ${problem && html`<p class="problem" role="alert">That is not JSON: ${problem}</p>`}
  </div>`;
}
