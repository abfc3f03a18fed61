// An empty chat.

import { html } from "../html.js";
import { Mark } from "./icons.js";

const EXAMPLES = [
  ["Work something out", "I put 2,500 aside at 4.2 % a year. What is it worth after 10 years?"],
  ["Meet across the world", "When it is 9:30 in Berlin tomorrow, what time is it in Tokyo and in New York?"],
  ["Split a bill", "Split 187.40 between 5 people, with a 12 % tip."],
  ["Know the hour", "What time is it now in Auckland, and is it still today there?"],
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
      ${EXAMPLES.map(
        ([title, question]) => html`<button key=${title} class="example" type="button" disabled=${!canSend} onClick=${() => onAsk(question)}>
          <strong>${title}</strong><span>${question}</span>
        </button>`,
      )}
    </div>
  </div>`;
}
