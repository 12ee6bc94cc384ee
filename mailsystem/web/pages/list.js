// The list: a window of rows over a feed of any length. Nothing moves under the pointer: what arrives while somebody scrolls,
// points or marks waits behind "3 new".
import { $, bones, h, icon, later } from "./dom.js";
import { Feed, key_of } from "./feed.js";
import { age, count, plural, size, subject, time, who } from "./format.js";
import { mark, mark_many, marked, selection } from "./selection.js";
import { emit, on, remembered, run, state } from "./state.js";
import { is_own, missing, nothing_here } from "./empty.js";

const OVER = 8; // rows drawn beyond each edge
const box = $("#list");
const field = h("div", { class: "field" });
const rows = new Map(); // index → element
let feed = null, height = 76, cursor = -1, waiting = [], ghosts = new Set(), pointing = false, pill = null;

export const current = () => feed?.at(cursor);
export const the_feed = () => feed;
export const has_held = () => waiting.length;

export function start() {
  box.classList.remove("bones");
  box.setAttribute("aria-label", "Messages");
  holds_rows(false);
  box.tabIndex = 0;
  pill = h("button", { type: "button", class: "pill", hidden: true, onclick: () => release(true) });
  box.before(pill);
  box.addEventListener("scroll", () => { draw(); if (box.scrollTop < 2 && !pointing) release(); }, { passive: true });
  box.addEventListener("pointerenter", (event) => { pointing = event.pointerType === "mouse"; });
  box.addEventListener("pointerleave", () => { pointing = false; settle(); });
  box.addEventListener("click", clicked);
  box.addEventListener("contextmenu", (event) => { const item = pointed(event); if (!item || event.shiftKey) return; event.preventDefault(); if (event.pointerType !== "touch") { move_to(feed.index_of(key_of(item)), { open: false }); emit("context", { item, x: event.clientX, y: event.clientY }); } });
  new ResizeObserver(() => { measure(); draw(true); }).observe(box);
  on("marked", () => { draw(true); settle(); });
  setInterval(() => draw(true), 30_000);
  measure();
}

/** A list box has nothing in it but its rows; what is said in their place is a group. */
function holds_rows(yes) {
  box.setAttribute("role", yes ? "listbox" : "group");
  if (yes) return box.setAttribute("aria-multiselectable", "true");
  for (const name of ["aria-multiselectable", "aria-activedescendant"]) box.removeAttribute(name);
}

/** Asks again for what could not be had while the server was away. */
export function recover() {
  if (!feed?.error || (feed.error.status && feed.error.status < 500)) return;
  if (feed.ready) feed.retry();
  else show({ stay: true });
}

export function measure() {
  document.body.classList.toggle("compact", remembered("density") === "compact");
  height = Math.round(parseFloat(getComputedStyle(box).getPropertyValue("--row"))) || 76;
  field.style.setProperty("--row", `${height}px`);
}

/** Shows a mailbox or a search. Scrolls to the top unless told to stay. */
export function show({ stay = false } = {}) {
  const keep = stay && feed ? { top: box.scrollTop, key: current() && key_of(current()) } : null;
  feed?.close();
  const mine = (feed = new Feed(state, () => mine === feed && changed(keep)));
  waiting = []; ghosts = new Set();
  if (!keep) { cursor = -1; box.scrollTop = 0; clear(); holds_rows(false); box.replaceChildren(h("div", { class: "skeleton" })); }
  announce();
  const last = keep ? Math.ceil((keep.top + box.clientHeight) / height) + OVER : 60;
  return mine.need(0, last).then(() => mine === feed && emit("listed", mine));
}

function clear() { for (const row of rows.values()) row.remove(); rows.clear(); }

function changed(keep) {
  if (feed.error && !feed.ready) return trouble(feed.error);
  if (feed.ended && feed.length === 0) { clear(); holds_rows(false); box.replaceChildren(nothing_here()); return summary(); }
  if (field.parentNode !== box) { clear(); holds_rows(true); box.replaceChildren(field); }
  if (keep?.key) { const at = feed.index_of(keep.key); if (at >= 0) cursor = at; }
  else if (cursor < 0 && state.id) cursor = Math.max(-1, feed.index_of(key_of(feed.find(state.id) || { mailbox: "", uid: 0 })));
  draw(true);
  summary();
}

function trouble(error) {
  clear();
  holds_rows(false);
  if (error.status === 401) return box.replaceChildren();
  if (error.status === 404) return box.replaceChildren(is_own(state.mailbox) && !is_of_account(error) ? nothing_here() : missing(error)); // some are made when something comes into them
  box.replaceChildren(h("div", { class: "state", role: "alert" }, icon(error.status === 400 ? "search" : "error"),
    h("h2", {}, error.status === 0 ? "The server cannot be reached" : error.status === 400 ? "That search cannot be read" : "The list could not be loaded"),
    h("p", {}, error.status === 400 ? "What is wrong stands above. Text in quotes is looked for as it is." : error.message), error.status === 400 ? null : h("button", { type: "button", onclick: () => { box.replaceChildren(h("div", { class: "skeleton bones" })); feed.retry(); } }, "Try again")));
}

/** Whether it is the account that is not there. */
export const is_of_account = (error) => /^there is no account/.test(error?.message || "");

function draw(again = false) {
  if (!feed?.ready || field.parentNode !== box) return;
  const length = feed.length;
  field.style.setProperty("--rows", String(length));
  const first = Math.max(0, Math.floor(box.scrollTop / height) - OVER);
  const last = Math.min(length, Math.ceil((box.scrollTop + box.clientHeight) / height) + OVER);
  for (const [index, row] of rows) if (index < first || index >= last) { row.remove(); rows.delete(index); }
  const seen = feed.slice(first, last);
  let missing = false;
  for (let index = first; index < last; index += 1) {
    missing ||= !seen[index - first];
    place(index, seen[index - first], again, length);
  }
  if (missing) feed.need(first, last);
  else if (!feed.ended && last > feed.loaded - 40) feed.need(first, feed.loaded + 1);
  const active = rows.get(cursor);
  if (active) box.setAttribute("aria-activedescendant", active.id);
  else box.removeAttribute("aria-activedescendant");
}

function place(index, item, again, length) {
  let row = rows.get(index);
  if (!row) {
    row = blank();
    row.id = `row-${index}`;
    row.style.setProperty("--at", String(index));
    rows.set(index, row);
    field.append(row);
  } else if (!again && row.item === item) return;
  fill(row, item, index, length);
}

function blank() {
  const part = (name, more = {}) => h("span", { class: name, ...more });
  const row = h("div", { class: "row", role: "option" });
  row.parts = { from: part("from", { dir: "auto" }), age: part("age num"), subject: part("subj", { dir: "auto" }), tags: part("tags"), snippet: part("snip", { dir: "auto" }), marks: part("marks num") };
  const quick = h("span", { class: "quick", "aria-hidden": "true" }, [["read", "m", "Read or unread"], ["pin", "s", "Pin"], ["trash", "Del", "Move to Trash"]].map(([name, key, label]) => h("span", { class: "do", title: `${label}  ${key}`, data: { do: name } }, icon(name === "read" ? "unread" : name))));
  row.append(h("span", { class: "tick", title: "Select  x", data: { do: "mark" }, "aria-hidden": "true" }, icon("check")),
    h("span", { class: "l1" }, row.parts.from, row.parts.marks, row.parts.age), h("span", { class: "l2" }, row.parts.subject),
    h("span", { class: "l3" }, row.parts.tags, row.parts.snippet), quick);
  return row;
}

function fill(row, item, index, length) {
  const { from, age: at, subject: subj, tags, snippet, marks } = row.parts;
  const same = row.item === item && item !== undefined;
  row.item = item;
  row.classList.toggle("bones", !item);
  row.setAttribute("aria-posinset", index + 1);
  row.setAttribute("aria-setsize", feed.total ?? (feed.ended ? length : -1));
  if (!item) {
    for (const one of [at, tags, marks]) one.replaceChildren();
    from.replaceChildren(bones("9em")); subj.replaceChildren(bones(`${14 + ((index * 7) % 9)}em`)); snippet.replaceChildren(bones("70%"));
    row.className = "row bones"; row.setAttribute("aria-label", "loading"); row.setAttribute("aria-selected", "false");
    return;
  }
  const is_marked = selection.all || marked.has(key_of(item));
  row.className = `row${item.unread ? " un" : ""}${item.pinned ? " pinned" : ""}${is_marked ? " marked" : ""}${index === cursor ? " at" : ""}${item.id === state.id ? " open" : ""}${item.fresh ? " fresh" : ""}${ghosts.has(key_of(item)) ? " ghost" : ""}`;
  row.setAttribute("aria-selected", String(is_marked || (!marked.size && index === cursor)));
  at.textContent = age(item.received);
  if (same) return;
  const outgoing = /^(sent|drafts)/i.test(item.mailbox) && item.to?.length;
  const sender = outgoing ? `To ${item.to.map(who).join(", ")}` : who(item.from) || "(no sender)";
  from.textContent = sender;
  row.title = "";
  at.title = time(item.received);
  subj.textContent = subject(item);
  snippet.textContent = item.snippet || "";
  tags.replaceChildren(...(state.mailbox === "*" ? [h("span", { class: "tag place" }, item.mailbox)] : []), ...(item.tags || []).slice(0, 3).map((tag) => h("span", { class: "tag" }, tag)));
  marks.replaceChildren(...[item.attachments > 0 && icon("clip"), h("span", { class: "size" }, size(item.size)), item.pinned && icon("pin", "full")].filter(Boolean));
  row.setAttribute("aria-label", [item.unread ? "Unread." : "", item.pinned ? "Pinned." : "", `${sender}.`, `${subject(item)}.`, `${at.title}, ${size(item.size)}.`, item.attachments ? `${plural(item.attachments, "attachment")}.` : ""].join(" "));
}

// --- moving about ---------------------------------------------------------------------------------------------------------

export function move_to(index, { open = true, focus = false, extend = false } = {}) {
  if (!feed?.ready || feed.length === 0) return;
  const to = Math.max(0, Math.min(feed.length - 1, index));
  if (extend) { if (selection.anchor < 0) selection.anchor = Math.max(0, cursor); mark_range(selection.anchor, to); }
  cursor = to;
  const top = to * height;
  if (top < box.scrollTop) box.scrollTop = top;
  else if (top + height > box.scrollTop + box.clientHeight) box.scrollTop = top + height - box.clientHeight;
  draw(true);
  if (focus) box.focus({ preventScroll: true });
  const item = feed.at(to);
  if (open && item) emit("open", item);
}
export const step = (by, more) => move_to(cursor < 0 ? (by > 0 ? 0 : feed.length - 1) : cursor + by, more);
export const page_step = (by, more) => step(by * Math.max(1, Math.floor(box.clientHeight / height) - 1), more);
export const to_end = (more) => move_to(feed.length - 1, more);
export const redraw = () => draw(true);
export const focus = () => box.focus({ preventScroll: true });

/** The cursor follows a message that was opened from elsewhere. */
export function follow(id) {
  const item = feed?.find(id);
  const at = item ? feed.index_of(key_of(item)) : -1;
  if (at >= 0) cursor = at;
  draw(true);
}
function mark_range(from, to) {
  const [low, high] = from < to ? [from, to] : [to, from];
  mark_many(feed.slice(low, high + 1).filter(Boolean));
}

function pointed(event) {
  const row = event.target.closest(".row");
  return row?.item;
}
function clicked(event) {
  const item = pointed(event);
  if (!item) return;
  const index = feed.index_of(key_of(item)), doing = event.target.closest("[data-do]")?.dataset.do;
  if (doing === "mark" || event.ctrlKey || event.metaKey) { selection.anchor = index; return mark(item); }
  if (event.shiftKey) { if (selection.anchor < 0) selection.anchor = Math.max(0, cursor); return mark_range(selection.anchor, index); }
  if (doing) return run(doing, [item]);
  if (marked.size && matchMedia("(pointer: coarse)").matches) return mark(item);
  move_to(index, { open: false });
  emit("open", { ...item, by: "pointer" });
}

// --- what changes while one looks -----------------------------------------------------------------------------------------

const held = () => box.scrollTop > 2 || pointing || marked.size > 0;

export function arrive(items) {
  if (!feed?.ready) return;
  waiting = [...items.filter((one) => !feed.by_key.has(key_of(one)) && !waiting.some((other) => key_of(other) === key_of(one))), ...waiting];
  if (!held()) release();
  else announce();
}
/** Lets in what waits. */
export function release(to_top = false) {
  if (waiting.length && feed) {
    const key = current() && key_of(current());
    const came = waiting.map((one) => ({ ...one, fresh: true }));
    waiting = [];
    feed.prepend(came);
    if (key) cursor = feed.index_of(key);
    changed();
    setTimeout(() => { for (const one of came) { const kept = feed.by_key.get(key_of(one)); if (kept) kept.fresh = false; } }, 1500);
  }
  if (to_top) box.scrollTo({ top: 0, behavior: box.scrollTop > 4 * box.clientHeight ? "instant" : "smooth" });
  announce();
}
function announce() {
  if (!pill) return;
  pill.hidden = waiting.length === 0;
  pill.replaceChildren(icon("down", "up"), `${count(waiting.length)} new`);
  pill.title = "Show what is new  n";
}

const settle = later(() => {
  if (held()) return;
  if (ghosts.size) drop([...ghosts]);
  release();
}, 250);

/** Messages that somebody else took away: they fade where they are while the pointer is over the list. */
export function vanish(keys) {
  waiting = waiting.filter((one) => !keys.includes(key_of(one)));
  const here = keys.filter((key) => feed?.by_key.has(key));
  if (pointing && here.length) { for (const key of here) ghosts.add(key); draw(true); announce(); return; }
  drop(here);
  announce();
}
export function drop(keys) {
  if (!feed) return;
  const old = current();
  for (const key of keys) ghosts.delete(key);
  const before = keys.map((key) => feed.index_of(key)).filter((at) => at >= 0 && at < cursor).length;
  if (!feed.remove(keys)) return;
  cursor = old ? Math.min(cursor - before, feed.length - 1) : cursor;
  changed();
}
export function update(key, fields) {
  waiting = waiting.map((one) => (key_of(one) === key ? { ...one, ...fields } : one));
  if (feed?.update(key, fields)) draw(true);
}

const summary = () => emit("counted", feed);
