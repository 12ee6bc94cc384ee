// Faults in words: what a rule means, examples to begin with, and the addresses that ask for a fault by themselves.
import { count, span } from "./format.js";

const STAGES = {
  smtp: { CONNECT: "when a client connects", EHLO: "at the client’s hello", STARTTLS: "when TLS begins", AUTH: "when somebody logs in", MAIL: "when the sender is named", RCPT: "when a recipient is named", DATA: "at the command DATA", BDAT: "at the command BDAT", BODY: "when the message comes in", QUIT: "when the client leaves" },
  pop3: { CONNECT: "when a client connects", PASS: "when somebody logs in", AUTH: "when somebody logs in", STAT: "when messages are counted", LIST: "when messages are listed", UIDL: "when messages are told by name", RETR: "when a message is fetched", TOP: "when a header is fetched", DELE: "when a message is deleted", QUIT: "when the client leaves" },
  imap: { CONNECT: "when a client connects", LOGIN: "when somebody logs in", AUTHENTICATE: "when somebody logs in", SELECT: "when a mailbox is opened", EXAMINE: "when a mailbox is looked into", LIST: "when mailboxes are listed", STATUS: "when a mailbox is counted", APPEND: "when a message is put in", IDLE: "while a client waits for news", FETCH: "when messages are fetched", STORE: "when flags are set", SEARCH: "when messages are searched", COPY: "when messages are copied", MOVE: "when messages are moved", EXPUNGE: "when deleted messages are cleared", LOGOUT: "when the client leaves" },
};
export const stage_words = (door, stage) => (stage === "*" ? "at every command" : STAGES[door]?.[stage] || `at ${stage}`);

export const often = (times) => (times === 1 ? "once" : times === 2 ? "twice" : `${count(times)} times`);
const capital = (words) => words.charAt(0).toUpperCase() + words.slice(1);

/** What a rule means, as a sentence. */
export function told(rule) {
  const whom = [
    rule.from && `from ${rule.from}`, rule.to && `to ${rule.to}`, rule.login && `for ${rule.login}`, rule.peer && `from the network ${rule.peer}`, rule.namespace && `in the space ${rule.namespace}`,
  ].filter(Boolean).join(", ");
  const what = [
    rule.delay && `the answer waits ${span(rule.delay)}`,
    rule.throttle && `${rule.stage === "BODY" ? "the message is read" : "the answer comes"} at ${count(rule.throttle)} octets a second`,
    rule.truncate !== undefined && rule.truncate !== null && `the connection breaks off after ${count(rule.truncate)} octets of the ${rule.stage === "BODY" ? "message" : "answer"}`,
    rule.renamed && "every message has another name than before",
    rule.reply && `“${String(rule.reply).split("\n")[0]}” is answered`,
    rule.disconnect === "before" && "the connection ends without an answer", rule.disconnect === "after" && "then the connection ends",
    rule.performed && "though the command was carried out",
  ].filter(Boolean).join(", ");
  const when = [
    rule.after && `after ${count(rule.after)} that pass`, rule.probability !== undefined && rule.probability !== 1 && `in ${Math.round(rule.probability * 1000) / 10} % of the cases`,
    rule.times && `${often(rule.times)}, then all is as usual`,
  ].filter(Boolean).join(", ");
  return `${capital(stage_words(rule.door, rule.stage))}${whom ? `, ${whom}` : ""}: ${what || "nothing goes wrong yet"}${when ? `; ${when}` : ""}.`;
}

/** [words, rule] to begin with. */
export const EXAMPLES = [
  ["451 twice, then normal", { door: "smtp", stage: "RCPT", reply: "451 4.7.1 come again", times: 2 }],
  ["No such user", { door: "smtp", stage: "RCPT", to: "nobody@*", reply: "550 5.1.1 no such user" }],
  ["Hang up in the message", { door: "smtp", stage: "BODY", truncate: 200, times: 1 }],
  ["Kept, but never told", { door: "smtp", stage: "BODY", disconnect: "before", performed: true, times: 1 }],
  ["Refused as spam", { door: "smtp", stage: "BODY", reply: "554 5.7.1 this looks like spam" }],
  ["Too busy", { door: "smtp", stage: "CONNECT", reply: "421 4.3.2 too busy", times: 3 }],
  ["Five seconds slow", { door: "smtp", stage: "RCPT", delay: 5 }],
  ["Login fails thrice", { door: "smtp", stage: "AUTH", reply: "454 4.7.0 not now", times: 3 }],
  ["One in five fails", { door: "smtp", stage: "BODY", reply: "451 4.3.0 later", probability: 0.2, seed: 1 }],
  ["POP3 breaks off", { door: "pop3", stage: "RETR", truncate: 500, times: 1 }],
  ["All mail is new again", { door: "pop3", stage: "UIDL", renamed: true, times: 1 }],
  ["IMAP in maintenance", { door: "imap", stage: "SELECT", reply: "BYE [UNAVAILABLE] maintenance", times: 1 }],
  ["A slow line", { door: "imap", stage: "FETCH", throttle: 2000 }],
];

/** [address, what happens]. */
export const MAGIC = [
  ["550+x@example.org", "refused with 550, always"],
  ["451-twice+x@example.org", "refused with 451 twice, then taken"],
  ["421-3+x@example.org", "421 three times, and the connection ends"],
  ["delay-5+x@example.org", "answered after five seconds"],
  ["disconnect-once+x@example.org", "the connection ends once, without an answer"],
  ["data-554+x@example.org", "refused at DATA, before the message comes"],
  ["body-554+x@example.org", "the message is refused at its end"],
  ["stored-451-once+x@example.org", "kept, and refused once all the same"],
  ["bounce+x@example.org", "kept; a bounce comes back"],
  ["autoreply+x@example.org", "kept; an automatic reply comes back"],
  ["complaint+x@example.org", "kept; a report of abuse comes back"],
];
