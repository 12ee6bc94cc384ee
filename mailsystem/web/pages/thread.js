// The conversation that a message is part of: what it answers and what answers it, by References and In-Reply-To (RFC 5322 3.6.4).
import { one } from "./actions.js";
import { get } from "./api.js";
import { h } from "./dom.js";
import { age, plain, plural, time, who } from "./format.js";
import { emit, remember, remembered } from "./state.js";

const MOST = 60; // messages that are asked for

/** A Message-ID in its brackets, so that no longer one is found by its end; null where it cannot be looked for. */
function whole(id) {
  const found = (id || "").trim().replace(/^<|>$/g, "");
  return /^[^\s"\\<>()]{1,250}$/.test(found) ? `<${found}>` : null;
}

/** The Message-ID of what the conversation began with, as far as the message tells. */
async function first_of(message, where, signal) {
  if (!message.in_reply_to) return whole(message.message_id);
  const { headers } = await get(`${one(message.id)}/headers`, where, { signal });
  const references = headers.find((field) => /^references$/i.test(field.name))?.value || "";
  return whole(references.match(/<[^<>\s]+>/)?.[0]) || whole(message.in_reply_to);
}

/** All of it, the oldest first; null where the message stands alone. */
export async function conversation(message, where, signal) {
  const first = await first_of(message, where, signal);
  if (!first) return null;
  const query = `message-id:"${first}" OR header:References="${first}" OR header:In-Reply-To="${first}"`;
  const { messages } = await get("/v1/messages", { account: where.account, mailbox: "*", query, limit: MOST }, { signal });
  const each = new Map([...messages.filter((item) => item.id !== message.id || item.mailbox === message.mailbox), ...messages].reverse().map((item) => [item.id, item]));
  if (each.size < 2 || !each.has(message.id)) return null;
  const all = [...each.values()].sort((early, late) => Date.parse(early.received) - Date.parse(late.received));
  const row = (item) => h("li", {}, h("button", { type: "button", class: "bare", "aria-current": item.id === message.id ? "true" : null, title: time(item.received), onclick: () => item.id !== message.id && emit("open", { ...item, by: "pointer" }) },
    h("b", { dir: "auto" }, who(item.from) || "(no sender)"), h("span", { class: "quiet snip", dir: "auto" }, plain(item.snippet)), h("span", { class: "quiet num" }, age(item.received))));
  return h("details", { class: "thread", open: remembered("thread", false), ontoggle: (event) => remember("thread", event.currentTarget.open) },
    h("summary", { title: "The conversation  h" }, `${plural(all.length, "message")}${messages.length === MOST ? " and more" : ""} in this conversation`), h("ol", {}, all.map(row)));
}
