// What is done to messages: at once on the page, then by the server; undone where that can be.
import { get, patch, post, url } from "./api.js";
import { key_of } from "./feed.js";
import { box_name, count, plural } from "./format.js";
import * as list from "./list.js";
import { forget, marked, selection, unmark } from "./selection.js";
import { emit, state } from "./state.js";
import { fail, say } from "./undo.js";

const account = () => ({ account: state.account });
export const one = (id) => `/v1/messages/${encodeURIComponent(id)}`;

/** The messages meant: the marked ones, else the one open or under the cursor. */
export function meant() {
  if (marked.size) return [...marked.values()];
  const open = state.id && list.the_feed()?.find(state.id);
  const found = open || list.current() || state.message;
  return found ? [found] : [];
}
const by_mailbox = (items) => Object.entries(Object.groupBy ? Object.groupBy(items, (item) => item.mailbox) : items.reduce((all, item) => ({ ...all, [item.mailbox]: [...(all[item.mailbox] || []), item] }), {}));

async function bulk(items, change) {
  let changed = 0;
  for (const [mailbox, group] of by_mailbox(items))
    for (let at = 0; at < group.length; at += 500) {
      const answer = await post("/v1/messages/bulk", { ids: group.slice(at, at + 500).map((item) => item.id), mailbox, ignore_missing: true, ...change }, account());
      changed += answer?.changed ?? 0;
    }
  return changed;
}

/** Every message of the list, also those not loaded, as {id, mailbox, uid}. */
async function everything() {
  const found = [];
  let cursor = null;
  do {
    const page = await get("/v1/messages", { ...account(), mailbox: state.mailbox, query: state.query, limit: 500, cursor });
    found.push(...page.messages);
    cursor = page.next;
  } while (cursor);
  return found;
}
async function targets(given) {
  if (given) return given;
  if (!selection.all) return meant();
  say("Looking for all of them…");
  return everything();
}

function leave(items) {
  const keys = items.map(key_of), open = items.some((item) => item.id === state.id);
  list.drop(keys);
  forget(keys);
  if (selection.all) unmark();
  if (open) emit("left", items);
}
const trash_name = () => state.mailboxes.find((box) => box.special_use === "\\Trash")?.name || "Trash";
const words = (items) => (items.length === 1 ? "Message" : plural(items.length, "message"));

export async function trash(given) {
  const items = await targets(given);
  if (!items.length) return;
  const bin = trash_name();
  if (items.every((item) => item.mailbox === bin)) return purge(items);
  await move(items.filter((item) => item.mailbox !== bin), bin, `${words(items)} moved to Trash.`, { delete: "trash" });
}

export async function move(given, to, said = null, change = { move_to: to }) {
  const items = await targets(given);
  if (!items.length) return;
  leave(items);
  try {
    await bulk(items, change);
    say(said || `${words(items)} moved to ${box_name(to)}.`, {
      undo: async () => {
        for (const [mailbox, group] of by_mailbox(items)) await bulk(group.map((item) => ({ ...item, mailbox: to })), { move_to: mailbox });
        await list.show({ stay: true });
      },
    });
  } catch (error) { fail(error); list.show({ stay: true }); }
  emit("stale");
}

export async function purge(given) {
  const items = await targets(given);
  if (!items.length) return;
  emit("confirm", {
    title: items.length === 1 ? "Delete this message for ever?" : `Delete ${count(items.length)} messages for ever?`,
    words: "This cannot be undone.", action: "Delete for ever",
    run: async () => {
      leave(items);
      try { await bulk(items, { delete: "permanent" }); say(`${words(items)} deleted for ever.`); } catch (error) { fail(error); list.show({ stay: true }); }
      emit("stale");
    },
  });
}

const LOOKS = { "\\Seen": (yes) => ({ unread: !yes }), "\\Flagged": (yes) => ({ pinned: yes }) };

/** Sets or takes a flag or a tag. */
export async function flag(given, name, yes, { said = null, quiet = false } = {}) {
  const items = await targets(given);
  if (!items.length) return;
  const look = (item, on) => ({ ...(LOOKS[name]?.(on) || {}), ...(name.startsWith("\\") ? {} : { tags: on ? [...new Set([...(item.tags || []), name])] : (item.tags || []).filter((tag) => tag !== name) }) });
  const show = (on) => { for (const item of items) { const fields = look(item, on); list.update(key_of(item), fields); emit("flagged", { id: item.id, ...fields }); } };
  // What the page does by itself shall complain of nothing that somebody has taken away meanwhile.
  const send = (on) => (items.length === 1 && !quiet ? patch(one(items[0].id), { [on ? "add_flags" : "remove_flags"]: [name] }, { ...account(), mailbox: items[0].mailbox }) : bulk(items, { [on ? "add_flags" : "remove_flags"]: [name] }));
  show(yes);
  if (selection.all) unmark();
  try {
    await send(yes);
    if (!quiet && said) say(said, { undo: async () => { show(!yes); await send(!yes); } });
  } catch (error) { show(!yes); fail(error); }
  emit("stale");
}

export async function toggle_read(given) {
  const items = given || (selection.all ? null : meant());
  const read = items ? items.some((item) => item.unread) : true;
  const n = items?.length ?? list.the_feed()?.total ?? 2;
  await flag(items, "\\Seen", read, { said: n > 1 ? `${count(n)} marked ${read ? "read" : "unread"}.` : read ? null : "Marked unread." });
}
export async function toggle_pin(given) {
  const items = given || (selection.all ? null : meant());
  const pin = items ? items.some((item) => !item.pinned) : true;
  await flag(items, "\\Flagged", pin, { said: pin ? "Pinned." : "No longer pinned." });
}
export const tag = (name, yes = true, given = null) => flag(given, name, yes, { said: yes ? `Tagged “${name}”.` : `“${name}” taken off.` });

export function download(item) {
  const link = document.createElement("a");
  link.href = url(`${one(item.id)}/raw`, { download: 1, ...account() });
  link.download = "";
  link.click();
}
