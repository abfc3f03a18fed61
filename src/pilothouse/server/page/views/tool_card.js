// A tool call: one line while it runs and after, and all of it when opened.

import { html, useEffect, useState } from "../html.js";
import { useCopying } from "./buttons.js";
import { Icon } from "./icons.js";

const WORDS = {
  writing: "being called",
  running: "running",
  done: "done",
  failed: "failed",
  stopped: "stopped",
};

/** Milliseconds in the unit that suits them. */
export function duration(ms) {
  if (ms < 1) return "<1 ms";
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1_000)} s`;
}

const brief = (value) => (typeof value === "string" ? value : JSON.stringify(value)).replace(/\s+/g, " ");

/** The arguments in one line: the only value, or `name: value` pairs. */
function summary(call) {
  if (call.args === null || call.args === undefined) return (call.written ?? "").slice(0, 160);
  if (typeof call.args !== "object") return brief(call.args);
  const pairs = Object.entries(call.args);
  if (pairs.length === 1) return brief(pairs[0][1]);
  return pairs.map(([name, value]) => `${name}: ${brief(value)}`).join(", ");
}

function pretty(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" && value !== null ? JSON.stringify(value, null, 2) : text;
  } catch {
    return text;
  }
}

export function ToolCard({ call }) {
  const result = call.error ?? call.result;
  return html`<details class=${`tool ${call.status}`}>
    <summary>
      <span class="tool-state" role="img" aria-label=${WORDS[call.status]}><${State} status=${call.status} /></span>
      <span class="tool-name">${call.name}</span>
      <span class="tool-summary">${summary(call)}</span>
      <span class="tool-time"><${Time} call=${call} /></span>
      <${Icon} name="chevron" />
    </summary>
    <div class="tool-body">
      <h4>Arguments</h4>
      <${Arguments} call=${call} />
      ${result != null && html`<${Result} text=${pretty(result)} failed=${call.status === "failed"} />`}
      ${call.images
        .filter((source) => source.startsWith("data:image/"))
        .map((source) => html`<img class="tool-image" src=${source} alt=${`Made by ${call.name}`} />`)}
    </div>
  </details>`;
}

function State({ status }) {
  if (status === "writing" || status === "running") return html`<span class="spinner"></span>`;
  if (status === "done") return html`<${Icon} name="check" />`;
  return html`<${Icon} name=${status === "failed" ? "alert" : "hand"} />`;
}

/** How long it took; while it runs and that is worth saying, how long it has taken so far. */
function Time({ call }) {
  const running = call.status === "running" && call.startedAt !== null;
  const [now, setNow] = useState(performance.now());
  useEffect(() => {
    if (!running) return undefined;
    const clock = setInterval(() => setNow(performance.now()), 100);
    return () => clearInterval(clock);
  }, [running]);
  if (call.took !== null) return duration(call.took);
  return running && now - call.startedAt > 500 ? duration(now - call.startedAt) : null;
}

function Arguments({ call }) {
  if (call.args === null || call.args === undefined) return html`<pre>${call.written ?? ""}</pre>`;
  const pairs = typeof call.args === "object" ? Object.entries(call.args) : [["value", call.args]];
  if (pairs.length === 0) return html`<p class="tool-none">none</p>`;
  return html`<dl>
    ${pairs.map(
      ([name, value]) => html`<div key=${name}>
        <dt>${name}</dt>
        <dd>${typeof value === "string" ? value : JSON.stringify(value, null, 2)}</dd>
      </div>`,
    )}
  </dl>`;
}

function Result({ text, failed }) {
  const [copied, copy] = useCopying(text);
  return html`<div class="tool-result">
    <h4>${failed ? "Error" : "Result"}</h4>
    <button class="quiet-button" type="button" onClick=${copy}>
      <${Icon} name=${copied ? "check" : "copy"} />${copied ? "Copied" : "Copy"}
    </button>
    <pre tabindex="0">${text}</pre>
  </div>`;
}
