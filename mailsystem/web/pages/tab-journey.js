// Who pushed it and who pulled it: blue where it was brought, red where somebody came and asked.
import { h } from "./dom.js";
import { count, lapse, size, time } from "./format.js";

const PULLS = /^(imap|pop[123]?|web|api|rest)/i;
const NAMES = { appended: "Put in", attempted: "Tried to pass on", sent: "Passed on", deferred: "Put off", failed: "Given up", expunged: "Removed", notified: "Sender told of a delay", reported: "Sender told", flagged: "Flags changed", "given up": "Given up" };
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });

const HIDDEN = new Set(["id", "session", "asked", "helo", "protocol", "sender", "recipients", "octets", "places", "mailbox"]);
const several = (all) => all.slice(0, 3).join(", ") + (all.length > 3 ? ` and ${count(all.length - 3)} more` : "");
const plain = (value) => (Array.isArray(value) ? value.join(" ") : typeof value === "object" ? JSON.stringify(value) : String(value));

/** What is told of an event beside who and when: in words where we know them, as it is where not. */
function details(detail) {
  if (!detail || typeof detail !== "object") return detail ? String(detail) : "";
  const { sender, recipients, octets, places, mailbox } = detail;
  return [
    sender !== undefined && `from <${sender}>`, recipients?.length && `for ${several(recipients)}`, octets && size(octets), mailbox && `in ${mailbox}`,
    Array.isArray(places) && places.length && `into ${several(places.map((place) => (Array.isArray(place) ? `${place[1]} of ${place[0]}` : plain(place))))}`,
    ...Object.entries(detail).filter(([name, value]) => !HIDDEN.has(name) && value !== null && value !== "" && !(Array.isArray(value) && !value.length)).map(([name, value]) => `${name.replaceAll("_", " ")} ${plain(value)}`),
  ].filter(Boolean).join(" · ");
}

export function journey(_, { events }) {
  if (!events?.length) return h("p", { class: "quiet" }, "Nothing is known of its way.");
  let before = null;
  return h("div", {}, h("p", { class: "legend" }, h("span", { class: "push" }, "pushed: whoever has it opens the connection"), h("span", { class: "pull" }, "pulled: whoever wants it must ask")),
    h("ol", { class: "journey" }, events.map((event) => {
      const at = Date.parse(event.at), gap = before === null ? null : at - before, pull = event.door ? PULLS.test(event.door) : false;
      before = event.last ? Date.parse(event.last) : at;
      const who = [event.client, event.login, event.peer].filter(Boolean);
      return [gap !== null && gap >= 1000 ? h("li", { class: "gap", "aria-hidden": "true" }, h("span", { class: "quiet num" }, `${lapse(gap)} of silence`)) : null,
        h("li", { class: pull ? "pull" : "push" }, h("div", { class: "event" }, h("p", {}, h("b", {}, NAMES[event.name] || event.name.charAt(0).toUpperCase() + event.name.slice(1)), event.door ? h("span", { class: "door" }, event.door.toUpperCase()) : null, event.times > 1 ? h("span", { class: "quiet num" }, `${count(event.times)} times`) : null, h("time", { class: "num quiet", datetime: event.at, title: time(event.at) }, Number.isNaN(at) ? "" : clock.format(at))),
          who.length ? h("p", { class: "quiet", dir: "auto" }, who.join(" · ")) : null, details(event.detail) ? h("p", { class: "quiet told" }, details(event.detail)) : null))];
    })));
}
