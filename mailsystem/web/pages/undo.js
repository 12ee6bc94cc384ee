// Short words at the lower edge, and the way back from what was done.
import { $, h } from "./dom.js";

const done = []; // {undo}, the latest last
let shown = null;

/** Says something for a few seconds; with a way back if there is one. */
export function say(words, { undo = null, bad = false, action = null, ms = undo || action ? 9000 : bad ? 7000 : 3500 } = {}) {
  shown?.remove();
  const entry = undo ? { undo } : null;
  if (entry) { done.push(entry); if (done.length > 30) done.shift(); }
  const toast = h("div", { class: `toast${bad ? " bad" : ""}`, role: bad ? "alert" : null }, h("span", {}, words),
    entry && h("button", { type: "button", title: "Undo  z", onclick: () => take_back(entry) }, "Undo"),
    action && h("button", { type: "button", onclick: () => { toast.remove(); action.run(); } }, action.label));
  shown = toast;
  $(".toasts").append(toast);
  let left = setTimeout(() => toast.remove(), ms);
  toast.addEventListener("pointerenter", () => clearTimeout(left));
  toast.addEventListener("pointerleave", () => { left = setTimeout(() => toast.remove(), 2500); });
}

export async function take_back(entry = done.at(-1)) {
  if (!entry) return say("There is nothing to undo.");
  done.splice(done.indexOf(entry), 1);
  shown?.remove();
  try { await entry.undo(); say("Undone."); } catch (error) { fail(error); }
}

export const fail = (error) => error.name !== "AbortError" && say(error.message || "That did not work.", { bad: true });
