// Light, dark, or as the system has it; remembered in this browser.

import { html, useState } from "../html.js";
import { memory } from "../state.js";
import { IconButton } from "./buttons.js";

const NEXT = { system: "light", light: "dark", dark: "system" };
const ICONS = { system: "system", light: "sun", dark: "moon" };

export function ThemeSwitch() {
  const [theme, setTheme] = useState(document.documentElement.dataset.theme ?? "system");
  const turn = () => {
    const next = NEXT[theme];
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    memory.set("theme", next === "system" ? null : next);
    setTheme(next);
  };
  const label = `Theme: ${theme}. Change to ${NEXT[theme]}`;
  return html`<${IconButton} icon=${ICONS[theme]} label=${label} kind="theme-switch" onClick=${turn} />`;
}
