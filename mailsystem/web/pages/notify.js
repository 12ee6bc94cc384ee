// The number of unread messages in the tab's title and icon, and notifications for whoever asked for them.
import { BASE } from "./base.js";
import { box_name, count, subject, who } from "./format.js";
import { emit, on, remember, remembered, state } from "./state.js";
import { say } from "./undo.js";

const link = document.querySelector("link[rel=icon]");
const plain = link.href;
const PLACES = { sessions: "SMTP sessions", faults: "Faults", spaces: "Spaces", retention: "Kept mail" };
let drawn = null;

export function show_unread() {
  const unread = state.mailboxes.filter((box) => !/^\\(Trash|Junk|Sent|Drafts)$/.test(box.special_use || "")).reduce((sum, box) => sum + (box.unread || 0), 0);
  const place = PLACES[state.view] || state.query || box_name(state.mailbox);
  document.title = `${unread ? `(${count(unread)}) ` : ""}${state.message ? `${subject(state.message)} · ` : ""}${place} · mailsystem`;
  if (unread === drawn) return;
  drawn = unread;
  if (!unread) { link.href = plain; return; }
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 64;
  const pen = canvas.getContext("2d");
  pen.lineWidth = 4; pen.strokeStyle = "#1d1b18"; pen.fillStyle = "#fff"; pen.lineCap = "round";
  pen.beginPath(); pen.roundRect(3, 20, 56, 40, 7); pen.fill(); pen.stroke();
  pen.beginPath(); pen.moveTo(6, 25); pen.lineTo(27, 41); pen.quadraticCurveTo(31, 44, 35, 41); pen.lineTo(56, 25); pen.stroke();
  const words = unread > 99 ? "99+" : String(unread), width = words.length > 2 ? 50 : words.length > 1 ? 40 : 32;
  pen.fillStyle = "#b3362b"; pen.beginPath(); pen.roundRect(64 - width, 0, width, 34, 17); pen.fill();
  pen.fillStyle = "#fff"; pen.font = `700 ${words.length > 2 ? 24 : 27}px system-ui, sans-serif`; pen.textAlign = "center"; pen.textBaseline = "middle";
  pen.fillText(words, 64 - width / 2, 18.5);
  link.href = canvas.toDataURL("image/png");
  link.type = "image/png";
}
on("mailboxes", show_unread);
on("routed", show_unread);

const can = () => "Notification" in window && window.isSecureContext;
export const notifying = () => can() && remembered("notify", false) && Notification.permission === "granted";

export async function ask_to_notify() {
  if (!can()) return say("This browser shows notifications only over HTTPS or on this machine.", { bad: true });
  if (notifying()) { remember("notify", false); return say("No more notifications."); }
  const answer = await Notification.requestPermission();
  remember("notify", answer === "granted");
  say(answer === "granted" ? "New mail is announced while this page is open and not in front." : "The browser does not allow notifications here.", { bad: answer !== "granted" });
}

const MOST_TOLD = 200;
const told = []; // what lets go of each arrival that this tab has told of

/** Whether it is this tab that tells of an arrival: of all that are open, whatever account they look at, the first that asks. The
    browser keeps a lock of its name as long as the tab is open, so that one that was asleep does not tell of it again. */
const is_ours = (id) => new Promise((answer) => {
  navigator.locks.request(`mailsystem${BASE} told ${id}`, { ifAvailable: true }, (lock) => {
    answer(Boolean(lock));
    return lock && new Promise((leave) => { if (told.push(leave) > MOST_TOLD) told.shift()(); });
  }).catch(() => answer(true));
});

const heard = document.querySelector(".heard");
let came = [];

/** Says what has come to whoever hears the page: one by its subject, several in a while by their number. */
function tell(message) {
  if (came.push(message) > 1) return;
  setTimeout(() => {
    heard.textContent = came.length > 1 ? `${count(came.length)} new messages.` : `New: ${subject(came[0])}, from ${who(came[0].from) || "nobody it names"}.`;
    came = [];
  }, 1500);
}

export async function announce(message) {
  const { account } = state;
  if (message.mailbox === "INBOX" || message.mailbox === state.mailbox) tell(message);
  if (!notifying() || !document.hidden || !(await is_ours(message.id))) return;
  const shown = new Notification(who(message.from) || "New mail", { body: subject(message), tag: message.id, icon: plain });
  shown.onclick = () => { window.focus(); emit("go", { account, mailbox: message.mailbox, query: "", id: message.id }); shown.close(); };
}
