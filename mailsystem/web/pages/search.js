// Search as one types: operators are coloured, completed and explained; the server says what it understood.
import { get } from "./api.js";
import { $, h, icon, later } from "./dom.js";
import { emit, on, state } from "./state.js";

const OPERATORS = [
  ["from:", "who it is from", "from:ann@shop.test"], ["to:", "who it is to", "to:@shop.test"], ["cc:", "a copy to"], ["bcc:", "a hidden copy to"], ["reply-to:", "answers go to"], ["addressed:", "anybody it names"],
  ["envelope-from:", "who sent it, by the envelope", "envelope-from:@shop.test"], ["envelope-to:", "for whom it came, by the envelope", "envelope-to:ann@shop.test"],
  ["subject:", "in the subject", 'subject:"your order"'], ["body:", "in the text"], ["header:", "in a header field", "header:X-Mailer=php"],
  ["is:unread", "not read yet"], ["is:read", "read"], ["is:pinned", "pinned"], ["is:answered", "answered"], ["is:tagged", "with any tag"], ["tag:", "with this tag", "tag:invoice"],
  ["has:attachment", "with attachments"], ["has:inline", "with inline parts"], ["attachment:", "a file’s name", "attachment:*.pdf"], ["type:", "a file’s type", "type:image/*"],
  ["since:", "came in the last …", "since:5m"], ["on:", "came that day", "on:yesterday"], ["before:", "came before", "before:2026-11-01"], ["larger:", "larger than", "larger:1M"], ["smaller:", "smaller than"],
  ["in:", "in a mailbox", "in:Trash"], ["message-id:", "with this Message-ID"], ["OR", "either of two"], ["-", "not", "-is:read"], ["(", "grouped", "(from:ann OR from:ben)"],
];
const VALUES = { "in:": () => state.mailboxes.map((box) => box.name), "tag:": () => [...state.tags.keys()], "to:": () => logins(), "from:": () => logins() };
const logins = () => state.accounts.map((one) => one.login).filter((login) => login.includes("@")).slice(0, 300);

const input = h("input", { type: "text", id: "search", placeholder: "Search", autocomplete: "off", autocapitalize: "off", spellcheck: false, role: "combobox", "aria-label": "Search", "aria-expanded": "false", "aria-controls": "completions", "aria-autocomplete": "list", enterkeyhint: "search" });
const mirror = h("span", { class: "mirror", "aria-hidden": "true" });
const found = h("div", { class: "completions", id: "completions", role: "listbox", "aria-label": "Operators", tabIndex: -1, hidden: true });
const clear = h("button", { type: "button", class: "bare", "aria-label": "Clear the search", title: "Clear  Esc", hidden: true, onclick: () => { input.value = ""; typed(); input.focus(); } }, icon("close"));
let choices = [], at = -1;

export function start() {
  $(".search").append(icon("search"), h("span", { class: "line" }, mirror, input), clear, h("kbd", {}, "/"), found);
  input.addEventListener("input", typed);
  input.addEventListener("scroll", follow);
  input.addEventListener("focus", complete);
  input.addEventListener("blur", () => setTimeout(close, 120));
  input.addEventListener("click", complete);
  input.addEventListener("keydown", pressed);
  on("search-focus", () => { input.focus(); input.select(); });
  on("routed", () => { if (input.value.trim() !== state.query) input.value = state.query; paint(); explain(); });
}

function typed() { paint(); complete(); send(); }
const send = later(() => { const query = input.value.trim(); if (query !== state.query || state.view !== "mail") emit("go", { view: "mail", query, typing: true }); }, 140);

/** The text again, beneath the transparent field, with its operators in colour. */
function paint() {
  const text = input.value;
  clear.hidden = !text;
  const parts = [];
  let from = 0;
  for (const part of text.matchAll(/"[^"]*"?|[!-]?[a-z][\w-]*:|\bOR\b|\bAND\b|\bNOT\b|[()]/g)) {
    const word = part[0].startsWith('"');
    parts.push(text.slice(from, part.index), h("span", { class: word ? "quote" : "op" }, part[0]));
    from = part.index + part[0].length;
  }
  mirror.replaceChildren(...parts, text.slice(from));
  follow();
}
const follow = () => mirror.style.setProperty("transform", `translateX(${-input.scrollLeft}px)`);

function word() {
  const end = input.selectionStart ?? input.value.length, start = Math.max(...[" ", "("].map((sign) => input.value.lastIndexOf(sign, end - 1))) + 1;
  return { start, end, text: input.value.slice(start, end) };
}
function complete() {
  if (document.activeElement !== input) return;
  const { text } = word(), bare = text.replace(/^[!-]/, ""), colon = bare.indexOf(":") + 1;
  const values = colon && VALUES[bare.slice(0, colon)];
  choices = values ? values().filter((one) => one.toLowerCase().includes(bare.slice(colon).toLowerCase())).slice(0, 8).map((one) => [bare.slice(0, colon) + (/\s/.test(one) ? `"${one}"` : one), ""])
    : OPERATORS.filter(([name]) => !bare || (name.startsWith(bare.toLowerCase()) && name !== bare)).slice(0, bare ? 8 : 40);
  at = -1;
  found.replaceChildren(...choices.map(([name, words, example], index) => h("div", { role: "option", id: `completion-${index}`, "aria-selected": "false", onpointerdown: (event) => { event.preventDefault(); take(index); } }, h("code", {}, name), h("span", {}, words), example ? h("code", { class: "quiet" }, example) : null)));
  found.hidden = choices.length === 0;
  input.setAttribute("aria-expanded", String(!found.hidden));
}
function close() { found.hidden = true; input.setAttribute("aria-expanded", "false"); at = -1; }
function point(to) {
  found.children[at]?.classList.remove("on");
  at = (to + choices.length + 1) % (choices.length + 1) - (to >= choices.length ? choices.length + 1 : 0);
  if (at < -1 || at >= choices.length) at = -1;
  const row = found.children[at];
  row?.classList.add("on");
  row?.setAttribute("aria-selected", "true");
  row?.scrollIntoView({ block: "nearest" });
  input.setAttribute("aria-activedescendant", row ? row.id : "");
}
function take(index) {
  const { start, end, text } = word(), sign = /^[!-]/.test(text) && choices[index][0] !== "-" ? text[0] : "", name = choices[index][0];
  const made = sign + name + (/[:(]$|^-$/.test(name) ? "" : " ");
  input.setRangeText(made, start, end, "end");
  typed();
}
function pressed(event) {
  if (event.isComposing) return;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    if (found.hidden) return;
    event.preventDefault();
    point(event.key === "ArrowDown" ? at + 1 : at < 0 ? choices.length - 1 : at - 1);
  } else if ((event.key === "Tab" && !event.shiftKey && !found.hidden && word().text && choices.length) || (event.key === "Enter" && at >= 0)) {
    event.preventDefault();
    take(Math.max(0, at));
  } else if (event.key === "Enter") {
    close();
    if (event.ctrlKey || event.metaKey) emit("go", { mailbox: "*", query: input.value.trim() });
    emit("search-done");
  } else if (event.key === "Escape") {
    event.preventDefault();
    if (!found.hidden && input.value) return close();
    if (input.value) { input.value = ""; typed(); }
    close();
    emit("search-done");
  }
}

/** What the server understood, in words; or where it stumbled. */
const explain = later(async () => {
  const query = state.query;
  if (!query) return emit("explained", null);
  try {
    const said = await get("/v1/query", { query });
    if (query === state.query) emit("explained", { words: said.explanation, canonical: said.query });
  } catch (error) {
    if (query === state.query) emit("explained", error.status === 400 ? { words: error.message, wrong: true, position: error.more.position } : null);
  }
}, 120);
