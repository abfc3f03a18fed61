// The page's icons: strokes on a 20 × 20 grid.

import { html } from "../html.js";

const PATHS = {
  plus: "M10 4.5v11M4.5 10h11",
  search: "M9 14.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11ZM13 13l3.5 3.5",
  menu: "M3.5 6h13M3.5 10h13M3.5 14h9",
  close: "M5.5 5.5l9 9M14.5 5.5l-9 9",
  pencil: "M4 16l.7-3.2L13 4.5a1.4 1.4 0 0 1 2 0l.5.5a1.4 1.4 0 0 1 0 2l-8.3 8.3L4 16ZM11.8 5.7l2.5 2.5",
  trash: "M4 6h12M8 6V4.2h4V6M5.5 6l.7 9.8h7.6l.7-9.8M8.5 9v4M11.5 9v4",
  copy: "M7.5 7.5h8v8h-8zM12.5 7.5v-3h-8v8h3",
  check: "M4.5 10.5l3.5 3.5 7.5-8",
  retry: "M15.5 8.2A6 6 0 1 0 16 11.4M15.8 4.4v3.9h-3.9",
  up: "M10 15.5v-11M5.5 9 10 4.5 14.5 9",
  down: "M10 4.5v11M5.5 11l4.5 4.5 4.5-4.5",
  chevron: "M6 8l4 4 4-4",
  sun: "M10 13.2a3.2 3.2 0 1 0 0-6.4 3.2 3.2 0 0 0 0 6.4ZM10 2.5v1.7M10 15.8v1.7M2.5 10h1.7M15.8 10h1.7M4.7 4.7l1.2 1.2M14.1 14.1l1.2 1.2M15.3 4.7l-1.2 1.2M5.9 14.1l-1.2 1.2",
  moon: "M16.2 12A6.7 6.7 0 0 1 8 3.8 6.7 6.7 0 1 0 16.2 12Z",
  system: "M3.5 4.5h13v8.5h-13zM7.5 16h5M10 13v3",
  tool: "M12.7 3.9a3.9 3.9 0 0 0-4.9 5L3.6 13a1.8 1.8 0 0 0 0 2.5l.9.9a1.8 1.8 0 0 0 2.5 0l4.1-4.2a3.9 3.9 0 0 0 5-4.9l-2.5 2.4-2.6-.7-.7-2.6z",
  alert: "M10 3.6 17.2 16H2.8zM10 8.4v3.4M10 13.9v.1",
  hand: "M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14ZM8 8v4M12 8v4",
};

export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 20 20" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
}

/** The same, for code that makes elements itself. */
export function iconElement(name) {
  const space = "http://www.w3.org/2000/svg";
  const icon = document.createElementNS(space, "svg");
  icon.setAttribute("class", "icon");
  icon.setAttribute("viewBox", "0 0 20 20");
  icon.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", PATHS[name]);
  icon.append(path);
  return icon;
}

/** A pilothouse from ahead: three raked windows between roof and deck. */
export function Mark() {
  return html`<svg class="mark" viewBox="0 0 32 32" aria-hidden="true">
    <rect class="mark-hull" width="32" height="32" rx="8" />
    <path class="mark-glass" d="M5 12h6.7l.4 7H6.8zM13 12h6l-.2 7h-5.6zM20.3 12H27l-1.8 7h-5.3z" />
    <path class="mark-deck" d="M4.6 8.8h22.8M8 22.4h16" />
  </svg>`;
}
