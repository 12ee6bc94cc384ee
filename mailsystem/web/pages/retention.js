// How long mail is kept: the limits of an account, what it has of them, what goes next and what went.
import { BASE } from "./base.js";
import { get } from "./api.js";
import { h, icon } from "./dom.js";
import { count, date, plural, size, span, time } from "./format.js";
import { card, frame, look_again, pane, redrawn, watch } from "./server-view.js";
import { change_space } from "./space-forms.js";
import { emit, may, state } from "./state.js";
import { fail } from "./undo.js";

const WHY = { age: "too old", messages: "too many", octets: "too large" };
const SHOWN = 12, DAYS = 30, DAY = 86_400_000;

export const show_retention = () => watch("retention", () => get("/v1/retention", { account: state.account }), (said) => redrawn(() => draw(said)), { ms: 10_000, always: true });

const whose = () => (state.account === "sink" ? "the copy of everything (sink)" : state.account || state.info.account?.login);

function draw(said) {
  const { limits, kept, next, gone } = said, some = limits.age || limits.messages || limits.octets;
  const closed = pane.querySelector(".view details")?.open;
  pane.replaceChildren(frame("Kept mail", some ? `What ${whose()} has, what goes next and what went. Pinned messages never go, however old they are and however many.` : `Everything that ${whose()} has is kept for ever: nothing goes by itself.`, {},
    h("div", { class: "limits" }, limit("clock", "Age", limits.age ? span(limits.age) : null, limits.age ? oldest(next) : "however old"),
      limit("inbox", "Messages", limits.messages ? count(limits.messages) : null, `${count(kept.messages)} kept`, limits.messages ? kept.messages / limits.messages : null),
      limit("archive", "Size", limits.octets ? size(limits.octets) : null, `${size(kept.octets)} kept`, limits.octets ? kept.octets / limits.octets : null),
      limit("pin", "Pinned", count(kept.pinned), kept.pinned === 1 ? "message that never goes" : "messages that never go")),
    h("div", { class: "two even" }, goes(next, limits, some), went(gone)), changing(closed)));
}

const oldest = (next) => { const first = next.find((one) => one.goes); return first ? `the oldest ${Date.parse(first.goes) <= Date.now() ? "goes now" : `goes in ${span((Date.parse(first.goes) - Date.now()) / 1000)}`}` : "nothing is waiting"; };

function limit(name, title, most, words, part = null) {
  const full = typeof part === "number" ? Math.min(1, part) : null;
  return h("section", { class: `limit${most ? "" : " endless"}` }, h("h2", {}, icon(name), title), h("p", { class: "most num" }, most ?? "no limit"), full === null ? null : h("span", { class: `bar-of${full > 0.9 ? " near" : ""}`, role: "img", "aria-label": `${Math.round(full * 100)} %` }, h("i", { vars: { "--part": `${(full * 100).toFixed(1)}%` } })), h("p", { class: "quiet num" }, words));
}

function goes(next, limits, some) {
  const when = (one) => (one.why ? `now: ${WHY[one.why]}` : one.goes ? `in ${span((Date.parse(one.goes) - Date.now()) / 1000)}` : "when newer ones come");
  return card("What goes next", next.length ? h("ol", { class: "goes" }, next.slice(0, SHOWN).map((one) => h("li", {}, h("a", { href: `${BASE}/m/${encodeURIComponent(one.mailbox)}/${one.id}`, onclick: (event) => { event.preventDefault(); emit("go", { mailbox: one.mailbox, query: "", id: one.id }); } }, one.id),
    h("span", { class: "quiet" }, one.mailbox), h("span", { class: "quiet num" }, size(one.size)), h("span", { class: `num when${one.why ? " soon" : ""}`, title: `came ${time(one.since)}${one.goes ? `, goes ${time(one.goes)} at the latest` : ""}` }, when(one))))) : h("p", { class: "quiet" }, some ? "There is nothing that could go." : "Nothing goes by itself."));
}

function went(gone) {
  const days = Array.from({ length: DAYS }, (_, at) => new Date(Date.now() - (DAYS - 1 - at) * DAY).toISOString().slice(0, 10));
  const by = new Map(days.map((day) => [day, gone.filter((one) => one.day === day)]));
  const sum = (some) => some.reduce((all, one) => all + one.messages, 0), most = Math.max(1, ...[...by.values()].map(sum));
  const total = sum(gone);
  return card("What went, in 30 days", total ? [h("div", { class: "bars", role: "img", "aria-label": `${plural(total, "message")} went in 30 days` }, days.map((day) => h("span", { title: `${date(day)}: ${plural(sum(by.get(day)), "message")}` }, by.get(day).map((one) => h("i", { class: `is-${one.why}`, vars: { "--part": `${((one.messages / most) * 100).toFixed(1)}%` } }))))),
    h("ul", { class: "went" }, gone.slice(0, SHOWN).map((one) => h("li", {}, h("i", { class: `is-${one.why}` }), h("span", { class: "num day" }, date(one.day)), h("span", {}, WHY[one.why] || one.why), h("b", { class: "num" }, plural(one.messages, "message")), h("span", { class: "quiet num" }, size(one.octets)))))] : h("p", { class: "quiet" }, "Nothing has gone by itself."));
}

/** A space may have limits of its own, which can be changed while it is there. */
async function change_own() {
  try { await change_space(await get(`/v1/spaces/${encodeURIComponent(state.account.slice(6))}`), look_again); } catch (error) { fail(error); }
}
const is_own = () => state.account.startsWith("space:") && may("write");
const changing = (open) => is_own() ? h("div", { class: "card plain-words" }, h("p", {}, "This is a space: it keeps what all others keep, or what you say."), h("div", { class: "buttons" }, h("button", { type: "button", onclick: change_own }, icon("draft"), "Change what it keeps…"))) : h("details", { class: "card maker plain-words", open: Boolean(open) }, h("summary", {}, h("h2", {}, "How to change it")),
  h("p", {}, "The limits are settings of the server, for every account alike; they are read when it starts:"),
  h("pre", {}, `MAILSYSTEM_RETENTION__AGE=7d MAILSYSTEM_RETENTION__MESSAGES=5000 mailsystem ${state.info?.role === "sink" ? "sink" : "serve"}`),
  h("p", { class: "quiet" }, h("code", {}, "retention.age"), " (12h, 7d), ", h("code", {}, "retention.messages"), " and ", h("code", {}, "retention.octets"), " (500 MiB). ", state.info?.spaces ? "A space may have limits of its own, said when it is opened. " : "", "It is looked at once a minute; the oldest goes first, and the age counts from when a message came to its mailbox."));
