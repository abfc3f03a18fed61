// The list of chats: newest first, a page at a time; new, renamed and deleted ones.

import * as api from "./api.js";
import { createStore } from "./state.js";

const PAGE = 40;
const UNDO_MS = 6_000;
const TITLE_LENGTH = 72;

/** A thread as the page shows it. */
function toThread(raw) {
  return {
    id: raw.thread_id,
    title: raw.metadata?.title || "Untitled chat",
    updatedAt: Date.parse(raw.updated_at ?? raw.created_at),
    busy: raw.status === "busy",
    waiting: raw.status === "interrupted",
  };
}

/** A chat's name: the first line of its first question. */
export function titleFor(question) {
  const line = question.trim().split("\n", 1)[0].replace(/\s+/g, " ");
  return line.length <= TITLE_LENGTH ? line : `${line.slice(0, TITLE_LENGTH - 1).trimEnd()}…`;
}

/** The store holds `list`, `complete` (nothing more to load), `loaded` and `deleted` (what can still be undone). */
export function createThreads() {
  const store = createStore({ list: [], complete: false, loaded: false, deleted: null });
  const hidden = new Set();

  function merge(found) {
    const byId = new Map(store.get().list.map((thread) => [thread.id, thread]));
    for (const thread of found) byId.set(thread.id, thread);
    return newestFirst([...byId.values()]);
  }

  const newestFirst = (list) =>
    list.filter((thread) => !hidden.has(thread.id)).sort((a, b) => b.updatedAt - a.updatedAt);

  const change = (id, patch) =>
    store.set(({ list }) => ({
      list: newestFirst(list.map((thread) => (thread.id === id ? { ...thread, ...patch } : thread))),
    }));

  /** Read the newest page again; threads that are gone from it go from the list, but not those made since it was asked for. */
  async function refresh() {
    const asked = performance.now();
    const found = (await api.searchThreads({ limit: PAGE, offset: 0 })).map(toThread);
    const oldest = found.length < PAGE ? -Infinity : found.at(-1).updatedAt;
    const kept = store.get().list.filter((thread) => thread.updatedAt < oldest || thread.madeAt >= asked);
    const list = newestFirst([
      ...found,
      ...kept.filter((thread) => !found.some(({ id }) => id === thread.id)),
    ]);
    store.set(({ complete }) => ({
      list,
      loaded: true,
      complete: found.length < PAGE || (complete && kept.length > 0),
    }));
  }

  async function more() {
    if (store.get().complete) return;
    const found = (await api.searchThreads({ limit: PAGE, offset: store.get().list.length })).map(toThread);
    store.set({ list: merge(found), complete: found.length < PAGE });
  }

  async function create(question, agent) {
    const made = toThread(await api.createThread({ title: titleFor(question), graph_id: agent }));
    const thread = { ...made, madeAt: performance.now() };
    store.set({ list: merge([thread]) });
    return thread;
  }

  const touch = (id, patch = {}) => change(id, { updatedAt: Date.now(), ...patch });

  async function rename(id, title) {
    const before = store.get().list.find((thread) => thread.id === id)?.title;
    change(id, { title });
    try {
      await api.updateThread(id, { title });
    } catch (error) {
      change(id, { title: before });
      throw error;
    }
  }

  /** Take a chat off the list now, and delete it when the time to undo is over. */
  function remove(id) {
    flush();
    const thread = store.get().list.find((other) => other.id === id);
    if (!thread) return;
    hidden.add(id);
    const timer = setTimeout(flush, UNDO_MS);
    store.set(({ list }) => ({ list: newestFirst(list), deleted: { thread, timer } }));
  }

  function undo() {
    const { deleted } = store.get();
    if (!deleted) return null;
    clearTimeout(deleted.timer);
    hidden.delete(deleted.thread.id);
    store.set({ list: merge([deleted.thread]), deleted: null });
    return deleted.thread;
  }

  function flush() {
    const { deleted } = store.get();
    if (!deleted) return;
    clearTimeout(deleted.timer);
    store.set({ deleted: null });
    api.deleteThread(deleted.thread.id, true).catch((error) => {
      if (error.status === 404) return;
      hidden.delete(deleted.thread.id);
      store.set({ list: merge([deleted.thread]) });
    });
  }

  addEventListener("pagehide", flush);
  return { ...store, refresh, more, create, touch, rename, remove, undo };
}
