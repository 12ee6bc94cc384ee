// Values as people read them: times, sizes, names.
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat("en-GB", { weekday: "short" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const dayOfYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const whole = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const numbers = new Intl.NumberFormat("en-GB");
const MINUTE = 60_000, DAY = 86_400_000;

export const count = (number) => numbers.format(number);
export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

export function age(iso, now = Date.now()) {
  const then = new Date(iso), passed = now - then;
  if (Number.isNaN(passed)) return "";
  if (passed < 45_000 && passed > -MINUTE) return "now";
  if (passed < 60 * MINUTE && passed > 0) return `${Math.max(1, Math.round(passed / MINUTE))} min`;
  const today = new Date(now);
  if (then.toDateString() === today.toDateString()) return clock.format(then);
  if (passed > 0 && passed < 6 * DAY) return weekday.format(then);
  return then.getFullYear() === today.getFullYear() ? day.format(then) : dayOfYear.format(then);
}

export const time = (iso) => (iso && !Number.isNaN(Date.parse(iso)) ? whole.format(new Date(iso)) : "");

export function size(octets) {
  if (octets < 1000) return `${octets} B`;
  let value = octets;
  for (const unit of ["kB", "MB", "GB", "TB"]) {
    value /= 1000;
    if (value < 999.5) return `${value < 9.95 ? value.toFixed(1) : Math.round(value)} ${unit}`;
  }
  return `${Math.round(value)} TB`;
}

/** Milliseconds as "9 ms", "1.2 s", "3 min". */
export function lapse(ms) {
  if (ms < 1) return "<1 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  return ms < DAY ? `${Math.round(ms / 3_600_000)} h` : `${Math.round(ms / DAY)} d`;
}

/** A day as "25 Nov". */
export const date = (iso) => day.format(new Date(iso));

/** Seconds in words: "45 s", "20 min", "12 h", "7 days". */
export function span(seconds) {
  const parts = [[86_400, "day"], [3600, "h"], [60, "min"], [1, "s"]], [by, unit] = parts.find(([each]) => seconds >= each * (each === 86_400 ? 1.5 : 1)) || [1, "s"];
  const value = seconds / by, words = count(value < 9.95 ? Math.round(value * 10) / 10 : Math.round(value));
  return unit === "day" ? `${words} ${words === "1" ? "day" : "days"}` : `${words} ${unit}`;
}
/** Limits of what is kept, in words. */
export const keeps = (limits, otherwise = "for ever") => (limits && [limits.age && span(limits.age), limits.messages && plural(limits.messages, "message"), limits.octets && size(limits.octets)].filter(Boolean).map((one) => one.replaceAll(" ", "\u00a0")).join(" · ")) || otherwise;

/** Words of a stranger on one line, without the signs that would turn the order of what is read: "exe.gnp" shall not say "png.exe". */
export const plain = (words) => (words || "").replace(/[\u202a-\u202e\u2066-\u2069]/g, "");
export const who = (address) => (address ? plain(address.name).trim() || plain(address.address) : "");
export const whole_address = (one) => (one ? (plain(one.name).trim() ? `${plain(one.name)} <${plain(one.address)}>` : plain(one.address)) : "");
/** Its beginning and its end, where it is longer: a name of many letters shall not push the address out of sight. */
export function short(text, most) {
  const signs = Array.from(text), half = Math.floor(most / 2);
  return signs.length > most ? `${signs.slice(0, half).join("")}…${signs.slice(-half).join("")}` : text;
}
/** What a part calls itself; empty where it has no name. */
export const part_name = (part) => plain(part.filename).trim();
export const subject = (message) => plain(message.subject).trim() || "(no subject)";
export const initial = (address) => (Array.from(who(address).replace(/^[^\p{L}\p{N}]+/u, ""))[0] || "·").toUpperCase();
export function tint(text) {
  let sum = 7;
  for (const sign of text || "") sum = (sum * 31 + sign.codePointAt(0)) >>> 0;
  return sum % 6;
}

const NAMES = { INBOX: "Inbox" };
export const box_name = (name) => (name === "*" ? "All mail" : NAMES[name.toUpperCase()] || name);
