// Everything one can do, in one table: its name, its keys, its words. The keyboard, the palette, the buttons and `?` all read it.
import { BASE } from "./base.js";
import * as actions from "./actions.js";
import { Problem, load } from "./api.js";
import { confirm, fits, menu, pick } from "./dialog.js";
import { copy, $ } from "./dom.js";
import { box_name, count, keeps } from "./format.js";
import * as list from "./list.js";
import * as message from "./message.js";
import { ask_to_notify, notifying } from "./notify.js";
import { show_pane } from "./panes.js";
import { mark, mark_all, mark_many, marked, selection, unmark } from "./selection.js";
import { can_send, emit, on, remember, remembered, sees_all, sees_faults, sees_spaces, state } from "./state.js";
import { fail, say, take_back } from "./undo.js";

const write_to = async (given) => (await load("./compose.js")).write_to(given);
const show_keys = async (all) => (await load("./keys-sheet.js")).show_keys(all);
const go = (where) => emit("go", where);
const special = (use, name) => state.mailboxes.find((box) => box.special_use === use)?.name || name;
const wide = () => matchMedia("(min-width: 900px)").matches;
const step = (by, more = {}) => () => list.step(by, { open: wide() || document.body.dataset.pane === "message", ...more });
const reading = () => Boolean(message.shown());

export const commands = [
  { id: "next", group: "Moving", label: "Next message", keys: ["j", "ArrowDown"], run: step(1) },
  { id: "previous", group: "Moving", label: "Previous message", keys: ["k", "ArrowUp"], run: step(-1) },
  { id: "page-down", group: "Moving", label: "A page on", keys: ["PageDown"], run: () => list.page_step(1, { open: false }), hidden: true },
  { id: "page-up", group: "Moving", label: "A page back", keys: ["PageUp"], run: () => list.page_step(-1, { open: false }), hidden: true },
  { id: "top", group: "Moving", label: "The newest", keys: ["Home", "g g"], run: () => list.move_to(0, { open: false }) },
  { id: "end", group: "Moving", label: "The oldest", keys: ["End", "G"], run: () => list.to_end({ open: false }) },
  { id: "open", group: "Moving", label: "Open", keys: ["Enter", "o"], run: () => { const item = list.current(); if (item) emit("open", { ...item, by: "key" }); } },
  { id: "back", group: "Moving", label: "Back, close, unmark", keys: ["Escape", "u"], run: back },
  { id: "arrivals", group: "Moving", label: "Show what is new", keys: ["n"], run: () => list.release(true) },
  { id: "refresh", group: "Moving", label: "Ask again", keys: ["."], run: () => { list.show({ stay: true }); emit("stale"); } },
  { id: "search", group: "Finding", label: "Search", keys: ["/"], run: () => { show_pane("list"); emit("search-focus"); } },
  { id: "palette", group: "Finding", label: "Everything (palette)", keys: ["Mod+k"], run: palette },
  { id: "clear-search", group: "Finding", label: "Clear the search", keys: ["Mod+Backspace"], run: () => go({ query: "" }), when: () => state.query },
  { id: "search-everywhere", group: "Finding", label: "Search all mail", keys: ["Mod+Enter"], run: () => go({ mailbox: "*" }), when: () => state.query },
  { id: "inbox", group: "Going", label: "Inbox", keys: ["g i"], run: () => go({ mailbox: "INBOX", query: "" }) },
  { id: "unread", group: "Going", label: "Unread", keys: ["g u"], run: () => go({ mailbox: state.mailbox, query: "is:unread" }) },
  { id: "pinned", group: "Going", label: "Pinned", keys: ["g p"], run: () => go({ mailbox: "*", query: "is:pinned" }) },
  { id: "all", group: "Going", label: "All mail", keys: ["g a"], run: () => go({ mailbox: "*", query: "" }) },
  { id: "sent", group: "Going", label: "Sent", keys: ["g s"], run: () => go({ mailbox: special("\\Sent", "Sent"), query: "" }) },
  { id: "drafts", group: "Going", label: "Drafts", keys: ["g d"], run: () => go({ mailbox: special("\\Drafts", "Drafts"), query: "" }) },
  { id: "bin", group: "Going", label: "Trash", keys: ["g t"], run: () => go({ mailbox: special("\\Trash", "Trash"), query: "" }) },
  { id: "mailbox", group: "Going", label: "A mailbox…", keys: ["g m"], run: () => pick_mailbox("Go to mailbox", (name) => go({ mailbox: name, query: "" })) },
  { id: "account", group: "Going", label: "Another account…", keys: ["g c"], run: pick_account, when: () => state.accounts.length > 1 },
  { id: "sessions", group: "Going", label: "SMTP sessions", keys: ["g e"], run: () => go({ view: "sessions", session: null }), when: sees_all },
  { id: "faults", group: "Going", label: "Faults: what goes wrong on demand", keys: ["g x"], run: () => go({ view: "faults" }), when: sees_faults },
  { id: "spaces", group: "Going", label: "Spaces", keys: ["g n"], run: () => go({ view: "spaces" }), when: sees_spaces },
  { id: "retention", group: "Going", label: "Kept mail: how long, what goes, what went", keys: ["g k"], run: () => go({ view: "retention" }) },
  { id: "flow", group: "Going", label: "Flow: who pushes, who pulls", keys: ["g f"], run: () => { location.href = `${BASE}/flow`; }, when: () => state.info?.role === "sink" },
  { id: "nav", group: "Going", label: "The list of mailboxes", keys: ["g l"], run: () => show_pane(document.body.dataset.pane === "nav" ? "list" : "nav") },
  { id: "trash", group: "Acting", label: "Move to Trash", keys: ["Delete", "#"], run: (given) => actions.trash(given) },
  { id: "purge", group: "Acting", label: "Delete for ever…", keys: ["Shift+Delete"], run: (given) => actions.purge(given) },
  { id: "read", group: "Acting", label: "Read or unread", keys: ["m"], run: (given) => actions.toggle_read(given) },
  { id: "pin", group: "Acting", label: "Pin", keys: ["s"], run: (given) => actions.toggle_pin(given) },
  { id: "tag", group: "Acting", label: "Tag…", keys: ["t"], run: pick_tag },
  { id: "move", group: "Acting", label: "Move to…", keys: ["v"], run: () => { if (ready()) pick_mailbox("Move to", (name) => actions.move(null, name), true); } },
  { id: "undo", group: "Acting", label: "Undo", keys: ["z", "Mod+z"], run: () => take_back() },
  { id: "download", group: "Acting", label: "Download as .eml", keys: ["d"], run: download_some },
  { id: "mark", group: "Marking", label: "Mark for several", keys: ["x"], run: () => { const item = list.current(); if (item) { selection.anchor = list.the_feed().index_of(`${item.mailbox}:${item.uid}`); mark(item); } } },
  { id: "mark-down", group: "Marking", label: "Mark downwards", keys: ["Shift+J", "Shift+ArrowDown"], run: () => list.step(1, { open: false, extend: true }) },
  { id: "mark-up", group: "Marking", label: "Mark upwards", keys: ["Shift+K", "Shift+ArrowUp"], run: () => list.step(-1, { open: false, extend: true }) },
  { id: "mark-loaded", group: "Marking", label: "Mark all, once more: all that match", keys: ["Mod+a", "*"], run: mark_loaded },
  { id: "unmark", group: "Marking", label: "Unmark", keys: ["Shift+X"], run: () => unmark() },
  { id: "compose", group: "Writing", label: "Write a message", keys: ["c"], run: (given) => write_to(given || {}), when: can_send },
  { id: "reply", group: "Writing", label: "Reply", keys: ["r"], run: () => message.answer("reply"), when: () => can_send() && reading() },
  { id: "reply-all", group: "Writing", label: "Reply to all", keys: ["a"], run: () => message.answer("all"), when: () => can_send() && reading() },
  { id: "forward", group: "Writing", label: "Forward", keys: ["f"], run: () => message.answer("forward"), when: () => can_send() && reading() },
  { id: "read-on", group: "Reading", label: "Read on, a page at a time", keys: ["Space"], run: () => message.read_on(1), when: reading },
  { id: "read-back", group: "Reading", label: "A page back in the message", keys: ["Shift+Space"], run: () => message.read_on(-1), when: reading },
  { id: "print", group: "Reading", label: "Print", keys: ["p"], run: () => message.print(), when: reading },
  { id: "images", group: "Reading", label: "Show images from elsewhere", keys: ["i"], run: () => message.change("images"), when: reading },
  { id: "width", group: "Reading", label: "Phone, tablet, desktop width", keys: ["w"], run: () => message.change("width"), when: reading },
  { id: "sheet", group: "Reading", label: "Sheet light or dark", keys: ["b"], run: () => message.change("sheet"), when: reading },
  { id: "thread", group: "Reading", label: "The conversation", keys: ["h"], run: () => message.to_thread(), when: reading },
  { id: "code", group: "Reading", label: "Copy the code", keys: ["y"], run: copy_code, when: reading },
  { id: "tab-next", group: "Reading", label: "Next tab", keys: ["]"], run: () => message.turn(1), when: reading },
  { id: "tab-previous", group: "Reading", label: "Previous tab", keys: ["["], run: () => message.turn(-1), when: reading },
  { id: "tab-n", group: "Reading", label: "Tab by its number", keys: ["1…9"], hidden: true, run: () => {} },
  { id: "keys", group: "The page", label: "All keys", keys: ["?"], run: () => show_keys(commands) },
  { id: "menu", group: "The page", label: "Menu", keys: [","], run: main_menu },
  { id: "theme", group: "The page", label: "Light, dark, as the system", keys: ["Shift+D"], run: next_theme },
  { id: "density", group: "The page", label: "Compact or roomy list", keys: ["Shift+C"], run: () => { remember("density", remembered("density") === "compact" ? "roomy" : "compact"); list.measure(); list.redraw(); } },
  { id: "notify", group: "The page", label: "Notify me of new mail", keys: ["Shift+N"], run: ask_to_notify },
  { id: "logout", group: "The page", label: "Log out", keys: ["g o"], run: () => emit("logout"), when: () => state.info?.role === "serve" },
];

const by_id = new Map(commands.map((command) => [command.id, command]));
/** What is about messages does nothing while none is in sight. */
const OF_MAIL = new Set(["Moving", "Acting", "Marking", "Reading"]), ANYWHERE = new Set(["back", "refresh", "undo"]);
export const possible = (command) => (state.view === "mail" || !OF_MAIL.has(command.group) || ANYWHERE.has(command.id)) && (!command.when || Boolean(command.when()));
export function run_command(id, given) {
  const command = by_id.get(id);
  if (command && possible(command)) Promise.resolve(command.run(given)).catch((error) => { fail(error); if (!(error instanceof Problem)) throw error; });
}
on("run", ({ command, given }) => run_command(command, given));
on("confirm", confirm);

function ready() { return actions.meant().length > 0 || selection.all; }

function back() {
  if (unmark()) return;
  if (document.body.dataset.pane === "nav") return show_pane("list");
  if (state.view !== "mail") return go({ view: "mail" });
  if (state.id) return emit("close-message");
  if (state.query) go({ query: "" });
}

function download_some() {
  const items = actions.meant();
  items.slice(0, 20).forEach(actions.download);
  if (items.length > 20) say(`Only the first 20 of ${count(items.length)} are downloaded. “mailsystem dump” writes them all.`, { bad: true });
}

function mark_loaded() {
  const feed = list.the_feed();
  if (!feed?.ready) return;
  if (selection.loaded && marked.size) mark_all();
  else { mark_many([...feed.by_key.values()]); selection.loaded = true; }
}

function copy_code() {
  const code = message.best_code();
  if (!code) return say("There is no code in this message.");
  copy(code).then(() => say(`${code} copied.`));
}

const THEMES = [null, "light", "dark"];
export function set_theme(theme) {
  remember("theme", theme);
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  emit("theme");
}
function next_theme() {
  const next = THEMES[(THEMES.indexOf(remembered("theme")) + 1) % 3];
  set_theme(next);
  say(next ? `${next === "dark" ? "Dark" : "Light"}.` : "Light or dark, as the system is.");
}

function main_menu() {
  const theme = remembered("theme"), info = state.info || {};
  const key = (id) => shown_key(by_id.get(id).keys[0]);
  menu([
    { label: "As the system", icon: "auto", on: !theme, run: () => set_theme(null) }, { label: "Light", icon: "sun", on: theme === "light", run: () => set_theme("light") }, { label: "Dark", icon: "moon", on: theme === "dark", run: () => set_theme("dark") }, "-",
    { label: remembered("density") === "compact" ? "Roomy list" : "Compact list", icon: "menu", key: key("density"), run: () => run_command("density") },
    { label: "Notify me", icon: "bell", on: notifying(), key: key("notify"), run: ask_to_notify },
    { label: "Everything", icon: "search", key: key("palette"), run: palette }, { label: "All keys", icon: "keys", key: "?", run: () => show_keys(commands) }, "-",
    sees_all() && { label: "SMTP sessions", icon: "sessions", key: key("sessions"), run: () => run_command("sessions") },
    sees_faults() && { label: "Faults", icon: "fault", key: key("faults"), run: () => run_command("faults") }, sees_spaces() && { label: "Spaces", icon: "space", key: key("spaces"), run: () => run_command("spaces") },
    info.role === "sink" && { label: "Flow", icon: "flow", key: key("flow"), run: () => run_command("flow") },
    { label: `Kept: ${keeps(info.retention)}`, icon: "clock", key: key("retention"), run: () => run_command("retention") },
    { label: "The interface (OpenAPI)", icon: "out", run: () => window.open(`${BASE}/openapi.json`, "_blank", "noopener") },
    info.role === "serve" && { label: "Log out", icon: "leave", run: () => emit("logout") },
    { words: `${info.name || "mailsystem"} ${info.version || ""} · ${info.hostname || ""}` },
  ], $(".more"));
}

const MAC = /Mac|iP(hone|ad|od)/.test(navigator.platform);
const SIGNS = { ArrowDown: "↓", ArrowUp: "↑", Delete: "Del", Escape: "Esc", Enter: "↵", Backspace: "⌫" };
export const shown_key = (key) => key.split(" ").map((part) => part.split("+").map((one) => (one === "Mod" ? (MAC ? "⌘" : "Ctrl") : one === "Shift" ? "⇧" : SIGNS[one] || one)).join(part.includes("+") ? " " : "")).join(" ");

const BOX_ICONS = { "\\Sent": "sent", "\\Drafts": "draft", "\\Trash": "trash", "\\Junk": "junk", "\\Archive": "archive", "\\All": "all", "\\Flagged": "pin" };
export const box_icon = (box) => BOX_ICONS[box.special_use] || (box.name === "INBOX" ? "inbox" : box.name === "*" ? "all" : "folder");

function palette() {
  pick({
    title: "Everything", placeholder: "What would you like to do? Or where to go, or what to find…",
    find: (words) => {
      const found = [];
      for (const command of commands) {
        const fit = command.hidden || command.id === "palette" || !possible(command) ? 0 : fits(command.label, words);
        if (fit) found.push({ fit: fit + 0.5, label: command.label, group: command.group, hint: words ? command.group : "", key: shown_key(command.keys[0]), icon: icon_of(command), run: () => run_command(command.id) });
      }
      if (!words) found.sort((one, other) => FIRST.indexOf(one.group) - FIRST.indexOf(other.group));
      else {
        for (const box of state.mailboxes) { const fit = fits(box.name, words); if (fit) found.push({ fit, label: box_name(box.name), hint: `mailbox, ${count(box.total)}`, icon: box_icon(box), run: () => go({ mailbox: box.name, query: "" }) }); }
        for (const account of state.accounts) { const fit = fits(account.login, words); if (fit) found.push({ fit, label: called(account), hint: account.unread ? `${count(account.unread)} unread of ${count(account.messages)}` : `account, ${count(account.messages)}`, icon: account.kind === "space" ? "space" : "person", run: () => go({ account: account.login, mailbox: "INBOX", query: "" }) }); }
        found.sort((one, other) => other.fit - one.fit);
        found.splice(40);
        found.push({ label: `Search for “${words}”`, icon: "search", run: () => go({ query: words }) });
      }
      return found;
    },
  });
}
const FIRST = ["Writing", "Acting", "Going", "Finding", "Marking", "Reading", "The page", "Moving"];
const GROUP_ICONS = { Moving: "right", Finding: "search", Going: "folder", Acting: "check", Marking: "check", Writing: "write", Reading: "unread", "The page": "more" };
const OWN = new Set(["trash", "pin", "tag", "reply", "forward", "inbox", "sent", "phone", "flow", "sessions", "undo"]);
const icon_of = (command) => (OWN.has(command.id) ? command.id : { compose: "write", "reply-all": "replyall", pinned: "pin", bin: "trash", drafts: "draft", all: "all", account: "person", theme: "auto", notify: "bell", keys: "keys", download: "down", images: "image", width: "phone", sheet: "sun", code: "copy", logout: "leave", faults: "fault", spaces: "space", retention: "clock" }[command.id] || GROUP_ICONS[command.group]);

function pick_mailbox(title, run, moving = false) {
  pick({
    title, placeholder: `${title}…`,
    find: (words) => {
      const found = state.mailboxes.filter((box) => fits(box_name(box.name), words)).map((box) => ({ label: box_name(box.name), hint: count(box.total), icon: box_icon(box), run: () => run(box.name) }));
      if (moving && words && !state.mailboxes.some((box) => box.name.toLowerCase() === words.toLowerCase())) found.push({ label: `New mailbox “${words}”`, icon: "folder", run: () => emit("make-mailbox", { name: words, then: () => run(words) }) });
      return found;
    },
  });
}
const called = (account) => (account.kind === "space" ? `${account.space} (a space)` : account.kind === "sink" ? `${account.login}: everything` : account.login);
export function pick_account() {
  pick({
    title: "Account", placeholder: "Whose mail?",
    find: (words) => state.accounts.filter((one) => fits(one.login, words)).slice(0, 200).map((one) => ({ label: called(one), hint: one.unread ? `${count(one.unread)} unread of ${count(one.messages)}` : count(one.messages), icon: one.login === state.account ? "check" : one.kind === "space" ? "space" : "person", run: () => go({ account: one.login, mailbox: "INBOX", query: "" }) })),
  });
}
function pick_tag() {
  if (!ready()) return;
  const items = actions.meant(), has = new Set(items.flatMap((item) => item.tags || []));
  pick({
    title: "Tag", placeholder: "Tag, new or known…", empty: "There is no tag yet: type one.",
    find: (words) => {
      const known = [...new Set([...has, ...state.tags.keys()])].filter((tag) => fits(tag, words)).slice(0, 60);
      const found = known.map((tag) => ({ label: tag, hint: has.has(tag) ? "take off" : "", icon: has.has(tag) ? "check" : "tag", run: () => actions.tag(tag, !has.has(tag)) }));
      const made = words.replace(/[\s()\[\]{}"\\*%]+/g, "-");
      if (made && !known.includes(made)) found.push({ label: `New tag “${made}”`, icon: "tag", run: () => actions.tag(made) });
      return found;
    },
  });
}
