// Whether the server answers. While it doesn't, it is asked again and again, ever more slowly, until it does.

import * as api from "./api.js";
import { createStore } from "./state.js";

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 6_000;
const GONE_AFTER_MS = 3_000;
const IDLE_CHECK_MS = 20_000;
const PREPARING_CHECK_MS = 1000;
const EARLY_CHECKS_MS = [1_500, 4_000, 9_000];

/**
 * The store holds `phase` (`connecting`, `connected`, `reconnecting`, then `gone` when that lasts, or `refused` where the
 * server wants to know who we are) and `info`, the
 * server's own description of itself, read again after every loss: another version may have come back.
 */
export function createConnection() {
  const store = createStore({ phase: "connecting", info: null });
  let waiters = [];
  let wake = null;
  let polling = false;

  const pause = (ms) =>
    new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });

  /** Null if the server answers, else the phase to show after `ms` of asking. */
  async function trouble(ms) {
    try {
      await api.ok();
      store.set({ info: await api.info() });
      return null;
    } catch (error) {
      if (error.status === 401 || error.status === 403) return "refused";
      if (ms > GONE_AFTER_MS) return "gone";
      return store.get().phase === "connecting" ? "connecting" : "reconnecting";
    }
  }

  async function poll() {
    if (polling) return;
    polling = true;
    const since = performance.now();
    let wait = FIRST_WAIT_MS;
    for (let phase; (phase = await trouble(performance.now() - since));) {
      store.set({ phase });
      await pause(wait * (0.8 + 0.4 * Math.random()));
      wait = Math.min(wait * 1.6, LONGEST_WAIT_MS);
    }
    polling = false;
    store.set({ phase: "connected" });
    for (const resolve of waiters.splice(0)) resolve();
  }

  /** A request found nobody: look for the server. */
  function lost() {
    if (store.get().phase === "connected") store.set({ phase: "reconnecting" });
    poll();
  }

  /** Wait until the server answers. Rejects when `signal` aborts. */
  function back(signal) {
    if (!polling) return Promise.resolve();
    return new Promise((resolve, reject) => {
      waiters.push(resolve);
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
  }

  /** Is it still there, and does it still say the same of itself? Agents load for a while after the server answers. */
  async function check() {
    if (polling || document.hidden) return;
    try {
      const info = await api.info();
      if (JSON.stringify(info) !== JSON.stringify(store.get().info)) store.set({ info });
      if (info.preparing) setTimeout(check, PREPARING_CHECK_MS);
    } catch {
      lost();
    }
  }

  function start() {
    poll();
    setInterval(check, IDLE_CHECK_MS);
    for (const ms of EARLY_CHECKS_MS) setTimeout(check, ms);
    const hurry = () => (polling ? wake?.() : check());
    addEventListener("online", hurry);
    addEventListener("offline", lost);
    document.addEventListener("visibilitychange", () => document.hidden || hurry());
  }

  return { ...store, start, lost, back };
}
