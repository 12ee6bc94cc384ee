// The flow page: follows /v1/flow, draws it, and lets one pause, open, save, and play a scene.
import { BASE } from "./base.js";
import { $, h, icon } from "./dom.js";
import { Board, clock, spell } from "./flow-board.js";
import { Flow, visible } from "./flow-model.js";

const flow = new Flow(innerWidth < 760 ? { senders: 1, readers: 2, askers: 1 } : { senders: 3, readers: 4, askers: 2 });
const sheet = $("main"), list = $(".lines"), board = new Board($(".lanes"), list, flow);
const MOST_WAITING = 3000;
let waiting = [], paused = false, following = true, due = 0, last_id = 0, newest = 0, told_before = 0, dropped = 0, opened_all = false;

// What comes in

function connect() {
  const source = new EventSource(`${BASE}/v1/flow`);
  say("connecting", "connecting");
  source.addEventListener("ready", (event) => {
    const told = JSON.parse(event.data);
    if (told.boot !== flow.boot) {
      last_id = 0;
      told_before = newest; // by another process, which numbers otherwise what it was told as well
    }
    enqueue({ name: "ready", ...told });
    say("live", "live");
  });
  source.addEventListener("missed", (event) => enqueue({ name: "missed", count: JSON.parse(event.data).count }));
  source.addEventListener("message", (event) => {
    const told = JSON.parse(event.data);
    if (told.id <= last_id) return;
    last_id = told.id;
    if (told.time <= told_before) return;
    newest = Math.max(newest, told.time);
    enqueue(told);
  });
  source.addEventListener("error", () => {
    say("reconnecting", "no connection");
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
  });
}

function enqueue(event) {
  waiting.push(event);
  if (waiting.length > MOST_WAITING) { dropped += waiting.length - MOST_WAITING; waiting.splice(0, waiting.length - MOST_WAITING); }
  if (paused) tell_paused(); else schedule();
}
// No animation frame: a tab that nobody sees gets none, and would lose what does not fit into `waiting`.
function schedule() { if (!due) due = setTimeout(show, 60); }

function show() {
  due = 0;
  if (paused) return;
  const events = waiting;
  waiting = [];
  if (dropped) { flow.missed(dropped, events[0]?.time || Date.now() / 1000); dropped = 0; }
  for (const event of events) {
    if (event.name === "ready") flow.ready(event);
    else if (event.name === "missed") flow.missed(event.count, flow.last ?? Date.now() / 1000);
    else flow.take(event);
  }
  draw();
}

function draw() {
  if (flow.changed) flow.tidy();
  if (opened_all) for (const row of flow.rows) if (row.open === undefined && row.kind === "exchange") row.open = true;
  board.draw();
  const empty = flow.rows.length === 0;
  $(".empty").hidden = !empty;
  $(".board").hidden = empty;
  for (const name of ["save", "clear", "open"]) $(`[data-run=${name}]`).disabled = empty;
  facts();
  const play = $("[data-run=demo]");
  for (const button of document.querySelectorAll("[data-run=demo]")) button.disabled = Boolean(flow.playing);
  $("span", play).textContent = flow.playing ? "Playing…" : "Play the demo";
  if (following) sheet.scrollTop = sheet.scrollHeight;
  tell_follow();
}

function facts() {
  const { push, pull } = flow.facts, name = (lane) => visible(flow.lanes.get(lane)?.title || "the client");
  $(".facts").replaceChildren(
    push ? h("li", { class: "push" }, h("b", {}, spell(push.ms)), h("span", {}, `until ${name(push.lane)} was told, unasked`)) : "",
    pull ? h("li", { class: "pull" }, h("b", {}, spell(pull.ms)), h("span", {}, `until ${name(pull.lane)} came and asked`)) : "",
  );
}

// What one does

function say(state, words) { document.body.dataset.live = state; $(".live span").textContent = paused ? "paused" : words; }
function tell_paused() {
  const button = $("[data-run=pause]");
  button.setAttribute("aria-pressed", String(paused));
  button.replaceChildren(icon(paused ? "play" : "pause"), h("span", {}, paused ? (waiting.length ? `Go on (${waiting.length})` : "Go on") : "Pause"));
  button.title = paused ? "Go on  p" : "Pause  p";
  document.body.classList.toggle("paused", paused);
  $(".live span").textContent = paused ? "paused" : document.body.dataset.live === "live" ? "live" : "no connection";
}
function tell_follow() { $(".pill").hidden = following || sheet.scrollHeight - sheet.clientHeight - sheet.scrollTop < 80; }

const RUN = {
  pause() { paused = !paused; tell_paused(); if (!paused) show(); },
  clear() { flow.clear(); flow.tidy(); draw(); },
  follow() { following = true; sheet.scrollTop = sheet.scrollHeight; tell_follow(); },
  open() {
    opened_all = !opened_all;
    for (const row of flow.rows) if (row.kind === "exchange") row.open = opened_all;
    for (const one of list.querySelectorAll("details")) one.open = opened_all;
    tell_open();
  },
  async demo() {
    if (flow.playing) return;
    if (paused) RUN.pause();
    RUN.follow();
    const answer = await fetch(`${BASE}/v1/flow/demo`, { method: "POST" }).catch(() => null);
    if (!answer?.ok) toast((await answer?.json().catch(() => null))?.detail || "The server cannot be reached.");
  },
  save() {
    const link = h("a", { href: URL.createObjectURL(new Blob([whole()], { type: "text/html" })), download: `flow-${new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-")}.html` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    toast("Saved as one file that needs nothing else.");
  },
  theme() {
    const dark = getComputedStyle(document.documentElement).colorScheme === "dark" || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
    document.documentElement.dataset.theme = dark ? "light" : "dark";
    try { localStorage.setItem("mailsystem", JSON.stringify({ ...JSON.parse(localStorage.getItem("mailsystem") || "{}"), theme: dark ? "light" : "dark" })); } catch { /* no storage */ }
  },
  keys() { $("dialog").showModal(); },
  inbox() { location.href = `${BASE}/`; },
};
const KEYS = { p: "pause", d: "demo", o: "open", s: "save", c: "clear", f: "follow", End: "follow", D: "theme", "?": "keys", i: "inbox" };

function tell_open() { const button = $("[data-run=open]"); button.lastElementChild.textContent = opened_all ? "Close all" : "Open all"; button.setAttribute("aria-pressed", String(opened_all)); }

function toast(words) {
  const made = h("div", { class: "toast" }, words);
  $(".toasts").replaceChildren(made);
  setTimeout(() => made.remove(), 5000);
}

/** What is on the page as one file: its own styles, no script, nothing to be loaded. */
function whole() {
  const rules = [...document.styleSheets].flatMap((one) => [...one.cssRules]).map((rule) => rule.cssText).join("\n");
  const kept = $("main").cloneNode(true);
  for (const one of kept.querySelectorAll(".empty, .pill, [hidden]")) one.remove();
  const written = new XMLSerializer().serializeToString(kept).replaceAll(' xmlns="http://www.w3.org/1999/xhtml"', "");
  const theme = document.documentElement.dataset.theme, now = new Date();
  const foot = `<footer>Drawn by mailsystem on ${now.toISOString().slice(0, 10)} at ${clock(now / 1000)}. Passwords and the texts of messages were never in it.</footer>`;
  return `<!doctype html>\n<html lang="en"${theme ? ` data-theme="${theme}"` : ""}><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">`
    + `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"><title>Flow, ${now.toISOString().slice(0, 16).replace("T", " ")}</title>`
    + `<style>\n${rules.replaceAll("</", "<\\/")}\n</style></head><body class="flow saved"><div class="stripe"></div>${written.replace(/<\/main>$/, `${foot}</main>`)}</body></html>\n`;
}

document.addEventListener("click", (event) => { const run = event.target.closest("[data-run]")?.dataset.run; if (RUN[run]) RUN[run](); });
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("dialog").open) return;
  if (event.key === "j" || event.key === "k") { event.preventDefault(); step(event.key === "j" ? 1 : -1); return; }
  const run = KEYS[event.key];
  if (run) { event.preventDefault(); RUN[run](); }
});
function step(by) {
  const all = [...list.querySelectorAll("summary")], at = all.indexOf(document.activeElement);
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : at + by];
  if (next) { following = false; next.focus({ preventScroll: true }); next.scrollIntoView({ block: "center" }); }
}
sheet.addEventListener("scroll", () => { following = sheet.scrollHeight - sheet.clientHeight - sheet.scrollTop < 24; tell_follow(); }, { passive: true });
list.addEventListener("toggle", () => { if (!opened_all) following = sheet.scrollHeight - sheet.clientHeight - sheet.scrollTop < 24; tell_follow(); }, true);
list.addEventListener("click", (event) => { if (event.target.closest("summary")) following = false; });
addEventListener("resize", () => { if (following) sheet.scrollTop = sheet.scrollHeight; });

for (const [name, from] of [["pause", "pause"], ["open", "lines"], ["clear", "trash"], ["save", "down"], ["demo", "play"]]) for (const button of document.querySelectorAll(`[data-run=${name}]`)) button.prepend(icon(from));
for (const button of document.querySelectorAll("[data-run=keys]")) button.prepend(icon("keys"));
for (const button of document.querySelectorAll("[data-run=theme]")) button.prepend(icon("auto"));

const answer = await fetch(`${BASE}/v1/info`).catch(() => null);
const info = answer?.ok ? await answer.json() : null;
if (answer?.status === 401) location.href = `${BASE}/`;
else if (info && info.role !== "sink" && !info.user?.admin) { $(".empty").replaceChildren(h("h2", {}, "Only administrators see this"), h("p", {}, "The flow shows everybody's sessions.")); say("offline", "not allowed"); }
else {
  if (info) {
    flow.lanes.get("server").note = info.hostname;
    flow.changed = true;
    $(".ports").replaceChildren(...["smtp", "imap", "pop3"].filter((name) => info.ports[name]).map((name) => h("li", {}, h("b", {}, name.toUpperCase()), " ", h("code", {}, info.ports[name]))));
    if (info.role !== "sink" || info.user) for (const button of document.querySelectorAll("[data-run=demo]")) button.hidden = true;
  }
  connect();
}
