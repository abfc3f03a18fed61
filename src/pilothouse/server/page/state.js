// A store holds one immutable value and tells its readers when another takes its place.

import { useEffect, useState } from "./html.js";

export function createStore(initial) {
  let value = initial;
  const readers = new Set();
  return {
    get: () => value,

    /** Merge a patch, or what a function of the present value returns. */
    set(patch) {
      value = { ...value, ...(typeof patch === "function" ? patch(value) : patch) };
      for (const read of [...readers]) read(value);
    },

    /** Call `read` after each change; returns the function that ends it. */
    subscribe(read) {
      readers.add(read);
      return () => readers.delete(read);
    },
  };
}

/** A component's view of a store: it renders again when what `select` picks has changed. */
export function useStore(store, select = (value) => value) {
  const [picked, setPicked] = useState(() => select(store.get()));
  useEffect(() => {
    const update = () => setPicked(() => select(store.get()));
    update();
    return store.subscribe(update);
  }, [store]);
  return picked;
}

/** What the page remembers in this browser. Where storage is off, nothing is remembered. */
export const memory = {
  get(key) {
    try {
      return localStorage.getItem(`pilothouse.${key}`);
    } catch {
      return null;
    }
  },
  set(key, value) {
    try {
      if (value === null) localStorage.removeItem(`pilothouse.${key}`);
      else localStorage.setItem(`pilothouse.${key}`, value);
    } catch {
      // Storage is off or full.
    }
  },
};

/** A fresh id. `crypto.randomUUID` exists only on https and localhost. */
export function newId() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
