// The keyboard: one key, a key with another, or two keys one after the other ("g i").
import { state } from "./state.js";

const typing = (target) => target.closest?.("input, textarea, select, [contenteditable]");
let first = null, forget = 0;

export function listen(commands, { possible, run, tab }) {
  const table = new Map();
  for (const command of commands) for (const key of command.keys) table.set(key, [...(table.get(key) || []), command]);
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]") || !state.info) return;
    const mod = event.ctrlKey || event.metaKey;
    if (typing(event.target) && !(mod && event.key === "k")) return;
    if (event.altKey || ["Shift", "Control", "Meta"].includes(event.key)) return;
    // Enter and Space belong to the button that has the focus; arrows to the separator or the tab.
    if ((event.key === "Enter" || event.key === " ") && !mod && event.target.closest("button, a, [role=tab], summary")) return;
    if (event.key.startsWith("Arrow") && event.target.closest("[role=separator], [role=tab], [role=tree], pre, .scrolls")) return;
    if (/^(Arrow|Page|Home|End)/.test(event.key) && !mod && scrolls(event.target.closest(".reading"))) return;
    const name = spelled(event, mod);
    const pair = first && `${first} ${name}`;
    first = null;
    clearTimeout(forget);
    const found = (pair && table.get(pair)) || table.get(name);
    const command = found?.find(possible);
    if (command) { event.preventDefault(); return run(command.id); }
    if (name === "g") { first = "g"; forget = setTimeout(() => { first = null; }, 1500); return; }
    if (/^[1-9]$/.test(name) && tab(Number(name) - 1)) event.preventDefault();
  });
}

/** Whether the keys that scroll belong to the message: it has the focus, and more than can be seen. */
const scrolls = (pane) => pane && pane.scrollHeight > pane.clientHeight + 2;

function spelled(event, mod) {
  if (event.key === " ") return `${mod ? "Mod+" : ""}${event.shiftKey ? "Shift+" : ""}Space`;
  if (mod) return `Mod+${event.key.length === 1 ? event.key.toLowerCase() : event.key}`;
  if (event.shiftKey && (event.key.length > 1 || /^[A-Z]$/.test(event.key)) && event.key !== "G") return `Shift+${event.key}`;
  return event.key;
}
