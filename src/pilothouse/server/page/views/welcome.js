// An empty chat.

import { html } from "../html.js";
import { Mark } from "./icons.js";

/** Questions that the small local model answers right, too. */
const EXAMPLES = [
  {
    title: "Work something out",
    question: "What is 17% of 2,340?",
  },
  {
    title: "Meet across the world",
    question: "When it is 3pm in New York, what time is it in Tokyo?",
  },
  { title: "Split a bill", question: "Split a bill of 187.40 between 5 people." },
  { title: "Know the hour", question: "What time is it in Auckland now?" },
];

function greeting() {
  const hour = new Date().getHours();
  if (hour < 5) return "Still on watch?";
  if (hour < 12) return "Good morning. Where to?";
  return hour < 18 ? "Good afternoon. Where to?" : "Good evening. Where to?";
}

export function Welcome({ canSend, onAsk }) {
  return html`<div class="welcome">
    <${Mark} />
    <h1>${greeting()}</h1>
    <div class="examples">
      ${EXAMPLES.map((example) => html`<${Example} ...${example} disabled=${!canSend} onAsk=${onAsk} />`)}
    </div>
  </div>`;
}

const Example = ({ title, question, disabled, onAsk }) =>
  html`<button class="example" type="button" disabled=${disabled} onClick=${() => onAsk(question)}>
    <strong>${title}</strong><span>${question}</span>
  </button>`;
