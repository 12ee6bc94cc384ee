// One message: who, what, when, what can be done, and the tabs that look at it from every side.
import { get, load, url } from "./api.js";
import { one } from "./actions.js";
import { $, act, bones, h, icon, later } from "./dom.js";
import { nothing_open } from "./empty.js";
import { age, count, initial, plain, plural, short, size, subject, time, tint, who, whole_address } from "./format.js";
import { emit, on, remember, remembered, can_send, run, state } from "./state.js";
import { frame, html_address, turn_page } from "./tab-frame.js";
import { strip } from "./strip.js";
import { say } from "./undo.js";

const pane = $(".reading");
/** What only some look at is loaded when the first of them does. */
const from = (module, name) => async (...given) => (await load(module))[name](...given);
const text = from("./tab-text.js", "text");
const write_to = from("./compose.js", "write_to");
const TABS = [
  { name: "message", label: "Message", draw: (message, look) => (message.has_html ? frame(message, look) : text(message)) },
  { name: "text", label: "Text", draw: text, when: (message) => message.has_html },
  { name: "headers", label: "Headers", draw: from("./tab-text.js", "headers") },
  { name: "source", label: "Source", draw: from("./tab-text.js", "source") },
  { name: "parts", label: "Parts", draw: from("./tab-parts.js", "parts"), number: (message) => leaves(message.parts) },
  { name: "envelope", label: "Envelope", draw: from("./tab-envelope.js", "envelope"), ask: "envelope" },
  { name: "journey", label: "Journey", draw: from("./tab-journey.js", "journey"), ask: "journey", number: (_, said) => said.events?.length },
  { name: "links", label: "Links", draw: from("./tab-links.js", "links"), ask: "extract", number: (_, said) => (said.links?.length || 0) + (said.codes?.length || 0) },
  { name: "checks", label: "Checks", draw: from("./tab-checks.js", "checks"), ask: "checks", number: (_, said) => said.findings?.length, tone: (said) => (said.errors ? "bad" : said.warnings ? "warn" : "") },
];
const leaves = (part) => (part ? 1 + (part.children || []).reduce((sum, child) => sum + leaves(child), 0) : 0);

let now = null; // {message, answers: {ask: promise}, around: promise, tabs, body, look}
let failed = null; // what could not be shown, since the server was not there
let stop = new AbortController();

export const shown = () => now?.message;
export const best_code = () => now?.codes?.[0]?.value || null;
const where = (message) => ({ account: state.account, mailbox: message.mailbox });

export function close() {
  stop.abort();
  now = failed = null;
  state.message = null;
  pane.replaceChildren(nothing_open());
}

/** Shows what could not be shown, once the server is there again; a tab, too. */
export function show_again() {
  failed?.();
  if (now && $(".state[role=alert]", now.body)) turn_to(state.tab, { quiet: true });
}

/** Shows a message: its summary at once where the list has it, the rest as it comes. */
export async function show(id, summary = null) {
  stop.abort();
  const mine = (stop = new AbortController());
  now = failed = null;
  if (summary) { state.message = summary; draw_head(summary, true); } else pane.replaceChildren(h("div", { class: "loading" }, bones("60%", "35%", "80%", "75%", "82%")));
  try {
    const message = await get(one(id), { account: state.account, mailbox: summary?.mailbox }, { signal: mine.signal });
    if (mine !== stop) return;
    state.message = message;
    now = { message, answers: {}, look: { images: false, width: remembered("sheet-width", "fit"), theme: "light" }, signal: mine.signal };
    draw();
    emit("shown", message);
  } catch (error) {
    if (error.name === "AbortError" || mine !== stop || error.status === 401) return;
    state.message = null;
    if (!error.status || error.status >= 500) failed = () => show(id, summary);
    pane.replaceChildren(h("div", { class: "state", role: "alert" }, icon(error.status === 404 ? "trash" : "error"), h("h2", {}, error.status === 404 ? "This message is gone" : "The message could not be loaded"), h("p", {}, error.message),
      h("div", { class: "buttons" }, error.status === 404 ? h("button", { type: "button", onclick: () => emit("close-message") }, "Close") : h("button", { type: "button", onclick: () => show(id, summary) }, "Try again"))));
  }
}

function draw_head(message, waiting) {
  const sending = can_send();
  const from = message.from, address = plain(from?.address);
  const bar = h("div", { class: "bar", role: "toolbar", "aria-label": "Message" },
    act("back", "Back", "back", { key: "Esc", more: "bare to-list" }),
    sending && act("reply", "Reply", "reply", { key: "r", more: "", words: true }), sending && message.to && message.to.length + (message.cc?.length || 0) > 1 && act("replyall", "Reply to all", "reply-all", { key: "a", more: "bare extra" }), sending && act("forward", "Forward", "forward", { key: "f", more: "bare extra" }),
    h("span", { class: "space" }),
    act("pin", message.pinned ? "Unpin" : "Pin", "pin", { key: "s", "aria-pressed": String(Boolean(message.pinned)), more: `bare pin${message.pinned ? " on" : ""}` }),
    act(message.unread ? "read" : "unread", message.unread ? "Mark read" : "Mark unread", "read", { key: "m", more: "bare seen" }), act("tag", "Tag", "tag", { key: "t" }),
    act("trash", "Move to Trash", "trash", { key: "Del" }), h("button", { type: "button", class: "bare", "aria-label": "More", title: "More", onclick: (event) => more(event.currentTarget) }, icon("more")));
  $("svg", $(".pin", bar))?.classList.toggle("full", Boolean(message.pinned));
  const head = h("header", { class: "head" }, bar, h("h1", { dir: "auto" }, subject(message)),
    h("div", { class: "who" }, h("span", { class: "av", "aria-hidden": "true", vars: { "--tint": `var(--tint-${tint(address)})`, "--tint-soft": `var(--tint-${tint(address)}-soft)` } }, initial(from)),
      h("div", { class: "them" }, h("p", {}, h("b", { dir: "auto", title: whole_address(from) }, short(who(from), 80) || "(no sender)"), from?.name && h("span", { class: "quiet" }, ` ${short(address, 100)}`), h("span", { class: "tags" }, (message.tags || []).map((tag) => h("span", { class: "tag" }, tag, h("button", { type: "button", "aria-label": `Take ${tag} off`, onclick: () => emit("untag", tag) }, "×"))))), recipients(message),
        h("p", { class: "quiet num when" }, h("time", { datetime: message.received, title: `arrived ${time(message.received)}` }, time(message.date || message.received)), ` · ${size(message.size)}`, ago(message)))));
  if (waiting) pane.replaceChildren(head, h("div", { class: "loading" }, bones("82%", "75%", "79%", "40%")));
  return head;
}
const ago = (message) => { const said = age(message.received); return said === "now" ? " · now" : / min$/.test(said) ? ` · ${said} ago` : ""; };

function recipients(message) {
  const all = [["to", message.to], ["cc", message.cc], ["bcc", message.bcc]].flatMap(([kind, people]) => (people || []).map((person) => [kind, person]));
  if (!all.length) return h("p", { class: "quiet" }, "to nobody it names");
  const few = all.slice(0, 3).map(([, person]) => who(person)).join(", ");
  if (all.length <= 3 && all.every(([kind]) => kind === "to")) return h("p", { class: "quiet to", dir: "auto", title: all.map(([, person]) => whole_address(person)).join("\n") }, "to ", few);
  return h("details", { class: "quiet to" }, h("summary", { dir: "auto" }, "to ", few, all.length > 3 ? ` and ${plural(all.length - 3, "other")}` : ""),
    h("dl", { class: "people scrolls", tabindex: "0" }, ["to", "cc", "bcc"].map((kind) => { const some = all.filter(([is]) => is === kind); return some.length ? [h("dt", {}, kind, " ", some.length > 3 ? count(some.length) : ""), h("dd", {}, some.map(([, person]) => h("span", { dir: "auto" }, whole_address(person))))] : null; })));
}

function more(button) {
  const message = now?.message;
  if (!message) return;
  const sending = can_send();
  emit("menu", { at: button, entries: [
    sending && { label: "Reply to all", icon: "replyall", key: "a", run: () => run("reply-all") }, sending && { label: "Forward", icon: "forward", key: "f", run: () => run("forward") }, sending && "-",
    { label: "Download as .eml", icon: "down", key: "d", run: () => run("download") },
    { label: "Move to…", icon: "folder", key: "v", run: () => run("move") },
    { label: "Copy the link to it", icon: "link", run: () => emit("copy", location.href) },
    { label: "Copy the Message-ID", icon: "copy", run: () => emit("copy", message.message_id || "") },
    { label: "Print", icon: "file", key: "p", run: () => run("print") },
    { label: "Raw message", icon: "out", run: () => window.open(url(`${one(message.id)}/raw`, { account: state.account }), "_blank", "noopener") }, "-",
    { label: "Delete for ever…", icon: "trash", run: () => run("purge") },
  ] });
}

function draw() {
  const { message } = now;
  now.head = draw_head(message, false);
  now.tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Views of the message" });
  now.body = h("div", { class: "tab", role: "tabpanel", id: "tab", tabindex: "-1" });
  now.notes = h("div", { class: "notes" });
  pane.replaceChildren(now.head, now.notes, now.tabs, now.body);
  if (!TABS.some((tab) => tab.name === state.tab)) state.tab = "message";
  draw_tabs();
  turn_to(state.tab, { quiet: true });
  now.around = ask_around();
}

/** What else belongs to the conversation stands above the tabs; who asks for it by a key, has it open and the focus in it. */
async function show_thread(mine) {
  try {
    const made = await (await load("./thread.js")).conversation(mine.message, where(mine.message), mine.signal);
    if (made && mine === now) mine.notes.append(made);
  } catch { /* the message can be read without */ }
}
export async function to_thread() {
  const mine = now;
  await mine?.around;
  if (!mine || mine !== now) return;
  const made = $(".thread", now.notes);
  if (!made) return say("This message stands alone: nothing is known that it answers, or that answers it.");
  made.open = !made.open;
  $(made.open ? "[aria-current]" : "summary", made).focus();
}

function possible(tab) { return (!tab.when || tab.when(now.message)) && (!tab.ask || now.answers[tab.ask] !== null); }

function draw_tabs() {
  const focused = now.tabs.contains(document.activeElement);
  now.tabs.replaceChildren(...TABS.filter(possible).map((tab) => {
    const said = tab.ask ? now.answers[tab.ask] : {}, number = said && !(said instanceof Promise) ? tab.number?.(now.message, said) : 0, on = tab.name === state.tab;
    return h("button", { type: "button", role: "tab", id: `tab-${tab.name}`, "aria-selected": String(on), "aria-controls": "tab", tabIndex: on ? 0 : -1, class: on ? "on" : "", onclick: () => turn_to(tab.name), onkeydown: (event) => { const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key]; if (by) { event.preventDefault(); turn(by); $("[aria-selected=true]", now.tabs).focus(); } } }, tab.label, number ? h("em", { class: `num ${said ? tab.tone?.(said) || "" : ""}` }, count(number)) : null);
  }));
  const on = $("[aria-selected=true]", now.tabs);
  if (focused) on?.focus();
  on?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

/** Asks what the other tabs would show, quietly: a tab whose answer is 404 is not there. */
async function ask_around() {
  const mine = now, { message } = mine;
  await Promise.all([...new Set(TABS.map((tab) => tab.ask).filter(Boolean))].map(async (name) => {
    const asked = get(`${one(message.id)}/${name}`, where(message), { signal: mine.signal });
    mine.answers[name] = asked;
    try { mine.answers[name] = await asked; } catch (error) { mine.answers[name] = [403, 404, 501].includes(error.status) ? null : undefined; }
  }));
  if (now !== mine) return;
  const said = mine.answers.extract;
  mine.codes = (said?.codes || []).filter((code) => (code.score ?? 100) >= (code.score > 1 ? 50 : 0.5));
  if (mine.codes.length) {
    const [best] = mine.codes;
    mine.notes.append(h("div", { class: "code-note" }, h("span", {}, "Code"), h("code", {}, best.value), act("copy", "Copy", "code", { key: "y", more: "", words: true })));
  }
  draw_tabs();
  const tab = TABS.find((one) => one.name === state.tab);
  if (!possible(tab)) turn_to("message");
  await show_thread(mine);
}

export async function turn_to(name, { quiet = false } = {}) {
  if (!now) return;
  const mine = now, tab = TABS.find((one) => one.name === name && possible(one)) || TABS[0];
  state.tab = tab.name;
  if (!quiet) emit("tab");
  draw_tabs();
  now.body.className = `tab tab-${tab.name}`;
  now.body.setAttribute("aria-labelledby", `tab-${tab.name}`);
  const bones_later = setTimeout(() => mine === now && state.tab === tab.name && mine.body.replaceChildren(h("div", { class: "loading" }, bones("80%", "72%", "78%", "50%"))), 120);
  try {
    const answer = tab.ask ? await (mine.answers[tab.ask] ?? get(`${one(mine.message.id)}/${tab.ask}`, where(mine.message), { signal: mine.signal })) : mine.look;
    const made = await tab.draw(mine.message, answer, { signal: mine.signal, where: where(mine.message) });
    if (mine !== now || state.tab !== tab.name) return;
    clearTimeout(bones_later);
    const below = tab.name === "message" || tab.name === "text" ? strip(mine.message) : null;
    mine.body.replaceChildren(...[made, below].flat().filter(Boolean));
  } catch (error) {
    if (error.name === "AbortError" || mine !== now) return;
    clearTimeout(bones_later);
    mine.body.replaceChildren(h("div", { class: "state", role: "alert" }, icon("error"), h("h2", {}, "This could not be loaded"), h("p", {}, error.message), h("button", { type: "button", onclick: () => { delete mine.answers[tab.ask]; turn_to(name); } }, "Try again")));
  }
}
export function turn(by) {
  if (!now) return;
  const all = TABS.filter(possible), at = all.findIndex((tab) => tab.name === state.tab);
  turn_to(all[(at + by + all.length) % all.length].name);
}
export function turn_number(at) {
  const tab = now && TABS.filter(possible)[at];
  if (tab) turn_to(tab.name);
  return Boolean(tab);
}

/** Prints what is open. HTML as long as it is opens on its own, where the browser prints it: nobody may look into its frame to print it. */
export function print() {
  if (state.tab !== "message" || !now.message.has_html) return window.print();
  window.open(html_address(now.message, now.look), "_blank", "noopener");
  say("The message is open on its own: print it there.");
}

/** Goes on in the message by most of a screen, or back: in its source, in the pane, or in the frame. */
export function read_on(by) {
  if (!now) return;
  const able = (box) => box && (by > 0 ? box.scrollTop + box.clientHeight < box.scrollHeight - 2 : box.scrollTop > 2);
  const box = [$(".source", now.body), pane].find(able);
  if (box) return box.scrollBy({ top: by * Math.max(80, box.clientHeight - 60) });
  const inner = state.tab === "message" && $("iframe", now.body);
  if (inner) turn_page(inner, by);
}

const WIDTHS = ["fit", "desktop", "tablet", "phone"];
/** Changes how the sheet looks: images, width, sheet. */
export function change(what, to = null) {
  if (!now?.message.has_html) return;
  const { look } = now;
  if (what === "images") look.images = !look.images;
  else if (what === "width") { look.width = to || WIDTHS[(WIDTHS.indexOf(look.width) + 1) % WIDTHS.length]; remember("sheet-width", look.width); }
  else look.theme = look.theme === "light" ? "dark" : "light";
  turn_to("message");
}
on("look", ({ what, to }) => change(what, to));

on("flagged", ({ id, ...fields }) => {
  if (!now || now.message.id !== id) return;
  Object.assign(now.message, fields);
  const made = draw_head(now.message, false);
  now.head.replaceWith(made);
  now.head = made;
});
export const refresh_journey = later(async () => {
  if (!now) return;
  const mine = now;
  try { mine.answers.journey = await get(`${one(mine.message.id)}/journey`, where(mine.message), { signal: mine.signal }); } catch { return; }
  if (mine !== now) return;
  if (state.tab === "journey") turn_to("journey", { quiet: true });
  else draw_tabs();
}, 600);

/** Opens the writing sheet with an answer to what is shown. */
export function answer(kind) {
  const { message } = now, old = message.subject || "";
  const quote = (message.text || message.snippet || "").trimEnd().split("\n").map((line) => `> ${line}`).join("\n");
  const mine = state.account?.includes("@") ? state.account : message.to?.[0]?.address;
  if (kind === "forward") {
    const lines = [["From", whole_address(message.from)], ["Date", time(message.date || message.received)], ["Subject", old], ["To", (message.to || []).map(whole_address).join(", ")]];
    return write_to({ from: mine, subject: /^fwd?:/i.test(old) ? old : `Fwd: ${old}`, text: `\n\n-------- Forwarded message --------\n${lines.map((line) => line.join(": ")).join("\n")}\n\n${message.text || ""}` });
  }
  const to = (message.reply_to?.length ? message.reply_to : [message.from]).filter(Boolean);
  const others = kind === "all" ? [...(message.to || []), ...(message.cc || [])].filter((person) => person.address !== mine && !to.some((one) => one.address === person.address)) : [];
  const quoted = (person) => (person.name && /[^\p{L}\p{N} ]/u.test(person.name) ? `"${person.name.replace(/["\\]/g, "\\$&")}" <${person.address}>` : whole_address(person));
  return write_to({ from: mine, to: to.map(quoted).join(", "), cc: others.map(quoted).join(", "), subject: /^re:/i.test(old) ? old : `Re: ${old}`, in_reply_to: message.message_id, references: [message.in_reply_to, message.message_id].filter(Boolean).join(" "), text: `\n\n${who(message.from)} wrote on ${time(message.date || message.received)}:\n${quote}\n` });
}
