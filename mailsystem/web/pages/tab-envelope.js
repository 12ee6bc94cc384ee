// What was said around the message when it came: MAIL FROM, RCPT TO, TLS, login, and every line of the session.
import { BASE } from "./base.js";
import { h, icon } from "./dom.js";
import { count, time } from "./format.js";
import { transcript } from "./transcript.js";
import { emit } from "./state.js";

const words = (parameters) => (Array.isArray(parameters) ? parameters.join(" ") : parameters && typeof parameters === "object" ? Object.entries(parameters).map(([name, value]) => (value === null || value === true ? name : `${name}=${value}`)).join(" ") : parameters || "");

export function envelope(message, said) {
  const to = said.rcpt_to || [];
  const row = (name, value, more) => (value ? h("div", {}, h("dt", {}, name), h("dd", {}, value, more && h("span", { class: "quiet" }, " ", more))) : null);
  const mono = (text) => (text === null || text === undefined ? null : h("code", {}, text));
  const person = (one) => [h("code", {}, `<${one.address}>`), words(one.parameters) ? h("span", { class: "quiet mono" }, ` ${words(one.parameters)}`) : null];
  const header = new Set([...(message.to || []), ...(message.cc || [])].map((one) => one.address.toLowerCase()));
  const hidden = to.filter((one) => !header.has(one.address.toLowerCase())).length;
  return h("div", { class: "facts" }, h("dl", { class: "envelope" },
    row("Mail from", mono(said.mail_from === null || said.mail_from === undefined ? null : `<${said.mail_from}>`), said.mail_from === "" ? "the null reverse-path: nobody wants an answer" : message.from && said.mail_from && said.mail_from.toLowerCase() !== message.from.address.toLowerCase() ? "differs from the From field" : ""),
    to.length ? h("div", {}, h("dt", {}, "Rcpt to", to.length > 1 ? h("span", { class: "quiet num" }, ` ${count(to.length)}`) : null), h("dd", { class: to.length > 8 ? "scrolls many" : "", tabindex: to.length > 8 ? "0" : null }, to.map((one) => h("p", {}, person(one))), hidden ? h("p", { class: "quiet" }, `${count(hidden)} not named in the header: a blind copy, a list or an alias`) : null)) : null,
    row("Said hello as", mono(said.helo)), row("From", mono(said.peer)),
    row("TLS", said.tls ? [icon("shield"), said.tls.version] : "none", said.tls?.cipher || (said.tls ? "" : "the lines went over the network as they are")), row("Login", mono(said.login), ""), row("Received", time(said.received)), row("Queue id", mono(said.queue_id)),
    said.session ? row("Session", h("a", { href: `${BASE}/sessions/${encodeURIComponent(said.session)}`, onclick: (event) => { event.preventDefault(); emit("go", { view: "sessions", session: said.session }); } }, String(said.session))) : null),
  said.transcript?.length ? [h("h2", {}, "Session"), transcript(said.transcript)] : h("p", { class: "quiet" }, "No transcript is kept of the session that brought it."));
}
