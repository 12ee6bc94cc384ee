// The side: whose mail, which mailbox, which tag, and the server's own pages.
import { BASE } from "./base.js";
import { get } from "./api.js";
import { box_icon } from "./commands.js";
import { $, h, icon, later } from "./dom.js";
import { box_name, count, initial, keeps, plural, tint } from "./format.js";
import { emit, on, sees_all, sees_faults, sees_spaces, state } from "./state.js";

const side = $(".side");
const ORDER = ["INBOX", "\\Drafts", "\\Sent", "\\Archive", "\\Junk", "\\Trash"];
const rank = (box) => { const at = ORDER.indexOf(box.name === "INBOX" ? "INBOX" : box.special_use); return at < 0 ? 10 : at; };

export async function load_accounts() {
  try { state.accounts = (await get("/v1/accounts")).accounts; } catch { state.accounts = []; }
  draw();
}
/** How many rules for faults are in force: whoever wonders why mail is refused shall see it. */
export async function load_faults() {
  if (!sees_faults()) return;
  try { state.faults = (await get("/v1/faults")).faults; } catch { state.faults = []; }
  draw();
}
on("faults", (faults) => { const before = in_force(); state.faults = faults; if (before !== in_force()) draw(); });
const in_force = () => state.faults.filter((one) => !one.spent).length;
document.addEventListener("visibilitychange", () => { if (!document.hidden && state.info && state.view !== "faults") load_faults(); });

export async function load_mailboxes() {
  const account = state.account;
  try {
    const answer = await get("/v1/mailboxes", { account });
    if (account !== state.account) return;
    state.mailboxes = answer.mailboxes.toSorted((one, other) => rank(one) - rank(other) || one.name.localeCompare(other.name));
  } catch (error) { if (error.status !== 404) return; state.mailboxes = []; }
  draw();
  emit("mailboxes");
}
export const refresh = later(() => { load_mailboxes(); if (state.accounts.length > 1) load_accounts(); }, 400);

const entry = ({ label, name, number, on, run, title, tone = "" }) => h("a", { href: "#", role: "link", class: `${on ? "on" : ""}${tone}`, "aria-current": on ? "page" : null, title, onclick: (event) => { event.preventDefault(); run(); } },
  icon(name), h("span", { class: "name", dir: "auto" }, label), number ? h("span", { class: "num" }, number) : null);
const go = (where) => () => emit("go", { view: "mail", ...where });

export function draw() {
  if (!state.info) return;
  const mail = state.view === "mail", plain = mail && !state.query;
  const many = state.accounts.length > 1, login = state.account || state.info.account?.login || "";
  const view = (name, label, which = name, more = {}) => entry({ label, name: which, on: state.view === name, run: () => emit("go", { view: name, session: null }), ...more });
  const space = login.startsWith("space:"), spaces = state.accounts.filter((one) => one.kind === "space").length, faults = in_force();
  const kept = side.scrollTop, focused = side.contains(document.activeElement) ? [...side.querySelectorAll("a, button")].indexOf(document.activeElement) : -1;
  const box_entry = (box) => {
    const parent = box.name.slice(0, box.name.lastIndexOf("/")), nested = parent && state.mailboxes.some((other) => other.name === parent);
    const made = entry({
      label: nested ? box.name.slice(parent.length + 1) : box_name(box.name).replaceAll("/", " / "), name: box_icon(box), number: box.unread ? count(box.unread) : "", title: `${box.name}: ${count(box.total)}, ${count(box.unread)} unread`,
      on: plain && state.mailbox === box.name, run: go({ mailbox: box.name, query: "" }),
    });
    if (nested) made.style.setProperty("--deep", String(Math.min(4, box.name.split("/").length - 1)));
    return made;
  };
  const special = state.mailboxes.filter((box) => rank(box) < 10), own = state.mailboxes.filter((box) => rank(box) === 10);
  const tags = [...state.tags].sort((one, other) => other[1] - one[1]).slice(0, 12).map(([tag]) => tag).sort();
  side.replaceChildren(
    h("button", { type: "button", class: "account", "aria-haspopup": many ? "dialog" : null, title: many ? "Another account  g c" : login, data: many ? { run: "account" } : {} },
      h("span", { class: "av", vars: { "--tint": `var(--tint-${tint(login)})`, "--tint-soft": `var(--tint-${tint(login)}-soft)` } }, space ? icon("space") : initial({ address: login })),
      h("span", { class: "name" }, login === "sink" ? "Everything" : space ? login.slice(6) : login, h("small", {}, space ? "a space" : many ? `${count(state.accounts.length)} accounts` : state.info.hostname || "")), many ? icon("chevron") : null),
    h("div", { class: "group" }, special.slice(0, 1).map(box_entry), entry({ label: "Pinned", name: "pin", on: mail && state.query === "is:pinned", run: go({ mailbox: "*", query: "is:pinned" }) }),
      special.slice(1).map(box_entry), entry({ label: "All mail", name: "all", on: plain && state.mailbox === "*", run: go({ mailbox: "*", query: "" }) })),
    own.length ? h("h2", {}, "Folders") : "", own.length ? h("div", { class: "group" }, own.map(box_entry)) : "",
    tags.length ? h("h2", {}, "Tags") : "", tags.length ? h("div", { class: "group" }, tags.map((tag) => entry({ label: tag, name: "tag", on: mail && state.query === tag_query(tag), run: go({ mailbox: "*", query: tag_query(tag) }) }))) : "",
    sees_all() ? h("h2", {}, "Server") : "", !sees_all() ? "" : h("div", { class: "group" }, view("sessions", "SMTP sessions"),
      sees_faults() && view("faults", "Faults", "fault", faults ? { number: count(faults), tone: " amiss", title: `${plural(faults, "rule")} in force` } : {}), sees_spaces() && view("spaces", "Spaces", "space", { number: spaces ? count(spaces) : "" }),
      state.info.role === "sink" ? h("a", { href: `${BASE}/flow` }, icon("flow"), h("span", { class: "name" }, "Flow")) : null),
    h("div", { class: "group kept" }, entry({ label: `Kept: ${keeps(state.info.retention)}`, name: "clock", on: state.view === "retention", run: () => emit("go", { view: "retention", session: null }), title: "How long mail is kept, what goes next and what went" })));
  side.scrollTop = kept;
  if (focused >= 0) side.querySelectorAll("a, button")[focused]?.focus({ preventScroll: true });
}
const tag_query = (tag) => (/[\s()"]/.test(tag) ? `tag:"${tag}"` : `tag:${tag}`);
