// An empty chat.

import { html } from "../html.js";
import { Mark } from "./icons.js";

const EXAMPLES = [
  {
    title: "Work something out",
    question: "I put 2,500 aside at 4.2 % a year. What is it worth after 10 years?",
  },
  {
    title: "Meet across the world",
    question: "When it is 9:30 in Berlin tomorrow, what time is it in Tokyo and in New York?",
  },
  { title: "Split a bill", question: "Split 187.40 between 5 people, with a 12 % tip." },
  { title: "Know the hour", question: "What time is it now in Auckland, and is it still today there?" },
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
