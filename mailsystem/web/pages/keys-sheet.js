// The sheet behind `?`: every action and its keys.
import { open } from "./dialog.js";
import { h } from "./dom.js";

export function show_keys(commands) {
  const groups = new Map();
  for (const command of commands) groups.set(command.group, [...(groups.get(command.group) || []), command]);
  const mac = /Mac|iP(hone|ad|od)/.test(navigator.platform);
  const part = (key) => ({ Mod: mac ? "⌘" : "Ctrl", Shift: "⇧", ArrowDown: "↓", ArrowUp: "↑", Delete: "Del", Escape: "Esc", Enter: "↵", Backspace: "⌫", PageDown: "PgDn", PageUp: "PgUp" })[key] || key;
  const drawn = (key) => h("span", { class: "combo" }, key.split(/[ +]/).map((one) => h("kbd", {}, part(one))));
  open(h("div", { class: "keys-sheet" }, h("header", {}, h("h2", {}, "Keys"), h("p", { class: "quiet" }, "Every action has one. Click with Ctrl to mark, with Shift to mark a range. In the views of the server, j and k go through the rows, Del removes one, n begins a new one.")),
    h("div", { class: "columns", tabindex: "0" }, [...groups].map(([group, all]) => h("section", {}, h("h3", {}, group), h("dl", {}, all.map((command) => h("div", {}, h("dt", {}, command.label), h("dd", {}, command.keys.map(drawn)))))))),
    h("form", { method: "dialog" }, h("button", { autofocus: true }, "Close"))), { label: "Keys", kind: "keys" });
}
