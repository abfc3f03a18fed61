// Above the chat: which agent answers, and whether the server does.

import { html } from "../html.js";
import { IconButton } from "./buttons.js";
import { Icon } from "./icons.js";

const PHASES = {
  connecting: "Connecting…",
  connected: "Connected",
  reconnecting: "Reconnecting…",
  gone: "Server gone, still trying",
  refused: "Access refused",
};

export function Topbar({ agents, agent, phase, info, onMenu, onAgent }) {
  return html`<header class="topbar">
    <${IconButton} icon="menu" label="Open the list of chats" kind="phone-only" onClick=${onMenu} />
    <${AgentPicker} agents=${agents} agent=${agent} onAgent=${onAgent} />
    <button
      class=${`status ${phase}`} type="button" popovertarget="status-card"
      aria-label=${`${PHASES[phase]}. ${agent?.model ?? ""}`}
    >
      <i></i>
      <span class="status-model">${phase === "connected" ? (agent?.model ?? "Connected") : PHASES[phase]}</span>
    </button>
    <div id="status-card" class="card" popover="auto">
      <dl>
        <div>
          <dt>Server</dt>
          <dd>${PHASES[phase]}${phase === "connected" && `, Pilothouse ${info.version}`}</dd>
        </div>
        ${agent && html`<div><dt>Agent</dt><dd>${agent.name}</dd></div>`}
        ${agent?.model && html`<div><dt>Model</dt><dd>${agent.model}</dd></div>`}
        ${agent?.notice && html`<div><dt>Note</dt><dd>${agent.notice}</dd></div>`}
      </dl>
    </div>
  </header>`;
}

function AgentPicker({ agents, agent, onAgent }) {
  if (agents.length < 2 && !agents.some((other) => other.problem)) {
    return html`<span class="agent-name">${agent?.name ?? ""}</span>`;
  }
  const choose = (other, event) => {
    onAgent(other.agent_id);
    event.target.closest("[popover]").hidePopover();
  };
  return html`<div class="agent-picker">
    <button class="agent-name agent-button" type="button" popovertarget="agent-card">
      ${agent?.name ?? "No agent"}<${Icon} name="chevron" />
    </button>
    <div id="agent-card" class="card" popover="auto" role="group" aria-label="Agents">
      ${agents.map(
        (other) => html`<button
          key=${other.agent_id} type="button" class="agent" disabled=${Boolean(other.problem)}
          aria-pressed=${other === agent} onClick=${(event) => choose(other, event)}
        >
          <span class="agent-title">${other.name}</span>
          ${other === agent && html`<${Icon} name="check" />`}
          <small class=${other.problem ? "problem" : ""}>${other.problem ?? other.description ?? other.model ?? ""}</small>
        </button>`,
      )}
    </div>
  </div>`;
}
