// The address of the page: /m/<mailbox>/<id>/<tab>?account=…&q=…, so that every view can be sent to a colleague.
import { BASE } from "./base.js";
import { state } from "./state.js";

/** Views of the server, beside the mail. */
export const VIEWS = ["sessions", "faults", "spaces", "retention"];

/** A part of the address; as it stands where it is spelled wrong. */
function decoded(part) { try { return decodeURIComponent(part); } catch { return part; } }

export function read() {
  const [, first, mailbox, id, tab] = location.pathname.slice(BASE && location.pathname.startsWith(`${BASE}/`) ? BASE.length : 0).split("/").map(decoded);
  const asked = new URLSearchParams(location.search);
  return {
    view: VIEWS.includes(first) ? first : "mail",
    session: first === "sessions" ? mailbox || null : null,
    mailbox: (first === "m" && mailbox) || "INBOX", id: (first === "m" && id) || null, tab: (first === "m" && tab) || "message",
    account: asked.get("account") || "", query: asked.get("q") || "",
  };
}

export function address(where = state) {
  const asked = new URLSearchParams();
  if (where.account && where.account !== state.info?.account?.login) asked.set("account", where.account);
  if (where.view !== "mail") return `${BASE}/${where.view}${where.session ? `/${encodeURIComponent(where.session)}` : ""}${asked.size ? `?${asked}` : ""}`;
  if (where.query) asked.set("q", where.query);
  const parts = [where.mailbox, where.id, where.id && where.tab !== "message" ? where.tab : null].filter(Boolean);
  const path = BASE + (parts.length === 1 && where.mailbox === "INBOX" ? "/" : `/m/${parts.map(encodeURIComponent).join("/")}`);
  return asked.size ? `${path}?${asked}` : path;
}

/** Writes the state into the address; `step` makes it a step that "back" takes back. */
export function write(step = false) {
  const to = address();
  if (to === location.pathname + location.search) return;
  if (step) history.pushState({ opened: true }, "", to);
  else history.replaceState(history.state, "", to);
}
