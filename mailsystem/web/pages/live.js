// The stream of /v1/events: what arrives, changes and goes, without asking. It resumes after every break where it stopped.
import { url } from "./api.js";
import { emit, on, state } from "./state.js";

let source = null, wait = 0, timer = 0, last = null;

export function follow(account, since) {
  stop();
  last = since;
  wait = 500;
  connect(account);
}
export function stop() { clearTimeout(timer); source?.close(); source = null; }

function connect(account) {
  clearTimeout(timer);
  const mine = (source = new EventSource(url("/v1/events", { account, since: last })));
  const say = (live) => { if (mine === source) { state.live = live; emit("live", live); } };
  say("connecting");
  mine.addEventListener("open", () => { wait = 500; say("live"); });
  mine.addEventListener("error", () => {
    if (mine !== source) return;
    say(navigator.onLine === false ? "offline" : "reconnecting");
    // The browser's own attempts would ask `since` where we once began; ours ask where we are.
    mine.close();
    timer = setTimeout(() => mine === source && connect(account), wait);
    wait = Math.min(15_000, wait * 1.7);
  });
  for (const name of ["arrived", "flags", "gone", "mailboxes"])
    mine.addEventListener(name, (event) => {
      if (mine !== source) return;
      if (event.lastEventId) last = event.lastEventId;
      let said = {};
      try { said = JSON.parse(event.data); } catch { return; }
      emit(`live-${name}`, said);
    });
}
// A stream that was open before may be dead without knowing it: it is begun anew.
addEventListener("online", () => { if (source) { source.close(); wait = 500; connect(state.account); } });
addEventListener("offline", () => { state.live = "offline"; emit("live", "offline"); });
on("live", (live) => { document.body.dataset.live = live; });
