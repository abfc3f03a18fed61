// Where to start from when a question is asked anew: the checkpoint before it.

import { getHistory } from "./api.js";

const PAGE = 20;

const holds = (snapshot, messageId) =>
  (snapshot.values?.messages ?? []).some((message) => message.id === messageId);

/**
 * The newest checkpoint on the thread's present line that does not hold the message, or null if there is none. A thread
 * whose questions were edited has several lines: parents lead from the present one back.
 */
export async function checkpointBefore(threadId, messageId) {
  const known = new Map();
  let snapshot = null;
  let before = null;
  for (;;) {
    const page = await getHistory(threadId, { limit: PAGE, ...(before && { before }) });
    for (const found of page) known.set(found.checkpoint.checkpoint_id, found);
    snapshot ??= page[0] ?? null;
    while (snapshot && holds(snapshot, messageId)) {
      const parent = snapshot.parent_checkpoint;
      if (!parent) return null;
      if (!known.has(parent.checkpoint_id)) break;
      snapshot = known.get(parent.checkpoint_id);
    }
    if (!snapshot) return null;
    if (!holds(snapshot, messageId)) return snapshot.checkpoint;
    if (page.length < PAGE) return snapshot.parent_checkpoint;
    before = page.at(-1).checkpoint;
  }
}
