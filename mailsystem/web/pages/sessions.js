// The server's SMTP sessions, also those that brought nothing: each opens to its lines.
import { BASE } from "./base.js";
import { get } from "./api.js";
import { $, bones, h, icon } from "./dom.js";
import { age, lapse, plural, time } from "./format.js";
import { emit, state } from "./state.js";
import { transcript } from "./transcript.js";

const pane = $(".reading");
let refused = false;

export async function show_sessions(id = null) {
  pane.replaceChildren(h("div", { class: "loading" }, bones("30%", "70%", "65%")));
  try {
    if (id) { const one = await get(`/v1/sessions/${encodeURIComponent(id)}`); if (state.view === "sessions") pane.replaceChildren(session(one, id)); } else {
      const { sessions } = await get("/v1/sessions", { limit: 200, refused: refused ? "true" : null });
      if (state.view === "sessions") pane.replaceChildren(table(sessions));
    }
  } catch (error) {
    if (error.status !== 401) pane.replaceChildren(h("div", { class: "state" }, icon("sessions"), h("h2", {}, error.status === 404 ? "No sessions are kept here" : "The sessions could not be loaded"), h("p", {}, error.status === 404 ? "" : error.message), h("button", { type: "button", data: { run: "back" } }, "Back to the mail")));
  }
}
const tls = (value) => (value ? value.version || value : "no TLS");
const fact = (one) => [one.door?.toUpperCase(), one.peer, tls(one.tls), one.login].filter(Boolean).join(" · ");
const outcome = (one) => (one.refused?.length ? `${one.refused[0].command} → ${one.refused[0].reply}` : one.messages?.length ? plural(one.messages.length, "message") : one.failed ? one.reason || "broken off" : "brought nothing");

function table(sessions) {
  return h("div", { class: "sessions" }, h("header", {}, h("button", { type: "button", class: "bare to-list", "aria-label": "Back", data: { run: "back" } }, icon("back")), h("h1", {}, "SMTP sessions"), h("label", { class: "check" }, h("input", { type: "checkbox", checked: refused, onchange: (event) => { refused = event.target.checked; show_sessions(); } }), "only what was refused")),
    sessions.length ? h("ul", {}, sessions.map((one) => { const bad = Boolean(one.refused?.length || one.failed); return h("li", {}, h("a", { href: `${BASE}/sessions/${encodeURIComponent(one.id)}`, class: bad ? "bad" : "", onclick: (event) => { event.preventDefault(); emit("go", { view: "sessions", session: String(one.id) }); } },
      icon(bad ? "error" : "sessions"), h("span", { class: "what" }, h("b", {}, one.helo || one.peer), h("small", { class: "quiet" }, outcome(one)), h("small", { class: "quiet" }, fact(one))),
      h("time", { class: "quiet num", title: time(one.began) }, age(one.began)))); })) : h("div", { class: "state" }, icon("sessions"), h("h2", {}, refused ? "Nothing was refused" : "No sessions yet"), h("p", {}, refused ? "Every recipient and every message of the latest sessions was taken." : "Each connection of an SMTP client is kept here, word for word.")));
}
function session(one, id) {
  const account = state.account;
  return h("div", { class: "sessions" }, h("header", {}, h("button", { type: "button", class: "bare", "aria-label": "All sessions", title: "All sessions", onclick: () => emit("go", { view: "sessions", session: null }) }, icon("back")), h("h1", {}, one.helo || "Session")),
    h("p", { class: "quiet" }, [time(one.began), fact(one), one.ended ? `took ${lapse(Date.parse(one.ended) - Date.parse(one.began))}` : "still open", one.reason, String(one.id ?? id)].filter(Boolean).join(" · ")),
    one.messages?.length ? h("p", {}, "Brought ", one.messages.slice(0, 20).map((message, at) => [at ? ", " : "", h("a", { href: `${BASE}/m/*/${encodeURIComponent(message)}`, onclick: (event) => { event.preventDefault(); emit("go", { mailbox: "*", query: "", id: message, account }); } }, message)])) : null,
    one.transcript?.length ? transcript(one.transcript) : h("p", { class: "quiet" }, "No line of it is kept."));
}
