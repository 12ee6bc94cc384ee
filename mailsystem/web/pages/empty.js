// What is shown where there is nothing to show: in words that help.
import { copy, h, icon } from "./dom.js";
import { box_name } from "./format.js";
import { emit, run, state } from "./state.js";
import { say } from "./undo.js";

const SVG = "http://www.w3.org/2000/svg";

/** An airmail envelope, drawn in the page's own colours. */
export function envelope() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 160 110");
  svg.setAttribute("class", "envelope");
  svg.setAttribute("aria-hidden", "true");
  const path = (kind, d) => { const made = document.createElementNS(SVG, "path"); made.setAttribute("class", kind); made.setAttribute("d", d); svg.append(made); };
  path("ground", "M14 8h132a8 8 0 0 1 8 8v78a8 8 0 0 1-8 8H14a8 8 0 0 1-8-8V16a8 8 0 0 1 8-8z");
  for (let at = 0; at < 9; at += 1) path(at % 2 ? "blue" : "red", `M${14 + at * 16} 95h8l4-6h-8z`);
  for (let at = 0; at < 9; at += 1) path(at % 2 ? "red" : "blue", `M${12 + at * 16} 21h8l4-6h-8z`);
  path("line", "M8 14l64 46a14 14 0 0 0 16 0l64-46");
  path("edge", "M14 8h132a8 8 0 0 1 8 8v78a8 8 0 0 1-8 8H14a8 8 0 0 1-8-8V16a8 8 0 0 1 8-8z");
  return svg;
}

function snippet(text) {
  return h("div", { class: "snippet" }, h("pre", {}, text), h("button", { type: "button", class: "bare", "aria-label": "Copy", title: "Copy", onclick: () => copy(text).then(() => say("Copied.")) }, icon("copy")));
}

export function nothing_here() {
  if (state.query) {
    return h("div", { class: "state" }, icon("search"), h("h2", {}, "Nothing matches"), h("p", {}, "No message in ", box_name(state.mailbox), " is what you asked for. It will appear here when it arrives."),
      h("div", { class: "buttons" }, state.mailbox !== "*" && h("button", { type: "button", data: { run: "search-everywhere" } }, "Search all mail"), h("button", { type: "button", class: "bare", data: { run: "clear-search" } }, "Clear the search")));
  }
  if (/^trash$/i.test(state.mailbox)) return h("div", { class: "state" }, icon("trash"), h("h2", {}, "The trash is empty"), h("p", {}, "What you delete waits here until you delete it for ever."));
  const smtp = state.info?.ports?.smtp;
  if (state.info?.role === "sink" && smtp && (state.mailbox === "INBOX" || state.mailbox === "*")) {
    const [host, port] = [smtp.slice(0, smtp.lastIndexOf(":")), smtp.slice(smtp.lastIndexOf(":") + 1)];
    return h("div", { class: "state waits" }, envelope(), h("h2", {}, "Waiting for mail"), h("p", {}, "Point your application’s SMTP at ", h("code", {}, smtp), ". Whatever it sends appears here at once, and goes nowhere else."),
      snippet(`import smtplib\n\nsmtp = smtplib.SMTP("${host}", ${port})\nsmtp.sendmail(\n    "me@a.test", "you@b.test",\n    "Subject: Hello\\n\\nIt works.")`));
  }
  return h("div", { class: "state" }, envelope(), h("h2", {}, "Nothing here yet"), h("p", {}, `${box_name(state.mailbox)} is empty. New mail appears by itself.`));
}

/** The mailboxes that the page itself leads to, whether they have been made or not. */
export const is_own = (name) => name === "*" || /^(inbox|trash|sent|drafts|archive|junk)$/i.test(name);

/** What was asked for is not there: the mailbox, or the account. */
export function missing(error) {
  const account = /^there is no account/.test(error.message), home = state.info?.account?.login, everything = state.info?.role === "sink" ? "To everything" : "To my mail";
  const back = (label, where) => h("button", { type: "button", class: "first", onclick: () => emit("go", { query: "", id: null, ...where }) }, label);
  return h("div", { class: "state missing", role: "alert" }, icon(account ? "person" : "folder"), h("h2", {}, account ? "There is no such account" : "There is no such mailbox"),
    account ? h("p", {}, "Nothing has come for ", h("b", { dir: "auto" }, state.account), " yet. If it was a space, nobody has used it for a while, and it is gone with its mail.")
      : h("p", {}, h("b", { dir: "auto" }, state.mailbox), " was removed, renamed, or never made."),
    h("div", { class: "buttons" }, account ? back(everything, { account: home, mailbox: "INBOX" }) : back("To the inbox", { mailbox: "INBOX" }), h("button", { type: "button", data: { run: account && state.accounts.length > 1 ? "account" : "refresh" } }, account && state.accounts.length > 1 ? "Another account…" : "Look again"),
      account ? null : h("button", { type: "button", class: "bare", onclick: () => { const name = state.mailbox; emit("make-mailbox", { name, then: () => run("refresh") }); } }, "Make it")));
}

export function nothing_open() {
  const keys = [["j", "k", "next and previous"], ["/", "search"], [/Mac|iP/.test(navigator.platform) ? "⌘ K" : "Ctrl K", "everything"], ["?", "all keys"]];
  return h("div", { class: "state open" }, envelope(), h("h2", {}, "No message is open"), h("p", { class: "keys" }, keys.map((one) => h("span", {}, one.slice(0, -1).map((key) => h("kbd", {}, key)), " ", one.at(-1)))));
}
