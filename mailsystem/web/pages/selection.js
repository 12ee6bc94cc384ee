// Which messages are marked for an action on several: by key, or "all that match" without naming them.
import { key_of } from "./feed.js";
import { emit } from "./state.js";

export const marked = new Map(); // key → {id, mailbox, uid}
export const selection = { all: false, loaded: false, anchor: -1 };

const said = () => emit("marked");
export function mark(message, yes = !marked.has(key_of(message))) {
  if (yes) marked.set(key_of(message), message);
  else { marked.delete(key_of(message)); Object.assign(selection, { all: false, loaded: false }); }
  said();
}
export function mark_many(messages, yes = true) {
  for (const one of messages) {
    if (yes) marked.set(key_of(one), one);
    else marked.delete(key_of(one));
  }
  said();
}
export function mark_all() { selection.all = true; said(); }
export function unmark() {
  if (!marked.size && !selection.all) return false;
  marked.clear();
  Object.assign(selection, { all: false, loaded: false, anchor: -1 });
  said();
  return true;
}
export function forget(keys) {
  let any = false;
  for (const key of keys) any = marked.delete(key) || any;
  if (any) said();
}
