// The stream of /v1/events: what arrives, changes and goes, without asking. It resumes after every break where it stopped.
// A browser opens six connections to a server and no more, so of all tabs that look at an account one holds the stream and tells
// the others; when it is closed, the next one takes over. Where a browser has no locks (HTTP to another machine), each has its own.
import { url } from "./api.js";
import { BASE } from "./base.js";
import { emit, on, state } from "./state.js";

const NAMES = ["arrived", "flags", "gone", "mailboxes"];
const KEPT = 500; // events that are told again to a tab that comes later

let source = null, wait = 0, timer = 0, last = null, now = null; // now: what is followed, or null

export function follow(account, since) {
  stop();
  last = since;
  wait = 500;
  const mine = (now = { account, leads: true, since, recent: [], stopped: new AbortController() });
  say("connecting");
  if (!navigator.locks || !window.BroadcastChannel) return connect();
  const name = `mailsystem${BASE} ${account}`, me = `${Math.random()}`;
  Object.assign(mine, { leads: false, joined: false, channel: new BroadcastChannel(name) });
  mine.channel.onmessage = ({ data }) => (mine === now ? heard(data, me) : null);
  mine.channel.postMessage({ ask: me, since });
  navigator.locks.request(name, { signal: mine.stopped.signal }, () => new Promise((leave) => {
    if (mine !== now) return leave();
    Object.assign(mine, { leads: true, since: last, leave });
    return connect();
  })).catch(() => { /* stopped before its turn came */ });
}

export function stop() {
  clearTimeout(timer);
  source?.close();
  source = null;
  now?.stopped.abort();
  now?.leave?.();
  now?.channel?.close();
  now = null;
}

function say(live) {
  state.live = live;
  emit("live", live);
  if (now?.leads) now.channel?.postMessage({ live });
}

/** What another tab says. */
function heard({ ask, since, answer, live, event, id, data, events, whole }, me) {
  if (ask && now.leads) {
    const is_whole = Number(since) >= Number(now.since);
    return now.channel.postMessage({ answer: ask, live: state.live, whole: is_whole, events: now.recent.filter((one) => Number(one.id) > Number(since)) });
  }
  if (now.leads) return null;
  if (answer === me) {
    now.joined = true;
    if (!whole) emit("live-gap");
    for (const one of events) tell(one);
  }
  if (live && (answer === me || !answer)) say(live);
  if (event && now.joined) tell({ event, id, data });
  return null;
}

function tell({ event, id, data }) {
  if (id) last = id;
  emit(`live-${event}`, data);
}

function connect() {
  clearTimeout(timer);
  const mine = (source = new EventSource(url("/v1/events", { account: now.account, since: last })));
  mine.addEventListener("open", () => { wait = 500; if (mine === source) say("live"); });
  mine.addEventListener("error", () => {
    if (mine !== source) return;
    say(navigator.onLine === false ? "offline" : "reconnecting");
    // The browser's own attempts would ask `since` where we once began; ours ask where we are.
    mine.close();
    timer = setTimeout(() => mine === source && connect(), wait);
    wait = Math.min(15_000, wait * 1.7);
  });
  for (const name of NAMES)
    mine.addEventListener(name, (event) => {
      if (mine !== source) return;
      let data = null;
      try { data = JSON.parse(event.data); } catch { return; }
      const one = { event: name, id: event.lastEventId, data };
      now.recent.push(one);
      if (now.recent.length > KEPT) now.since = now.recent.shift().id;
      now.channel?.postMessage(one);
      tell(one);
    });
}

// A stream that was open before may be dead without knowing it: it is begun anew.
addEventListener("online", () => { if (source) { source.close(); wait = 500; connect(); } });
addEventListener("offline", () => now && say("offline"));
on("live", (live) => { document.body.dataset.live = live; });
