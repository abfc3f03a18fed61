// The keyboard, wherever the focus is.

import { useEffect } from "./html.js";

const isField = (element) => element?.matches?.("input, textarea, select, [contenteditable]");

/**
 * Esc stops the answer, Ctrl/Cmd+K looks for a chat, Ctrl/Cmd+Shift+O starts one, and what is typed nowhere in particular
 * goes to the composer.
 */
export function useShortcuts({ stop, showList, closeList, drawer }) {
  useEffect(() => {
    const onKey = (event) => {
      const command = event.ctrlKey || event.metaKey;
      if (event.key === "Escape") {
        if (document.querySelector("[popover]:popover-open")) return;
        if (drawer) closeList();
        else stop();
      } else if (command && event.key.toLowerCase() === "k") {
        event.preventDefault();
        showList();
        requestAnimationFrame(() => document.getElementById("search").focus());
      } else if (command && event.shiftKey && event.key.toLowerCase() === "o") {
        event.preventDefault();
        location.hash = "#/";
        document.getElementById("composer").focus();
      } else if (
        !command &&
        !event.altKey &&
        event.key.length === 1 &&
        event.key !== " " &&
        !isField(document.activeElement)
      ) {
        document.getElementById("composer").focus();
      }
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  });
}
