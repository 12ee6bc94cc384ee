// Writing: a sheet at the lower edge, the whole screen on a phone. What is being written survives a reload.
import { post } from "./api.js";
import { h, icon } from "./dom.js";
import { size } from "./format.js";
import { state } from "./state.js";
import { fail, say } from "./undo.js";

const KEPT = "mailsystem-draft";
let open = null;

const addresses = (text) => (text.match(/(?:"(?:[^"\\]|\\.)*"|[^,;\n"])+/g) || []).map((one) => one.trim()).filter(Boolean);
const own = () => (state.account?.includes("@") ? state.account : state.info?.account?.login?.includes("@") ? state.info.account.login : `me@${/\./.test(state.info?.hostname || "") ? state.info.hostname : "example.org"}`);

function kept() { try { return JSON.parse(sessionStorage.getItem(KEPT)); } catch { return null; } }
function keep(value) { try { if (value) sessionStorage.setItem(KEPT, JSON.stringify(value)); else sessionStorage.removeItem(KEPT); } catch { /* not kept, then */ } }

/** Opens the sheet: {from, to, cc, subject, text, in_reply_to, references}. */
export function write_to(given = {}) {
  if (open) { open.classList.remove("low"); open.querySelector("textarea").focus(); return; }
  const draft = Object.keys(given).length ? given : kept() || {};
  const field = (name, label, more = {}) => h("label", { class: `f-${name}` }, h("span", {}, label), h("input", { name, value: draft[name] || "", type: "text", spellcheck: false, autocapitalize: "off", ...more }));
  const known = h("datalist", { id: "known" }, state.accounts.filter((one) => one.login.includes("@")).slice(0, 300).map((one) => h("option", { value: one.login })));
  const text = h("textarea", { name: "text", "aria-label": "Text", placeholder: "Write…", value: draft.text || "" });
  const files = [], shown = h("div", { class: "files" });
  const chooser = h("input", { type: "file", multiple: true, class: "away", tabIndex: -1, "aria-label": "Attach", onchange: () => add(chooser.files) });
  const extra = Boolean(draft.cc || draft.bcc);
  const send = h("button", { type: "submit", class: "first", title: "Send  Ctrl ↵" }, icon("sent"), "Send");
  const form = h("form", { class: `compose${extra ? " extra" : ""}`, role: "dialog", "aria-label": "Write a message" },
    h("header", {}, h("h2", {}, draft.in_reply_to ? "Reply" : "New message"), h("button", { type: "button", class: "bare", "aria-label": "Smaller or larger", title: "Smaller or larger", onclick: () => form.classList.toggle("low") }, icon("chevron")),
      h("button", { type: "button", class: "bare", "aria-label": "Close", title: "Close, the draft is kept  Esc", onclick: () => shut() }, icon("close"))),
    h("div", { class: "fields" }, field("from", "From", { value: draft.from || own() }), field("to", "To", { list: "known", "aria-required": "true" }),
      h("button", { type: "button", class: "link more-fields", onclick: () => { form.classList.add("extra"); form.cc.focus(); } }, "Cc Bcc"), field("cc", "Cc", { list: "known" }), field("bcc", "Bcc", { list: "known" }), field("subject", "Subject", { spellcheck: true })),
    text, shown, h("p", { class: "wrong", role: "alert" }),
    h("footer", {}, send, h("button", { type: "button", class: "bare", title: "Attach files", "aria-label": "Attach files", onclick: () => chooser.click() }, icon("clip")), chooser, known,
      h("span", { class: "quiet" }, state.info?.role === "sink" ? "Goes to this sink, and nowhere else." : ""), h("button", { type: "button", class: "bare", "aria-label": "Throw away", title: "Throw away", onclick: () => { keep(null); shut(false); } }, icon("trash"))));

  async function add(list) {
    for (const file of list) {
      const entry = { file };
      files.push(entry);
      const chip = h("span", { class: "chip" }, icon("file"), file.name, h("small", { class: "quiet num" }, size(file.size)), h("button", { type: "button", class: "bare", "aria-label": `Take ${file.name} off`, onclick: () => { files.splice(files.indexOf(entry), 1); chip.remove(); } }, icon("close")));
      shown.append(chip);
    }
    chooser.value = "";
  }
  const value = () => ({ ...Object.fromEntries(["from", "to", "cc", "bcc", "subject"].map((name) => [name, form.elements[name].value])), text: text.value, in_reply_to: draft.in_reply_to, references: draft.references });
  function shut(keeping = true) {
    const now = value(), worth = keeping && (now.text.trim() || now.subject || now.to);
    keep(worth ? now : null);
    form.remove();
    open = null;
    if (worth) say("The draft is kept in this tab.", { action: { label: "Open", run: () => write_to() } });
    document.querySelector("#list")?.focus({ preventScroll: true });
  }
  form.addEventListener("input", () => keep(value()));
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); shut(); }
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form.requestSubmit(); }
  });
  form.addEventListener("dragover", (event) => { event.preventDefault(); form.classList.add("drop"); });
  form.addEventListener("dragleave", () => form.classList.remove("drop"));
  form.addEventListener("drop", (event) => { event.preventDefault(); form.classList.remove("drop"); add(event.dataTransfer.files); });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const now = value(), wrong = form.querySelector(".wrong");
    const body = { from: now.from.trim(), to: addresses(now.to), cc: addresses(now.cc), bcc: addresses(now.bcc), subject: now.subject, text: now.text };
    if (![...body.to, ...body.cc, ...body.bcc].length) { wrong.textContent = "To whom?"; form.to.focus(); return; }
    if (draft.in_reply_to) { body.in_reply_to = draft.in_reply_to; body.references = (draft.references || "").split(/\s+/).filter(Boolean); }
    send.disabled = true;
    wrong.textContent = "";
    try {
      if (files.length) body.attachments = await Promise.all(files.map(async ({ file }) => ({ filename: file.name, type: file.type || "application/octet-stream", content: await base64(file) })));
      await post("/v1/send", body, { account: state.account });
      keep(null);
      shut(false);
      say("Sent.");
    } catch (error) { if (error.status === 401) fail(error); wrong.textContent = error.message; } finally { send.disabled = false; }
  });
  open = form;
  document.body.append(form);
  const first = !draft.to ? form.to : !draft.subject ? form.subject : text;
  first.focus();
  if (first === text) text.setSelectionRange(0, 0);
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
