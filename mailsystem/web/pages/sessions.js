// The server's SMTP sessions, also those that brought nothing: each opens to its lines.
import { get } from "./api.js";
import { $, bones, h, icon } from "./dom.js";
import { age, plural, time } from "./format.js";
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
const list_of = (value) => (Array.isArray(value) ? value.map((one) => one.address || one).join(", ") : value || "");
const fact = (one) => [one.helo, one.peer, one.tls ? one.tls.version || one.tls : "", one.login].filter(Boolean).join(" · ");

function table(sessions) {
  return h("div", { class: "sessions" }, h("header", {}, h("button", { type: "button", class: "bare to-list", "aria-label": "Back", data: { run: "back" } }, icon("back")), h("h1", {}, "SMTP sessions"), h("label", { class: "check" }, h("input", { type: "checkbox", checked: refused, onchange: (event) => { refused = event.target.checked; show_sessions(); } }), "only what was refused")),
    sessions.length ? h("ul", {}, sessions.map((one) => h("li", {}, h("a", { href: `/sessions/${encodeURIComponent(one.id)}`, class: one.refused || one.error ? "bad" : "", onclick: (event) => { event.preventDefault(); emit("go", { view: "sessions", session: String(one.id) }); } },
      icon(one.refused || one.error ? "error" : "sessions"), h("span", { class: "what" }, h("b", {}, one.mail_from !== null && one.mail_from !== undefined ? `<${one.mail_from}>` : one.helo || one.peer || String(one.id), list_of(one.rcpt_to) ? ` → ${list_of(one.rcpt_to)}` : ""), h("small", { class: "quiet" }, [one.refused && one.refused !== true ? one.refused : one.reply || "", fact(one), one.messages === undefined ? "" : plural(one.messages, "message")].filter(Boolean).join(" · "))),
      h("time", { class: "quiet num", title: time(one.at || one.started) }, age(one.at || one.started)))))) : h("div", { class: "state" }, icon("sessions"), h("h2", {}, refused ? "Nothing was refused" : "No sessions yet")));
}
function session(one, id) {
  return h("div", { class: "sessions" }, h("header", {}, h("button", { type: "button", class: "bare", "aria-label": "All sessions", title: "All sessions", onclick: () => emit("go", { view: "sessions", session: null }) }, icon("back")), h("h1", {}, "Session ", h("code", {}, String(one.id ?? id)))),
    h("p", { class: "quiet" }, [time(one.at || one.started), fact(one)].filter(Boolean).join(" · ")), one.transcript?.length ? transcript(one.transcript) : h("p", { class: "quiet" }, "No line of it is kept."));
}
