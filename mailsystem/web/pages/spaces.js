// Spaces: what each has and when it is gone, one more, and how mail gets into one.
import { BASE } from "./base.js";
import { get, post, remove } from "./api.js";
import { confirm } from "./dialog.js";
import { copy, h, icon } from "./dom.js";
import { field, text, tick } from "./fields.js";
import { age, count, keeps, plural, size, span, time } from "./format.js";
import { card, frame, look_again, pane, refill, trouble, watch } from "./server-view.js";
import { change_space, keeping, lasting, sending, show_token, space_tokens } from "./space-forms.js";
import { emit, may, sees_spaces, state } from "./state.js";
import { fail, say } from "./undo.js";

let shown = null;

export async function show_spaces() {
  shown = null;
  if (!sees_spaces()) { await watch("spaces", async () => null, () => pane.replaceChildren(trouble("space", "There are no spaces here", "Only a sink is shared in this way.")), { ms: 1e9 }); return; }
  // What is told of a space is not a use of it: to look at this list keeps none of them.
  await watch("spaces", async () => { const [{ spaces }, { accounts }] = await Promise.all([get("/v1/spaces"), get("/v1/accounts")]); return { spaces, accounts: accounts.filter((one) => one.space) }; }, draw, { ms: 3000, always: true });
}

function draw({ spaces, accounts }) {
  if (!shown?.view.isConnected) build(spaces);
  shown.view.querySelector(".number").textContent = spaces.length ? count(spaces.length) : "";
  refill(shown.list, spaces.length ? spaces.map((one) => row(one, accounts)) : [h("li", { class: "none" }, icon("space"), h("div", {}, h("b", {}, "No space is open"), h("p", { class: "quiet" }, "All mail is seen by everybody. Open a space, and what is for it is seen there and nowhere else.")))]);
}

function build(spaces) {
  const list = h("ul", { class: "items", "aria-label": "Spaces" });
  const maker = may("admin") && h("details", { class: "card maker", open: matchMedia("(min-width: 1100px)").matches || !spaces.length }, h("summary", {}, h("h2", {}, "Open a space"), h("kbd", {}, "n")), form());
  const view = frame("Spaces", "Several people, or several jobs of a CI, share this sink without seeing each other’s mail.", {}, h("div", { class: "two" }, h("div", { class: "main" }, list, how()), maker));
  shown = { view, list };
  pane.replaceChildren(view);
}

const look_at = (account) => emit("go", { view: "mail", account, mailbox: "INBOX", query: "", id: null });
const link = (account, words, more = {}) => h("a", { href: `${BASE}/?account=${encodeURIComponent(account)}`, onclick: (event) => { if (event.ctrlKey || event.metaKey) return; event.preventDefault(); look_at(account); }, ...more }, words);

function row(one, accounts) {
  const left = Math.max(0, (Date.parse(one.expires) - Date.now()) / 1000), part = Math.max(0, Math.min(1, left / one.ttl));
  const inside = accounts.filter((other) => other.space === one.name && other.kind === "address");
  const ways = [one.login && h("span", { class: "tag" }, "login ", one.name), one.tag && h("span", { class: "tag" }, `+${one.name}@…`), ...one.domains.map((domain) => h("span", { class: "tag" }, `@${domain}`))].filter(Boolean);
  return h("li", { class: "item space-row", tabindex: "0", data: { item: one.name }, "aria-label": `${one.name}, ${plural(one.messages, "message")}, gone in ${span(left)}` },
    h("div", { class: "what" }, h("p", { class: "where" }, icon("space"), link(one.account, one.name, { class: "name" }), ways),
      h("p", { class: "num" }, one.messages ? `${plural(one.messages, "message")}, ${size(one.octets)}` : "No mail yet", h("span", { class: "quiet" }, ` · opened ${ago(one.created)} · used ${ago(one.used)}`, one.retention ? ` · keeps ${keeps(one.retention, "as elsewhere")}` : "")),
      inside.length ? h("p", { class: "inside" }, inside.slice(0, 12).map((other) => link(other.login, [other.login.slice(0, -one.name.length - 1), h("em", { class: "num" }, other.unread ? `${count(other.unread)} / ${count(other.messages)}` : count(other.messages))], { class: "chip", title: `${plural(other.messages, "message")}, ${count(other.unread)} unread` })), inside.length > 12 ? h("span", { class: "quiet" }, `and ${count(inside.length - 12)} more`) : null) : null,
      h("p", { class: "left num", title: `gone ${time(one.expires)}, unless it is used before` }, h("span", { class: "bar-of", "aria-hidden": "true" }, h("i", { vars: { "--part": `${(part * 100).toFixed(1)}%` } })), h("span", {}, left < 1 ? "going now" : `gone in ${span(left)}`), h("span", { class: "quiet" }, ` unless it is used; it stays for ${span(one.ttl)}`))),
    h("div", { class: "does" }, h("button", { type: "button", onclick: () => look_at(one.account) }, icon("inbox"), "Its mail"),
      may("admin") && h("button", { type: "button", class: "bare", title: "Tokens", "aria-label": `Tokens of ${one.name}`, onclick: () => space_tokens(one) }, icon("shield")),
      may("write") && h("button", { type: "button", class: "bare", title: "How long it lasts, and what it keeps", "aria-label": `Change ${one.name}`, onclick: () => change_space(one, look_again) }, icon("draft")),
      may("write") && h("button", { type: "button", class: "bare", title: "Close it  Del", "aria-label": `Close ${one.name}`, data: { remove: "" }, onclick: () => close(one) }, icon("trash"))));
}
const ago = (moment) => { const said = age(moment); return said === "now" ? "just now" : / min$/.test(said) ? `${said} ago` : said; };

function close(one) {
  confirm({ title: `Close the space ${one.name}?`, words: one.messages ? `Its ${plural(one.messages, "message")} and its faults go with it, for good.` : "It is empty. Its faults go with it.", action: "Close it", run: async () => {
    try { await remove(`/v1/spaces/${encodeURIComponent(one.name)}`); say(`${one.name} is closed.`); } catch (error) { fail(error); }
    emit("stale");
    await look_again();
  } });
}

function form() {
  const ttl = lasting(), kept = keeping();
  const made = h("form", { class: "form", novalidate: true, onsubmit: sending(() => made, async () => {
    const value = (name) => made.elements[name].value.trim(), ticked = (name) => made.elements[name].checked;
    const wanted = { name: value("name"), login: ticked("login"), tag: ticked("tag"), token: ticked("token"), domains: value("domains").split(/[\s,;]+/).filter(Boolean), ttl: ttl.value(), retention: kept.value() };
    if (!wanted.name) throw Object.assign(new Error("A space needs a name."), { more: { field: "name" } });
    const opened = await post("/v1/spaces", wanted);
    made.reset();
    if (opened.token) show_token(opened.name, opened.token);
    else say(`${opened.name} is open.`, { action: { label: "Its mail", run: () => look_at(opened.account) } });
    emit("stale");
    await look_again();
  }) },
  field("name", "Name", text({ required: true, placeholder: "ci-4821", data: { first: "" } }), "letters, digits and hyphens"), ttl.entry,
  h("fieldset", {}, h("legend", {}, "Which mail is for it"), tick("login", "Of whoever logs in by its name", { checked: "" }), tick("tag", "To addresses with its name as a tag", { checked: "" }), field("domains", "To domains", text({ placeholder: "none" }), "ci-4821.test, *.ci-4821.test")),
  h("details", { class: "more" }, h("summary", {}, "What it keeps", h("span", { class: "quiet" }, "as elsewhere")), h("div", { class: "grid" }, kept.entries)),
  tick("token", "With a token that opens it and nothing else"),
  h("p", { class: "wrong", role: "alert" }), h("div", { class: "buttons" }, h("button", { type: "submit", class: "first" }, "Open it")));
  return made;
}

function how() {
  const smtp = state.info?.ports?.smtp || "127.0.0.1:1025", [host, port] = [smtp.slice(0, smtp.lastIndexOf(":")), smtp.slice(smtp.lastIndexOf(":") + 1)];
  const snippet = (words) => h("div", { class: "snippet" }, h("pre", {}, words), h("button", { type: "button", class: "bare", "aria-label": "Copy", title: "Copy", onclick: () => copy(words).then(() => say("Copied.")) }, icon("copy")));
  return card("How mail gets into one",
    h("ol", { class: "ways" }, h("li", {}, h("b", {}, "By who logs in."), " Whoever sends it logs in by SMTP as ", h("code", {}, "ci-4821"), " or ", h("code", {}, "ci-4821+anything"), ", with any password:", snippet(`smtp = smtplib.SMTP("${host}", ${port})\nsmtp.login("ci-4821", "any")`)),
      h("li", {}, h("b", {}, "By a tag"), " of the address: ", h("code", {}, "ann+ci-4821@example.org"), ", whatever the domain."), h("li", {}, h("b", {}, "By the domain"), ", if it is one of its own: ", h("code", {}, "anybody@ci-4821.test"), ".")),
    h("p", { class: "quiet" }, "The first that holds counts. It is read by POP3 and IMAP with the same login, and by programs with ", h("code", {}, "account=ci-4821"), ". With the setting ", h("code", {}, "spaces.logins"), " a login opens a space that is not there yet. By itself a space is no secret: whoever reaches the sink without a token can look into all of them."));
}
