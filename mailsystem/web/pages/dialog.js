// Windows over the page: questions, menus, and a picker with a filter. Escape closes them; focus returns where it was.
import { h, icon } from "./dom.js";

export function open(content, { label, kind = "", onclose = null } = {}) {
  const before = document.activeElement;
  const made = h("dialog", { class: kind, "aria-label": label }, content);
  made.addEventListener("close", () => { made.remove(); onclose?.(); if (before?.isConnected) before.focus({ preventScroll: true }); });
  made.addEventListener("pointerdown", (event) => { if (event.target === made) made.close(); });
  document.body.append(made);
  made.showModal();
  return made;
}

export function confirm({ title, words, action, run }) {
  const made = open(h("form", { method: "dialog", class: "ask" }, h("h2", {}, title), h("p", {}, words), h("div", { class: "buttons" },
    h("button", { value: "no", autofocus: true }, "Cancel"), h("button", { class: "bad", value: "yes" }, action))), { label: title });
  made.addEventListener("close", () => made.returnValue === "yes" && run());
}

/** A menu at a button or a point. Entries: {label, icon, key, run, on}, "-" for a line, {words}. */
export function menu(entries, at, label = "Menu") {
  const made = h("dialog", { class: "menu", "aria-label": label });
  const choose = (entry) => { made.close(); entry.run(); };
  made.append(h("div", { role: "menu" }, entries.filter(Boolean).map((entry) => (entry === "-" ? h("hr") : entry.words ? h("p", {}, entry.words)
    : h("button", { type: "button", role: "menuitem", onclick: () => choose(entry) }, icon(entry.icon || "right"), entry.label, entry.on ? icon("check", "end") : entry.key && h("kbd", {}, entry.key))))));
  made.addEventListener("close", () => made.remove());
  made.addEventListener("pointerdown", (event) => { if (event.target === made) made.close(); });
  made.addEventListener("keydown", (event) => {
    const all = [...made.querySelectorAll("button")], step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    all.at((all.indexOf(document.activeElement) + step + all.length) % all.length).focus();
  });
  document.body.append(made);
  made.showModal();
  const box = at instanceof Element ? at.getBoundingClientRect() : { left: at.x, right: at.x, top: at.y, bottom: at.y };
  const own = made.getBoundingClientRect();
  made.style.left = `${Math.max(8, Math.min(innerWidth - own.width - 8, at instanceof Element ? box.right - own.width : box.left))}px`;
  made.style.top = `${Math.max(8, Math.min(innerHeight - own.height - 8, box.bottom + 4))}px`;
  return made;
}

/** Things to choose from, filtered as one types: `find(words)` gives [{label, hint, key, icon, run}]. */
export function pick({ title, placeholder, find, empty = "There is nothing to choose from." }) {
  let found = [], at = 0;
  const input = h("input", { type: "text", placeholder, "aria-label": title, role: "combobox", "aria-expanded": "true", "aria-controls": "picked", autocomplete: "off", spellcheck: false });
  const shown = h("div", { role: "listbox", id: "picked", "aria-label": title, class: "picked" });
  const made = open(h("div", {}, h("div", { class: "pick-head" }, icon("search"), input, h("kbd", {}, "Esc")), shown), { label: title, kind: "pick" });
  const draw = () => {
    found = find(input.value.trim());
    at = Math.min(at, Math.max(0, found.length - 1));
    shown.replaceChildren(...(found.length ? found.map((entry, index) => h("div", { role: "option", id: `pick-${index}`, class: index === at ? "on" : "", "aria-selected": String(index === at), onclick: () => choose(index), onpointermove: () => index !== at && point(index) },
      icon(entry.icon || "right"), h("span", { class: "what" }, entry.label), entry.hint && h("span", { class: "hint num" }, entry.hint), entry.key && h("kbd", {}, entry.key))) : [h("div", { class: "none", role: "option", id: "pick-0", "aria-disabled": "true", "aria-selected": "false" }, input.value.trim() ? "Nothing of that name." : empty)]));
    input.setAttribute("aria-activedescendant", `pick-${at}`);
  };
  const point = (to) => {
    shown.children[at]?.classList.remove("on"); shown.children[at]?.setAttribute("aria-selected", "false");
    at = (to + found.length) % found.length;
    shown.children[at]?.classList.add("on"); shown.children[at]?.setAttribute("aria-selected", "true");
    shown.children[at]?.scrollIntoView({ block: "nearest" });
    input.setAttribute("aria-activedescendant", `pick-${at}`);
  };
  const choose = (index) => { const entry = found[index]; if (entry) { made.close(); entry.run(); } };
  input.addEventListener("input", () => { at = 0; draw(); });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); if (found.length) point(at + (event.key === "ArrowDown" ? 1 : -1)); }
    else if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); choose(at); }
  });
  draw();
  input.focus();
}

/** How well words fit a label: 0 for not at all. Letters in order are enough; the beginning of a word is better. */
export function fits(label, words) {
  if (!words) return 1;
  const text = label.toLowerCase(), asked = words.toLowerCase(), at = text.indexOf(asked);
  if (at === 0) return 4;
  if (at > 0) return /\W/.test(text[at - 1]) ? 3 : 2;
  let from = 0;
  for (const sign of asked.replace(/\s+/g, "")) { from = text.indexOf(sign, from) + 1; if (!from) return 0; }
  return 1;
}
