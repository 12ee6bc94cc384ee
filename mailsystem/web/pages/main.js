// The page: puts the pieces together and decides what is looked at.
import { BASE } from "./base.js";
import { Problem, get, load, post } from "./api.js";
import * as actions from "./actions.js";
import { commands, possible, run_command } from "./commands.js";
import { menu } from "./dialog.js";
import { $, act, bones, copy, h, icon, later } from "./dom.js";
import { key_of } from "./feed.js";
import { box_name, count } from "./format.js";
import { listen } from "./keys.js";
import * as list from "./list.js";
import * as live from "./live.js";
import * as message from "./message.js";
import * as nav from "./nav.js";
import { announce, show_unread } from "./notify.js";
import * as panes from "./panes.js";
import * as route from "./route.js";
import * as search from "./search.js";
import { forget, mark_all, marked, selection, unmark } from "./selection.js";
import { can_send, emit, on, state } from "./state.js";
import { fail, say } from "./undo.js";

const head = $(".list-head");
const log_in = async () => (await load("./login.js")).log_in();
const log_out = async () => (await load("./login.js")).log_out();
const VIEWS = {
  sessions: async () => (await load("./sessions.js")).show_sessions(state.session), faults: async () => (await load("./faults.js")).show_faults(),
  spaces: async () => (await load("./spaces.js")).show_spaces(), retention: async () => (await load("./retention.js")).show_retention(),
};

async function boot() {
  $(".to-nav").append(icon("menu"));
  $(".more").append(icon("more"));
  $(".write").append(icon("write"), h("span", {}, "Compose"));
  $(".write").title = "Write a message  c";
  panes.start();
  search.start();
  listen(commands, { possible, run: run_command, tab: message.turn_number });
  document.addEventListener("click", (event) => { const button = event.target.closest("[data-run]"); if (button && !event.defaultPrevented) { event.preventDefault(); run_command(button.dataset.run); } });
  try { state.info = await get("/v1/info"); if (typeof state.info.account === "string") state.info.account = { login: state.info.account }; } catch (error) {
    if (error.status === 401) return;
    $("#list").replaceChildren(h("div", { class: "state", role: "alert" }, icon("error"), h("h2", {}, "The server cannot be reached"), h("p", {}, error.message), h("button", { type: "button", onclick: () => location.reload() }, "Try again")));
    return;
  }
  if (state.info.role === "serve" && !state.info.user && state.info.user !== undefined) return log_in();
  $(".brand small").textContent = state.info.role === "sink" ? "sink" : "";
  $(".write").hidden = !can_send();
  if (state.info.role === "sink") $(".doors").append(h("a", { class: "button bare", href: `${BASE}/flow`, title: "Flow: who pushes, who pulls  g f" }, icon("flow"), "Flow"));
  document.head.append(h("link", { rel: "stylesheet", media: "print, (forced-colors: active)", href: new URL("./media.css", import.meta.url).href }));
  list.start();
  if (navigator.maxTouchPoints) load("./swipe.js").then(({ swipes }) => swipes($("#list"))).catch(() => { /* buttons and keys do the same */ });
  look(route.read(), true);
  nav.load_accounts();
  nav.load_faults();
  addEventListener("popstate", () => { const was = state.id; look(route.read()); if (was && !state.id) { list.follow(was); list.focus(); } });
  try { if (Object.keys(sessionStorage).some((key) => key.startsWith("mailsystem-drafts"))) (await load("./compose.js")).offer_draft(); } catch { /* no storage: no drafts */ }
}

/** Looks at what an address says. */
function look(where, first = false) {
  const account = where.account || state.info.account?.login || "";
  const listing = first || account !== state.account || where.mailbox !== state.mailbox || where.query !== state.query;
  const changed_account = first || account !== state.account;
  const opening = first || where.id !== state.id || where.view !== state.view || where.session !== state.session;
  if (changed_account) { state.tags.clear(); state.mailboxes = []; }
  Object.assign(state, where, { account });
  document.body.dataset.view = state.view;
  if (listing) { unmark(); list.show(); draw_head(); }
  if (changed_account) nav.load_mailboxes(); else nav.draw();
  if (opening) show_right();
  emit("routed");
  if (state.view !== "mail" || state.id) panes.show_pane("message");
  else panes.show_pane("list");
}

/** A view of the server is loaded when it is first looked at: that can fail, and is tried again when the server is there. */
let waits = null;
async function show_view(view) {
  waits = null;
  try { await VIEWS[view](); } catch (error) {
    if (view !== state.view) return;
    if (!(error instanceof Problem)) throw error;
    waits = view;
    $(".reading").replaceChildren(h("div", { class: "state", role: "alert" }, icon("error"), h("h2", {}, "This could not be loaded"), h("p", {}, error.message), h("div", { class: "buttons" }, h("button", { type: "button", onclick: () => show_view(view) }, "Try again"), h("button", { type: "button", data: { run: "back" } }, "Back to the mail"))));
  }
}
/** The server is there again: what could not be shown without it is shown. */
function recover() {
  list.recover();
  if (state.view === "mail") message.show_again(); else if (waits === state.view) show_view(waits);
}

function show_right() {
  if (state.view !== "mail") { message.close(); $(".reading").replaceChildren(h("div", { class: "loading" }, bones("24%", "60%", "72%"))); return show_view(state.view); }
  if (!state.id) return message.close();
  message.show(state.id, list.the_feed()?.find(state.id) || null);
}

/** Goes somewhere: {view, session, account, mailbox, query, id}. What is typed into the search replaces its step of the history. */
on("go", ({ typing = false, ...where }) => {
  const to = { view: "mail", session: null, account: state.account, mailbox: state.mailbox, query: state.query, id: null, tab: "message", ...where };
  const was = { ...state };
  show_soon.cancel(); // what was passed on the way is not opened where one went
  if (typing && was.query) route_replace(to); else route_push(to);
  look(to);
  if (!typing && to.view === "mail" && !panes.is_narrow()) list.focus();
});
const route_push = (to) => history.pushState(null, "", route.address(to));
const route_replace = (to) => history.replaceState(null, "", route.address(to));

const show_soon = later((item) => message.show(item.id, item), 60);
on("open", (item) => {
  const step = panes.is_narrow() && document.body.dataset.pane !== "message";
  if (item.by === "key" && state.id === item.id) $(".reading").focus({ preventScroll: true });
  state.view = "mail";
  document.body.dataset.view = "mail";
  if (state.id !== item.id) { state.id = item.id; if (item.by) { show_soon.cancel(); message.show(item.id, item); } else show_soon(item); }
  route.write(step);
  if (panes.is_narrow()) { panes.show_pane("message"); $(".reading").scrollTop = 0; if (item.by) $(".reading").focus({ preventScroll: true }); }
  nav.draw();
  list.redraw();
});
on("close-message", () => {
  if (panes.is_narrow() && history.state?.opened) return history.back(); // the step that opened it: else "back" would lead to the list twice
  if (state.id && panes.is_narrow()) list.follow(state.id);
  Object.assign(state, { id: null, tab: "message" }); route.write(); message.close(); panes.show_pane("list"); list.redraw(); list.focus(); show_unread();
});
on("tab", () => route.write());
on("left", () => {
  const next = list.current();
  if (next && !panes.is_narrow()) return emit("open", next);
  emit("close-message");
});
on("shown", (shown) => {
  list.follow(shown.id);
  show_unread();
  // Read is what has been looked at, not what was passed on the way.
  if (shown.unread) setTimeout(() => { if (message.shown() === shown && shown.unread && !document.hidden) actions.flag([shown], "\\Seen", true, { quiet: true }); }, 500);
});
on("listed", (feed) => { if (feed.error && list.is_of_account(feed.error)) return lost(); live_since(feed); if (state.id) list.follow(state.id); });
on("search-done", () => { list.focus(); if (list.the_feed()?.length) list.move_to(0, { open: false }); });
on("login", log_in);
on("logout", log_out);
on("menu", ({ entries, at }) => menu(entries, at));
on("copy", (text) => copy(text).then(() => say("Copied.")));
on("untag", (tag) => actions.tag(tag, false, [message.shown()]));
on("stale", nav.refresh);
on("theme", () => message.shown() && message.refresh_journey());
on("make-mailbox", async ({ name, then }) => { try { await post("/v1/mailboxes", { name }, { account: state.account }); nav.refresh(); then(); } catch (error) { fail(error); } });
on("context", ({ item, x, y }) => menu([
  { label: "Open", icon: "unread", key: "↵", run: () => emit("open", { ...item, by: "pointer" }) }, { label: item.unread ? "Mark read" : "Mark unread", icon: "read", key: "m", run: () => run_command("read", [item]) }, { label: item.pinned ? "Unpin" : "Pin", icon: "pin", key: "s", run: () => run_command("pin", [item]) },
  { label: "Download as .eml", icon: "down", key: "d", run: () => actions.download(item) }, item.from && { label: "All from this sender", icon: "search", run: () => emit("go", { mailbox: "*", query: `from:${item.from.address}` }) }, "-", { label: "Move to Trash", icon: "trash", key: "Del", run: () => run_command("trash", [item]) }], { x, y }));

// --- the head of the list ---------------------------------------------------------------------------------------------------

let explained = null;
on("explained", (said) => { explained = said; draw_head(); });
on("counted", draw_head);
on("marked", draw_head);
function draw_head() {
  const feed = list.the_feed();
  const some = marked.size || selection.all;
  head.classList.toggle("marking", Boolean(some));
  if (some) {
    const all = feed?.ended ? feed.length : feed?.total, number = selection.all ? all : marked.size;
    head.replaceChildren(h("div", { class: "bulk", role: "toolbar", "aria-label": "Marked messages" }, act("close", "Unmark", "unmark", { key: "Esc" }), h("b", { class: "num", role: "status" }, `${number === null || number === undefined ? "All" : count(number)} marked`), h("span", { class: "space" }),
      act("read", "Read or unread", "read", { key: "m" }), act("pin", "Pin", "pin", { key: "s" }), act("tag", "Tag", "tag", { key: "t" }), act("folder", "Move to…", "move", { key: "v" }), act("trash", "Move to Trash", "trash", { key: "Del" })),
    !selection.all && feed && marked.size < (all ?? Infinity) ? h("p", { class: "all" }, h("button", { type: "button", class: "link", onclick: mark_all }, state.query ? `Mark all ${all ? count(all) : ""} that match` : `Mark all ${all ? count(all) : ""} in ${box_name(state.mailbox)}`)) : "");
    return;
  }
  const wrong = explained?.wrong && state.query;
  head.replaceChildren(h("div", { class: "title" }, h("h1", { dir: "auto" }, state.query === "is:pinned" ? "Pinned" : state.query ? "Found" : box_name(state.mailbox)),
    h("span", { class: "quiet num" }, !feed?.ready ? "" : feed.total === null ? (feed.ended ? count(feed.length) : `${count(feed.loaded)}+`) : `${count(feed.total)}${!state.query && feed.unread ? `, ${count(feed.unread)} unread` : ""}`), h("span", { class: "space" }),
    state.query && state.mailbox !== "*" ? h("button", { type: "button", class: "link quiet", title: "Search all mail  Ctrl ↵", data: { run: "search-everywhere" } }, `in ${box_name(state.mailbox)}`) : ""),
  state.query && explained?.words ? h("p", { class: `explained${wrong ? " wrong" : ""}`, role: "status" }, wrong ? icon("warn") : null, explained.words) : "");
}

// --- live -------------------------------------------------------------------------------------------------------------------

let followed = null;
/** Whose mail is asked for is not there: nothing can be followed. */
function lost() { followed = null; live.stop(); emit("live", "nobody"); }
/** Where a mailbox was not there, it may be by now. */
const found_by_now = () => { if (list.the_feed()?.error?.status !== 404) return false; list.show(); return true; };
document.addEventListener("visibilitychange", () => document.hidden || found_by_now());
function live_since(feed) {
  if (followed === state.account) return;
  followed = state.account;
  live.follow(state.account, feed.modseq);
}
const LIVE = { live: "live", connecting: "connecting", reconnecting: "reconnecting…", offline: "offline", nobody: "" };
let was_live = false;
on("live", (now) => {
  $(".live span").textContent = LIVE[now] || now;
  $(".live").title = now === "live" ? "New mail appears by itself" : "What is shown may be old";
  if (now === "live") { was_live = true; recover(); }
  else if (now === "reconnecting" && was_live) { was_live = false; get("/v1/mailboxes", { account: state.account }).catch((error) => { if (list.is_of_account(error)) { lost(); list.show(); nav.load_mailboxes(); nav.load_accounts(); } }); }
});

const mine = (box) => state.mailbox === "*" || box === state.mailbox;
/** With a search the server decides what matches: the newest page is asked again. */
const again = later(async () => {
  const feed = list.the_feed();
  try { const found = await feed.fresh(); if (feed === list.the_feed()) { list.arrive(found); draw_head(); } } catch { /* the next event asks again */ }
}, 150);
on("live-arrived", (one) => {
  announce(one);
  nav.refresh();
  if (!mine(one.mailbox) || found_by_now()) return;
  for (const tag of one.tags || []) state.tags.set(tag, (state.tags.get(tag) || 0) + 1);
  if (state.query) return again();
  const top = list.the_feed()?.at(0);
  if (top && Date.parse(one.received) + 1000 < Date.parse(top.received)) return resort();
  list.arrive([one]);
});
const resort = later(() => list.show({ stay: true }), 400);
on("live-flags", ({ id, mailbox, uid, unread, pinned, tags, flags }) => {
  const fields = { unread, pinned, tags, flags };
  list.update(key_of({ mailbox, uid }), fields);
  if (message.shown()?.id === id) { emit("flagged", { id, unread, pinned, tags }); message.refresh_journey(); }
  nav.refresh();
  if (state.query && mine(mailbox)) again();
});
on("live-gone", ({ mailbox, uids }) => {
  const keys = (uids || []).map((uid) => key_of({ mailbox, uid }));
  list.vanish(keys);
  forget(keys);
  nav.refresh();
  recount();
});
on("live-mailboxes", () => { nav.refresh(); found_by_now(); });
on("live-gap", () => { resort(); nav.refresh(); });
const recount = later(async () => {
  const feed = list.the_feed();
  try { const said = await get("/v1/messages", { account: state.account, mailbox: state.mailbox, query: state.query, limit: 1 }); if (feed === list.the_feed() && said.total !== null) { feed.total = said.total - list.has_held(); feed.unread = said.unread; list.redraw(); draw_head(); } } catch { /* the next one counts */ }
}, 1200);
on("mailboxes", () => { const box = state.mailboxes.find((one) => one.name === state.mailbox), feed = list.the_feed(); if (box && feed && !state.query) { feed.unread = box.unread; draw_head(); } });
on("reached", (yes) => document.body.classList.toggle("unreached", !yes));

boot().catch(fail);
