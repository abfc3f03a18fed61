// The page: a chat with the agents that this server has.
//
// How data flows
//
//   api.js           one function for each call of the Agent Protocol
//   stream.js        a run's events, over as many connections as it takes
//   connection.js    whether the server answers                      ┐
//   threads.js       the list of chats                               ├ stores: values that change
//   conversation.js  the open chat                                   ┘
//   transcript.js    what a conversation shows, as a plain value; frames of a run move it on
//   views/           functions from those values to elements; what one does there calls a store
//   markdown.js      text of a model to elements, safely: the only place that makes elements of markup
//
// The address says which chat is open (`#/t/ID`, `#/` for a new one); everything else follows from it and from the server.

import { createConnection } from "./connection.js";
import { createConversation } from "./conversation.js";
import { html, render, useEffect, useMemo, useRef, useState } from "./html.js";
import { useShortcuts } from "./shortcuts.js";
import { memory, useStore } from "./state.js";
import { createThreads } from "./threads.js";
import { Announcer, Notice, Preparing, Toast } from "./views/announcements.js";
import { Chat } from "./views/chat.js";
import { Composer } from "./views/composer.js";
import { Sidebar } from "./views/sidebar.js";
import { Topbar } from "./views/topbar.js";
import { Welcome } from "./views/welcome.js";

const BUSY_CHECK_MS = 5_000;

const threadInAddress = () => location.hash.match(/^#\/t\/([^/?]+)/)?.[1] ?? null;

const connection = createConnection();
const threads = createThreads();
const conversation = createConversation({
  link: connection,
  threads,
  whoAnswers: (id) => agentOf(connection.get().info?.agents ?? [], id)?.agent_id,
  onCreated: (id) => history.replaceState(null, "", `#/t/${id}`),
});

function openFromAddress() {
  const id = threadInAddress();
  const { threadId, phase } = conversation.get();
  if (id !== null && id === threadId && phase !== "failed") return;
  conversation.open(id, id ? null : memory.get("agent"));
}

/** The agent that answers here: the chat's own, else the first that works. */
function agentOf(agents, id) {
  return agents.find((agent) => agent.agent_id === id) ?? agents.find((agent) => !agent.problem) ?? null;
}

/** An agent without a name of its own goes by its id, written as a name. */
function withName(agent) {
  if (agent.name !== agent.agent_id) return agent;
  const words = agent.agent_id.replaceAll(/[-_]+/g, " ");
  return { ...agent, name: words.charAt(0).toUpperCase() + words.slice(1) };
}

const narrow = matchMedia("(max-width: 52rem)"); // as in page.css

function useThreadList(phase, busyElsewhere) {
  useEffect(() => {
    if (phase !== "connected" || !busyElsewhere) return undefined;
    const timer = setInterval(() => threads.refresh().catch(() => connection.lost()), BUSY_CHECK_MS);
    return () => clearInterval(timer);
  }, [phase, busyElsewhere]);
  useEffect(() => {
    if (phase !== "connected") return undefined;
    const refresh = () => threads.refresh().catch(() => connection.lost());
    const onReturn = () => {
      if (document.hidden) return;
      refresh();
      conversation.refresh();
    };
    refresh();
    document.addEventListener("visibilitychange", onReturn);
    return () => document.removeEventListener("visibilitychange", onReturn);
  }, [phase]);
}

function App() {
  const { phase, info } = useStore(connection);
  const { threadId, agentId, run, transcript, phase: chatPhase } = useStore(conversation);
  const { list } = useStore(threads);
  const [drawer, setDrawer] = useState(false);
  const [editing, setEditing] = useState(null);
  const [problem, setProblem] = useState(null);
  useThreadList(
    phase,
    list.some((thread) => thread.busy && thread.id !== threadId),
  );

  const thread = list.find((other) => other.id === threadId);
  const agents = useMemo(() => (info?.agents ?? []).map(withName), [info]);
  const agent = agentOf(agents, agentId);
  useEffect(() => {
    document.title = thread ? `${thread.title} · Pilothouse` : "Pilothouse";
  }, [thread?.title]);
  useEffect(() => setEditing(null), [threadId]);

  const canSend = Boolean(agent) && !agent.problem && chatPhase !== "loading" && chatPhase !== "missing";
  const openDrawer = () => setDrawer(narrow.matches);
  const closeDrawer = () => setDrawer(false);
  const wasDrawn = useRef(false);
  useEffect(() => {
    if (drawer) document.querySelector(".sidebar-head button").focus();
    else if (wasDrawn.current) document.querySelector(".topbar button").focus();
    wasDrawn.current = drawer;
  }, [drawer]);
  const editLast = () => {
    const last = transcript.messages.findLast((message) => message.role === "human");
    if (last && !run) setEditing(last.id);
  };
  const undo = () => {
    const restored = threads.undo();
    if (restored) location.hash = `#/t/${restored.id}`;
  };
  useShortcuts({
    stop: () => run && conversation.stop(),
    showList: openDrawer,
    closeList: closeDrawer,
    drawer,
  });

  return html`<div class=${`page ${drawer ? "drawer-open" : ""}`}>
    <${Sidebar}
      threads=${threads} openId=${threadId} user=${nameOf(info?.user)} version=${info?.version} onClose=${closeDrawer}
      onRemoved=${(id) => id === threadId && (location.hash = "#/")} onProblem=${(error) => setProblem(error.message)}
    />
    <div class="drawer-shade" onClick=${closeDrawer}></div>
    <main inert=${drawer}>
      <${Topbar}
        agents=${agents} agent=${agent} phase=${phase} info=${info} onMenu=${openDrawer}
        onAgent=${(id) => (memory.set("agent", id), conversation.chooseAgent(id))}
      />
      <${Chat}
        conversation=${conversation} phase=${phase} canSend=${canSend} editing=${editing} setEditing=${setEditing}
      >
        ${chatPhase === "empty" && html`<${Welcome} canSend=${canSend} onAsk=${conversation.send} />`}
      <//>
      <div class="dock">
        <${Preparing} task=${info?.preparing} />
        <${Notice} text=${agent?.notice} />
        <${Composer}
          threadId=${threadId} running=${Boolean(run)} stopping=${run?.stopping} canSend=${canSend}
          blockedBy=${info && !agent ? "No agent can answer: see the list above" : null}
          onSend=${conversation.send} onStop=${conversation.stop} onEditLast=${editLast}
        />
        <p class="fine-print">Answers can be wrong. Look at the tool calls for what was computed.</p>
      </div>
    </main>
    <${Toast} threads=${threads} problem=${problem} onUndo=${undo} onProblemSeen=${() => setProblem(null)} />
    <${Announcer} conversation=${conversation} phase=${phase} />
  </div>`;
}

/** Who is shown at the foot of the list; nobody is named where this machine's user is the only one. */
const nameOf = (user) => (user === "local" ? null : user);

render(html`<${App} />`, document.getElementById("app"));
addEventListener("hashchange", openFromAddress);
connection.start();
openFromAddress();
