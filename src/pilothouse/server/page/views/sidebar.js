// The chats, on the left; on a phone, a drawer.

import { html, useEffect, useRef, useState } from "../html.js";
import { useStore } from "../state.js";
import { IconButton } from "./buttons.js";
import { Icon, Mark } from "./icons.js";
import { ThemeSwitch } from "./theme_switch.js";

const DAY_MS = 86_400_000;

function groupOf(time) {
  const midnight = new Date().setHours(0, 0, 0, 0);
  if (time >= midnight) return "Today";
  if (time >= midnight - DAY_MS) return "Yesterday";
  if (time >= midnight - 7 * DAY_MS) return "Last 7 days";
  if (time >= midnight - 30 * DAY_MS) return "Last 30 days";
  return "Older";
}

function grouped(list) {
  const groups = new Map();
  for (const thread of list) {
    const name = groupOf(thread.updatedAt);
    groups.set(name, [...(groups.get(name) ?? []), thread]);
  }
  return [...groups];
}

const matches = (thread, filter) =>
  filter
    .toLowerCase()
    .split(/\s+/)
    .every((word) => thread.title.toLowerCase().includes(word));

export function Sidebar({ threads, openId, user, version, onClose, onRemoved, onProblem }) {
  const { list, complete, loaded } = useStore(threads);
  const [filter, setFilter] = useState("");
  const found = filter.trim() ? list.filter((thread) => matches(thread, filter.trim())) : list;

  // A search looks at all chats, so the pages that are not here yet are loaded.
  useEffect(() => {
    if (filter.trim() && !complete) threads.more().catch(() => {});
  }, [filter, complete, list]);

  const leaveSearch = (event) => {
    if (event.key !== "Escape") return;
    setFilter("");
    event.stopPropagation();
    event.target.blur();
  };
  const remove = (thread) => {
    threads.remove(thread.id);
    onRemoved(thread.id);
  };
  const rename = (thread, title) => threads.rename(thread.id, title).catch(onProblem);

  return html`<aside class="sidebar" id="sidebar" aria-label="Chats">
    <header class="sidebar-head">
      <a class="brand" href="#/"><${Mark} /><span>Pilothouse</span></a>
      <${IconButton} icon="close" label="Close the list of chats" kind="phone-only" onClick=${onClose} />
    </header>
    <div class="sidebar-tools">
      <a class="new-chat" href="#/" title="New chat (Ctrl+Shift+O)" onClick=${onClose}>
        <${Icon} name="plus" />New chat
      </a>
      <label class="search">
        <${Icon} name="search" />
        <input
          id="search" type="search" placeholder="Search chats" aria-label="Search chats" autocomplete="off"
          value=${filter} onInput=${(event) => setFilter(event.target.value)}
          onKeyDown=${leaveSearch}
        />
        <kbd aria-hidden="true">${/Mac|iPhone|iPad/.test(navigator.userAgent) ? "⌘K" : "Ctrl K"}</kbd>
      </label>
    </div>
    <nav class="thread-list" aria-label="Chats">
      ${grouped(found).map(
        ([name, group]) => html`<section key=${name}>
          <h2>${name}</h2>
          <ul>
            ${group.map(
              (thread) => html`<${ThreadRow}
                key=${thread.id} thread=${thread} open=${thread.id === openId}
                onOpen=${onClose} onRename=${rename} onRemove=${remove}
              />`,
            )}
          </ul>
        </section>`,
      )}
      ${
        loaded &&
        found.length === 0 &&
        html`<p class="thread-none">
        ${filter ? "No chat has these words in its name." : "Your chats will be listed here."}
      </p>`
      }
      ${
        !complete &&
        loaded &&
        list.length > 0 &&
        html`<button class="quiet-button thread-more" type="button" onClick=${() => threads.more().catch(onProblem)}>
        Show older chats
      </button>`
      }
    </nav>
    <footer class="sidebar-foot">
      <span class="user" title=${version ? `Pilothouse ${version}` : null}>${user || "Local user"}</span>
      <${ThemeSwitch} />
    </footer>
  </aside>`;
}

function ThreadRow({ thread, open, onOpen, onRename, onRemove }) {
  const [editing, setEditing] = useState(false);
  if (editing) {
    return html`<li class="thread editing">
      <${TitleField}
        title=${thread.title}
        onDone=${(title) => {
          setEditing(false);
          if (title && title !== thread.title) onRename(thread, title);
        }}
      />
    </li>`;
  }
  return html`<li class=${`thread ${open ? "open" : ""}`}>
    <a
      href=${`#/t/${thread.id}`} aria-current=${open ? "page" : null} title=${thread.title}
      onClick=${onOpen} onDblClick=${() => setEditing(true)}
    >
      <span class="thread-title">${thread.title}</span>
      ${thread.busy && html`<span class="thread-busy" role="img" aria-label="answering"></span>`}
      ${thread.waiting && html`<span class="thread-waiting" role="img" aria-label="waits for you"></span>`}
    </a>
    <span class="thread-actions">
      <${IconButton}
        icon="pencil" label=${`Rename “${thread.title}”`} tip="Rename" onClick=${() => setEditing(true)}
      />
      <${IconButton}
        icon="trash" label=${`Delete “${thread.title}”`} tip="Delete" onClick=${() => onRemove(thread)}
      />
    </span>
  </li>`;
}

function TitleField({ title, onDone }) {
  const field = useRef(null);
  const done = useRef(false);
  useEffect(() => field.current.select(), []);
  const finish = (value) => {
    if (done.current) return;
    done.current = true;
    onDone(value?.trim());
  };
  return html`<input
    ref=${field} class="thread-rename" value=${title} maxlength="120" aria-label="Name of the chat" autofocus
    onBlur=${(event) => finish(event.target.value)}
    onKeyDown=${(event) => {
      if (event.key === "Enter") finish(event.target.value);
      if (event.key === "Escape") finish(null);
      event.stopPropagation();
    }}
  />`;
}
