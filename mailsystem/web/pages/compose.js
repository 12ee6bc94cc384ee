// Writing: a sheet at the lower edge, the whole screen on a phone. What is being written survives a reload, one draft for each
// thing that is answered; files that were chosen stay as long as the tab is not loaded again.
import { post } from "./api.js";
import { h, icon } from "./dom.js";
import { size } from "./format.js";
import { state } from "./state.js";
import { fail, say } from "./undo.js";

const MOST = 20; // drafts
/** Where they are kept: whoever logs in later in the same tab finds none of somebody else. */
const place = () => `mailsystem-drafts ${state.info?.account?.login || ""}`;
const held = new Map(); // which draft → the files chosen for it
let open = null; // {key, form, files, shut}

const addresses = (text) => (text.match(/(?:"(?:[^"\\]|\\.)*"|[^,;\n"])+/g) || []).map((one) => one.trim()).filter(Boolean);
const own = () => (state.account?.includes("@") ? state.account : state.info?.account?.login?.includes("@") ? state.info.account.login : `me@${/\./.test(state.info?.hostname || "") ? state.info.hostname : "example.org"}`);

/** The drafts of this tab by what they answer, the latest last. */
function kept() { try { return JSON.parse(sessionStorage.getItem(place())) || {}; } catch { return {}; } }
function keep(key, value) {
  const { [key]: _, ...others } = kept(), all = value ? { ...others, [key]: value } : others;
  const few = Object.fromEntries(Object.entries(all).slice(-MOST));
  try { if (Object.keys(few).length) sessionStorage.setItem(place(), JSON.stringify(few)); else sessionStorage.removeItem(place()); } catch { /* not kept, then */ }
  if (!value) held.delete(key);
}

/** Offers to go on with what was being written when the page was left. */
export function offer_draft() {
  const key = Object.keys(kept()).at(-1);
  if (key !== undefined && !open) say("A draft is kept in this tab.", { action: { label: "Open", run: () => write_to({}, key) } });
}

/** Opens the sheet: {from, to, cc, subject, text, in_reply_to, references}. Another one that is open is kept as a draft. */
export function write_to(given = {}, key = [given.in_reply_to, given.to, given.cc, given.subject].map((one) => one || "").join("\n").trim()) {
  if (open && (open.key === key || !key)) { open.form.classList.remove("low"); open.form.querySelector("textarea").focus(); return; }
  open?.shut();
  const draft = kept()[key] || given;
  const field = (name, label, more = {}) => h("label", { class: `f-${name}` }, h("span", {}, label), h("input", { name, value: draft[name] || "", type: "text", spellcheck: false, autocapitalize: "off", ...more }));
  const known = h("datalist", { id: "known" }, state.accounts.filter((one) => one.login.includes("@")).slice(0, 300).map((one) => h("option", { value: one.login })));
  const text = h("textarea", { name: "text", "aria-label": "Text", placeholder: "Write…", value: draft.text || "" });
  const files = [], shown = h("div", { class: "files" });
  const chooser = h("input", { type: "file", multiple: true, class: "away", tabIndex: -1, "aria-label": "Attach", onchange: () => add(chooser.files) });
  const extra = Boolean(draft.cc || draft.bcc);
  const send = h("button", { type: "submit", class: "first", title: "Send  Ctrl ↵" }, icon("sent"), "Send");
  const form = h("form", {},
    h("div", { class: "top-bar" }, h("h2", {}, draft.in_reply_to ? "Reply" : "New message"), h("button", { type: "button", class: "bare", "aria-label": "Smaller or larger", title: "Smaller or larger", onclick: () => sheet.classList.toggle("low") }, icon("chevron")),
      h("button", { type: "button", class: "bare", "aria-label": "Close", title: "Close, the draft is kept  Esc", onclick: () => shut() }, icon("close"))),
    h("div", { class: "fields" }, field("from", "From", { value: draft.from || own() }), field("to", "To", { list: "known", "aria-required": "true" }),
      h("button", { type: "button", class: "link more-fields", onclick: () => { sheet.classList.add("extra"); form.cc.focus(); } }, "Cc Bcc"), field("cc", "Cc", { list: "known" }), field("bcc", "Bcc", { list: "known" }), field("subject", "Subject", { spellcheck: true })),
    text, shown, h("p", { class: "wrong", role: "alert" }),
    h("div", { class: "bottom-bar" }, send, h("button", { type: "button", class: "bare", title: "Attach files", "aria-label": "Attach files", onclick: () => chooser.click() }, icon("clip")), chooser, known,
      h("span", { class: "quiet" }, state.info?.role === "sink" ? "Goes to this sink, and nowhere else." : ""), h("button", { type: "button", class: "bare", "aria-label": "Throw away", title: "Throw away", onclick: throw_away }, icon("trash"))));
  const sheet = h("div", { class: `compose${extra ? " extra" : ""}`, role: "dialog", "aria-label": "Write a message" }, form);

  function add(list) {
    for (const file of list) {
      files.push(file);
      const chip = h("span", { class: "chip" }, icon("file"), h("span", { dir: "auto" }, file.name), h("small", { class: "quiet num" }, size(file.size)), h("button", { type: "button", class: "bare", "aria-label": `Take ${file.name} off`, onclick: () => { files.splice(files.indexOf(file), 1); chip.remove(); } }, icon("close")));
      shown.append(chip);
    }
    chooser.value = "";
  }
  const value = () => ({ ...Object.fromEntries(["from", "to", "cc", "bcc", "subject"].map((name) => [name, form.elements[name].value])), text: text.value, in_reply_to: draft.in_reply_to, references: draft.references });
  function shut(keeping = true) {
    const now = value(), changed = ["to", "cc", "bcc", "subject", "text"].some((name) => now[name].trim() !== (given[name] || "").trim()) || files.length > 0, worth = keeping && changed;
    keep(key, worth ? now : null);
    if (worth) held.set(key, [...files]);
    sheet.remove();
    open = null;
    if (worth) say("The draft is kept in this tab.", { action: { label: "Open", run: () => write_to(given, key) } });
    document.querySelector("#list")?.focus({ preventScroll: true });
  }
  function throw_away() {
    const now = value(), had = [...files];
    shut(false);
    if (now.text.trim() || now.subject || now.to || had.length) say("Thrown away.", { undo: () => { keep(key, now); held.set(key, had); write_to(given, key); } });
  }
  form.addEventListener("input", () => keep(key, value()));
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); shut(); }
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); if (!event.repeat) form.requestSubmit(); }
  });
  form.addEventListener("dragover", (event) => { event.preventDefault(); sheet.classList.add("drop"); });
  form.addEventListener("dragleave", () => sheet.classList.remove("drop"));
  form.addEventListener("drop", (event) => { event.preventDefault(); sheet.classList.remove("drop"); add(event.dataTransfer.files); });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (send.disabled) return; // keys submit even so: one message is sent once
    const now = value(), wrong = form.querySelector(".wrong"), is_open = () => open?.form === sheet;
    const body = { from: now.from.trim(), to: addresses(now.to), cc: addresses(now.cc), bcc: addresses(now.bcc), subject: now.subject, text: now.text };
    if (![...body.to, ...body.cc, ...body.bcc].length) { wrong.textContent = "To whom?"; form.to.focus(); return; }
    if (draft.in_reply_to) { body.in_reply_to = draft.in_reply_to; body.references = (draft.references || "").split(/\s+/).filter(Boolean); }
    send.disabled = true;
    wrong.textContent = "";
    try {
      if (files.length) body.attachments = await Promise.all(files.map(async (file) => ({ filename: file.name, type: file.type || "application/octet-stream", content: await base64(file) })));
      await post("/v1/send", body, { account: state.account });
      if (is_open()) shut(false); else keep(key, null);
      say("Sent.");
    } catch (error) { if (error.status === 401 || !is_open()) fail(error); wrong.textContent = error.message || "A file could not be read."; } finally { send.disabled = false; }
  });
  open = { key, form: sheet, shut };
  add(held.get(key) || []);
  document.body.append(sheet);
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
