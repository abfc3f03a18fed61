// Buttons that are an icon, and what they say to those who don't see it.

import { copyText } from "../clipboard.js";
import { html, useState } from "../html.js";
import { Icon } from "./icons.js";

const COPIED_MS = 1_600;

/** `tip` is shown on hovering where the label would be too long. */
export function IconButton({ icon, label, tip, onClick, kind = "" }) {
  return html`<button
    class=${`icon-button ${kind}`} type="button" aria-label=${label} title=${tip ?? label} onClick=${onClick}
  >
    <${Icon} name=${icon} />
  </button>`;
}

/** Copies when called; the first value says for a moment that it did. */
export function useCopying(text) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    setCopied(await copyText(text));
    setTimeout(() => setCopied(false), COPIED_MS);
  };
  return [copied, copy];
}

export function CopyButton({ text }) {
  const [copied, copy] = useCopying(text);
  return html`<${IconButton} icon=${copied ? "check" : "copy"} label=${copied ? "Copied" : "Copy"} onClick=${copy} />`;
}
