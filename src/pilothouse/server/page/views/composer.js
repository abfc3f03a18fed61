// Where one writes.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../html.js";
import { memory } from "../state.js";
import { Icon } from "./icons.js";

const HIGHEST_PX = 260;

export function Composer({ threadId, running, stopping, canSend, blockedBy, onSend, onStop, onEditLast }) {
  const field = useRef(null);
  const [text, setText] = useState("");

  useLayoutEffect(() => {
    const element = field.current;
    element.style.height = "auto";
    element.style.height = `${Math.min(element.scrollHeight, HIGHEST_PX)}px`;
  }, [text]);
  useEffect(() => setText(memory.get(`draft.${threadId}`) ?? ""), [threadId]);
  useEffect(() => {
    const idle = document.activeElement === document.body || document.activeElement === null;
    if (idle && matchMedia("(pointer: fine)").matches) field.current.focus();
  }, [threadId, running]);

  const write = (value) => {
    setText(value);
    memory.set(`draft.${threadId}`, value || null);
  };
  const ready = canSend && !running && text.trim() !== "";
  const send = () => {
    if (!ready) return;
    onSend(text.trim());
    write("");
  };
  const toField = (event) => event.target === event.currentTarget && field.current.focus();
  const keys = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    } else if (event.key === "ArrowUp" && text === "" && !running) {
      event.preventDefault();
      onEditLast();
    }
  };

  return html`<form class="composer" onSubmit=${(event) => (event.preventDefault(), send())} onClick=${toField}>
    <textarea
      ref=${field} id="composer" rows="1" aria-label="Message" placeholder=${blockedBy ?? "Ask anything"}
      autocomplete="off" enterkeyhint="send" value=${text}
      onInput=${(event) => write(event.target.value)} onKeyDown=${keys}
    ></textarea>
    <${running ? StopButton : SendButton} disabled=${running ? stopping : !ready} onStop=${onStop} />
  </form>`;
}

const SendButton = ({ disabled }) =>
  html`<button class="send" type="submit" aria-label="Send" title="Send (Enter)" disabled=${disabled}>
    <${Icon} name="up" />
  </button>`;

const StopButton = ({ disabled, onStop }) =>
  html`<button
    class="send stop" type="button" aria-label="Stop" title="Stop (Esc)" disabled=${disabled} onClick=${onStop}
  >
    <i></i>
  </button>`;
