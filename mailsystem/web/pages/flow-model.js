// Who said what to whom, and who had to ask: rows of a board, out of the events of /v1/flow. Knows no document.
const MOST_ROWS = 400, MOST_LINES = 200;
/** Seconds: lines of one side make one arrow; a longer pause makes a new row; a longer one is told; after that clocks begin anew. */
const TOGETHER = 0.25, PAUSE = 0.4, GAP = 0.25, STRETCH = 60;

const SENDS = new Set(["smtp", "lmtp", "submission"]);
const PULLS = new Set(["pop3", "pop2", "pop1"]);
export const SERVER = "server";

export class Flow {
  /** `most` is how many lanes there are for who sends, for who reads, and for who reads by POP; what is beyond shares one. */
  constructor(most) { this.most = most; this.clear(); this.parties = new Map(); this.sessions = new Map(); this.lanes = new Map([[SERVER, { key: SERVER, title: "server", note: "", rank: 0, born: 0 }]]); this.named = new Map(); }

  clear() {
    this.rows = [];
    this.facts = {};
    this.zero = this.last = null;
    this.heard = { at: 0, session: 0 };
    this.changed = true;
  }

  /** Lanes from left to right: who sends, the server, who reads, other servers. */
  order() { return [...this.lanes.values()].sort((one, other) => one.rank - other.rank || one.born - other.born); }

  /** Forget lanes in which nothing is drawn and nobody is. */
  tidy() {
    const used = new Set([SERVER]);
    for (const session of this.sessions.values()) if (!session.closed && session.lane) used.add(session.lane);
    for (const row of this.rows) { const lane = row.session?.lane || row.lane; if (lane) used.add(lane); }
    const playing = this.playing;
    for (const lane of this.lanes.values()) if (!used.has(lane.key) && !(lane.party && playing)) { this.lanes.delete(lane.key); this.changed = true; }
    const drawn = new Set(this.rows.map((row) => row.session));
    for (const [number, session] of this.sessions) if (session.closed && !drawn.has(session)) this.sessions.delete(number);
  }

  is_open(key, at) {
    for (const session of this.sessions.values()) if (session.lane === key && session.opened <= at && (session.closed === null || at < session.closed)) return true;
    return false;
  }

  /** Another look at who is connected, when the stream begins or begins again. */
  ready({ boot, sessions }) {
    const now = Date.now() / 1000, there = new Set(sessions.map((each) => each.session));
    for (const session of this.sessions.values()) if (session.closed === null && (this.boot !== boot || !there.has(session.number))) session.closed = now;
    if (this.boot !== undefined && this.boot !== boot) { this.sessions.clear(); this.parties.clear(); }
    this.boot = boot;
    for (const each of sessions) {
      if (this.sessions.has(each.session)) continue;
      const session = this.session({ session: each.session, door: each.door, peer: each.peer, time: Date.parse(each.since) / 1000 });
      Object.assign(session, { login: each.login || "", client: each.client?.name || "", shown: true, known: each.door === "imap" });
    }
  }

  missed(count, at) { this.add({ kind: "note", at, text: `${count} events were lost here: more was said than could be passed on` }); }

  take(event) {
    const { name, time } = event;
    if (name === "scene") { this.playing = event.playing; if (!event.playing && event.failed) this.add({ kind: "note", at: time, text: "The scene broke off." }); return; }
    if (name === "chapter") { this.add({ kind: "chapter", at: time, title: event.title, text: event.text }); return; }
    if (name === "party") { this.party(event); return; }
    if (event.session === 0 || event.door === "web" || event.door === "app") { this.inside(event, null); return; }
    const session = this.session(event);
    switch (name) {
      case "line": this.line(session, event); break;
      case "fault": session.fault = { by: event.rule ? `rule ${event.rule}` : "address", text: event.fault || "" }; break;
      case "disconnected":
        session.closed = time;
        if (session.fault) { this.add({ kind: "inside", at: time, session, lane: SERVER, text: `${session.fault.by}: hung up instead of an answer`, fault: session.fault }); session.fault = null; }
        if (!session.shown) this.sessions.delete(session.number); break;
      case "logged in": session.login = event.login || session.login; this.place(session); break;
      case "logged out": session.login = ""; break;
      case "identified": session.client = event.client?.name || ""; this.place(session); break;
      default: this.inside(event, session);
    }
  }

  session({ session: number, door, peer = "", time }) {
    let found = this.sessions.get(number);
    if (!found) {
      found = { number, door, peer, opened: time, closed: null, idling: false, tag: "", known: false, shown: false, login: "", helo: "", client: "", lane: null, said: null, fault: null };
      this.sessions.set(number, found);
    }
    if (peer && !found.peer) found.peer = peer;
    return found;
  }

  party({ party, speaks, title, note, login, peer }) {
    this.lane(party, title, note, SENDS.has(speaks) ? -1 : 1, { party: true, pulls: PULLS.has(speaks), login });
    if (!peer) return;
    this.parties.set(peer, party);
    if (this.parties.size > 100) this.parties.delete(this.parties.keys().next().value);
    for (const session of this.sessions.values()) if (session.peer === peer) this.place(session);
  }

  lane(key, title, note, rank, more = {}) {
    const found = this.lanes.get(key);
    if (found) {
      if (found.title !== title || found.note !== note) { Object.assign(found, { title, note }); this.changed = true; }
      return found;
    }
    const made = { key, title, note, rank, born: this.lanes.size + (this.births = (this.births || 0) + 1), quiet: null, ...more };
    this.lanes.set(key, made);
    this.changed = true;
    return made;
  }

  /** Find the lane of whoever opened the connection, by what is known of it now. */
  place(session) {
    const { door, peer } = session, before = session.lane;
    if (this.parties.has(peer)) session.lane = this.parties.get(peer);
    else if (door === "queue") session.lane = this.lane(`to ${host(peer)}`, host(peer) || "another server", "another server", 2).key;
    else {
      const sends = SENDS.has(door), who = session.login || session.helo, protocol = door.toUpperCase();
      const key = `${door} ${who || "?"}`, kind = sends ? "senders" : PULLS.has(door) ? "askers" : "readers";
      const mates = [...this.lanes.values()].filter((lane) => lane.mates === kind);
      if (before && before.startsWith(key) && who) return;
      let name = key, slot = 1;
      // One person's devices that are connected at once are different ones.
      while (!sends && who && slot < 4 && [...this.sessions.values()].some((other) => other !== session && other.lane === name && other.closed === null)) name = `${key} ${++slot}`;
      const note = session.client ? `${protocol}, ${session.client.slice(0, 24)}` : protocol;
      if (!this.lanes.has(name) && mates.length >= this.most[kind]) session.lane = this.lane(sends ? "other senders" : "other readers", "others", sends ? "SMTP" : "IMAP, POP3", sends ? -1 : 1).key;
      else session.lane = this.lane(name, who ? (slot > 1 ? `${who} (${slot})` : who) : "a client", note, sends ? -1 : 1, { pulls: PULLS.has(door), login: session.login, mates: who ? kind : "" }).key;
    }
    if (before !== session.lane) {
      if (before !== null) { this.changed = true; this.tidy(); }
      const lane = this.lanes.get(session.lane);
      if (lane.pulls && lane.quiet !== null) this.asked(session, lane);
    }
  }

  line(session, event) {
    const { text, who, time } = event, of_client = who === "C";
    const helo = of_client && !session.helo && SENDS.has(session.door) && /^(?:EHLO|HELO|LHLO)\s+(\S+)/i.exec(text);
    if (helo) session.helo = helo[1].slice(0, 60);
    if (session.lane === null || helo) this.place(session);
    const way = this.way(session, text, of_client), news = way === "push" && session.door === "imap";
    if (!session.shown) {
      session.shown = true;
      this.add({ kind: "open", at: session.opened, session, way: SENDS.has(session.door) || session.door === "queue" ? "push" : "pull", after: session.after });
    }
    const row = this.exchange(session, way, of_client, time);
    let arrow = row.arrows.at(-1);
    if (!arrow || arrow.of_client !== of_client || time - arrow.last > TOGETHER) {
      const cause = news ? (this.heard.session !== session.number ? this.heard.at : null) : session.said;
      arrow = { of_client, at: time, last: time, lines: [], more: 0, faults: [], ms: of_client || !cause ? null : Math.max(0, (time - cause) * 1000) };
      row.arrows.push(arrow);
      if (news && /\bEXISTS$/.test(text) && arrow.ms !== null && arrow.ms < 60_000) this.facts.push = { ms: arrow.ms, lane: session.lane };
    }
    if (arrow.lines.length < MOST_LINES) arrow.lines.push(text); else arrow.more += 1;
    // A reply that a rule has made, or has held up: several lines of it are one.
    if (event.fault && arrow.faults.at(-1)?.by !== event.fault) arrow.faults.push(session.fault?.by === event.fault ? session.fault : { by: event.fault, text: "" });
    if (event.fault) session.fault = null;
    arrow.last = row.last = time;
    row.dirty = true;
    this.last = Math.max(this.last ?? time, time);
    if (of_client) { session.said = time; this.heard = { at: time, session: session.number }; }
  }

  /** Whose news it is: whoever has it speaks (push), or whoever wants it asks (pull). */
  way(session, text, of_client) {
    if (session.door !== "imap") return SENDS.has(session.door) || session.door === "queue" ? "push" : "pull";
    if (of_client) {
      const [tag, command = ""] = text.split(" ");
      session.known = false;
      if (command.toUpperCase() === "IDLE") session.tag = tag;
      else { session.idling = false; session.tag = ""; }
    } else if (session.tag && text.startsWith("+")) { session.idling = true; session.tag = ""; }
    // Of a session that began before anybody looked on: who says something unasked is one that idles.
    else if (session.idling || (session.known && text.startsWith("* "))) return "push";
    return "pull";
  }

  /** The row to which that belongs: the last one, if these two go on in it and nobody else has spoken since. */
  exchange(session, way, of_client, time) {
    for (let at = this.rows.length - 1; at >= 0; at -= 1) {
      const row = this.rows[at];
      if (row.kind === "inside" && row.session === session) continue;
      if (row.kind !== "exchange" || row.session !== session || row.way !== way) break;
      const news = way === "push" && session.door === "imap", late = !news && row.arrows.length === 1 && !row.arrows[0].of_client && !row.first;
      if (late || (of_client && time - row.last > PAUSE) || (news && time - row.last > TOGETHER)) break;
      return row;
    }
    const first = this.rows.at(-1)?.kind === "open" && this.rows.at(-1).session === session;
    return this.add({ kind: "exchange", at: time, last: time, session, way, first, arrows: [] });
  }

  inside(event, session) {
    const said = WORDS[event.name]?.(event);
    if (said) this.behind(this.add({ kind: "inside", at: event.time, session, lane: SERVER, text: said }));
    if (event.name !== "delivered") return;
    // Whoever has to ask hears nothing of it: that is drawn, not left out.
    for (const lane of this.lanes.values()) {
      if (!lane.pulls || !lane.login || !event.recipients?.includes(lane.login) || this.is_open(lane.key, event.time)) continue;
      if (lane.quiet === null) { lane.quiet = event.time; this.add({ kind: "quiet", at: event.time, lane: lane.key, text: "hears nothing" }); }
    }
  }

  /** What a session brought about is drawn behind its own last words: others may have been told of it before the trace was. */
  behind(row) {
    const { rows } = this, at = rows.findLastIndex((other) => other !== row && other.session === row.session && row.session !== null);
    if (at < 0 || at === rows.length - 2 || rows.length - at > 12 || rows[at + 1].kind === "gap") return;
    rows.pop();
    rows.splice(at + 1, 0, row);
    row.at = Math.min(row.at, rows[at + 2].at);
  }

  asked(session, lane) {
    const ms = (session.opened - lane.quiet) * 1000;
    lane.quiet = null;
    if (ms <= 0) return;
    session.after = ms;
    this.facts.pull = { ms, lane: lane.key };
    const open = this.rows.findLastIndex((row) => row.kind === "open" && row.session === session);
    const quiet = { kind: "quiet", at: session.opened, lane: lane.key, text: "nothing", ms, long: true, dirty: true };
    if (open < 0) this.add(quiet);
    else { this.rows[open].after = ms; this.rows[open].dirty = true; this.rows.splice(open, 0, quiet); this.changed = true; }
  }

  add(row) {
    if (this.zero === null) this.zero = row.at;
    const passed = this.last === null ? 0 : row.at - this.last;
    if (passed > STRETCH) this.zero = row.at;
    if (passed > GAP) this.rows.push({ kind: "gap", at: row.at, ms: passed * 1000, anew: passed > STRETCH, zero: this.zero, dirty: true });
    row.zero = this.zero;
    row.dirty = true;
    this.rows.push(row);
    this.last = Math.max(this.last ?? row.at, row.at);
    if (this.rows.length > MOST_ROWS + 50) { this.rows.splice(0, this.rows.length - MOST_ROWS); this.cut = true; this.tidy(); }
    return row;
  }
}

const some = (list = []) => (list.length > 2 ? `${list[0]} and ${list.length - 1} others` : list.join(", "));
/** What happens in the server by itself, where that is worth telling. */
const WORDS = {
  delivered: (event) => `on disk for ${some(event.recipients)}`,
  queued: () => "on disk, in the queue",
  sent: (event) => `out of the queue: ${event.remote || "the other server"} has it`,
  deferred: () => "not now: tried again later",
  failed: (event) => `given up: ${event.reply || event.reason || ""}`,
  bounced: (event) => `a report for ${event.to || "the sender"}`,
  secured: (event) => `from here on under ${String(event.tls || "TLS").split(" ")[0]}`,
  "login failed": () => "login refused",
  appended: (event) => (event.door === "web" ? "written on the page" : ""),
  flagged: (event) => (event.door === "web" ? "marked on the page" : ""),
  expunged: (event) => (event.door === "web" ? "deleted on the page" : ""),
  moved: (event) => (event.door === "web" ? `moved on the page${event.target ? ` to ${event.target}` : ""}` : ""),
};

export const host = (peer) => String(peer).replace(/:\d+$/, "");

/** What a command is called, without its tag and its arguments. */
export function verb(line, door) {
  if (line.startsWith("[")) return line;
  let words = line.split(" ");
  if (door === "imap" && words.length > 1) words = words.slice(1);
  return (words[0].toUpperCase() === "UID" ? words.slice(0, 2).join(" ") : words[0]).toUpperCase();
}

/** A line without anything that a browser would not show as it is. */
export const visible = (text) => String(text).replace(/[\u0000-\u001f]/g, (sign) => String.fromCharCode(0x2400 + sign.charCodeAt(0))).replace(/\u007f/g, "\u2421").replace(/[\u0080-\u009f\u200b-\u200f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
