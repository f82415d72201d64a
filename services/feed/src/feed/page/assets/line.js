// A connection to the feed, there whenever possible, resumed from the last id that was seen.
//
// It is a websocket. Where those are not let through (some proxies, some companies), server-sent events bring the same messages over
// plain HTTP: after some websockets that never opened one attempt is made that way, and the next time that the connection is lost
// it begins with a websocket again.
//
// Subclasses have `take(message)` and, if they like, `opened()` and `closed(event)`. Event "state": see `state`.

const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 8_000;
const REJECTED_DELAY_MS = 10_000; // the server has closed with 1008: it is to be left alone for a while
const SILENCE_MS = 45_000; // the server says something every 20 s; after this the connection is dead
const UNOPENED = 2; // so many websockets that never opened are taken for a sign
const POLICY_VIOLATION = 1008;
export const SIGNED_OUT = "signed out"; // 1008 for this reason: the session was ended elsewhere

export class Line extends EventTarget {
  lastId = "";
  #path;
  #link = null;
  #isWebsocket = true;
  #unopened = 0;
  #attempts = 0;
  #retry = 0;
  #silence = 0;
  #state = "connecting";

  /** `path` is what follows /ws/ and /events/. */
  constructor(path) {
    super();
    this.#path = path;
  }

  /** "connecting", "live", "stale" (connected, but the feed itself has lost touch), "reconnecting" or "offline". */
  get state() {
    return this.#state;
  }

  start() {
    addEventListener("online", () => this.#connectNow());
    addEventListener("offline", () => this.abandon());
    addEventListener("pagehide", () => this.abandon());
    addEventListener("pageshow", (event) => event.persisted && this.#connectNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.#connectNow());
    this.#connect();
  }

  /** Go on somewhere else, from the beginning. */
  move(path) {
    this.#path = path;
    this.lastId = "";
    this.restart();
  }

  /** End the connection, and open another one at once. */
  restart() {
    const link = this.#link;
    this.#link = null;
    link?.close();
    this.#connectNow();
  }

  /** Send a message; false when there is no websocket to send it over. */
  send(message) {
    if (this.#isWebsocket && this.#link?.readyState === WebSocket.OPEN) {
      this.#link.send(JSON.stringify(message));
      return true;
    }
    return false;
  }

  /** Give the connection up without waiting for a closing handshake that may not come. */
  abandon() {
    const link = this.#link;
    if (link !== null) {
      this.#lost();
      link.close();
    }
  }

  show(state) {
    if (state !== this.#state) {
      this.#state = state;
      this.tell("state", state);
    }
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  opened() {}

  closed() {}

  take() {}

  /** Try at once rather than at the end of the delay; nothing to do while there is a connection. */
  #connectNow() {
    if (this.#link === null) {
      this.#attempts = 0;
      this.#connect();
    }
  }

  #connect() {
    clearTimeout(this.#retry);
    const query = this.lastId && `?after=${encodeURIComponent(this.lastId)}`;
    this.#isWebsocket = this.#unopened < UNOPENED;
    const url = new URL(`/${this.#isWebsocket ? "ws" : "events"}/${this.#path}${query}`, location.href);
    url.protocol = this.#isWebsocket ? url.protocol.replace("http", "ws") : url.protocol;
    const link = this.#isWebsocket ? new WebSocket(url) : new EventSource(url);
    this.#link = link;
    this.#listen();
    let isOpen = false;
    link.addEventListener("open", () => {
      if (this.#link !== link) {
        return;
      }
      isOpen = true;
      this.#unopened = 0;
      this.#attempts = 0;
      this.#listen();
      this.show("live");
      this.opened();
    });
    link.addEventListener("message", ({ data }) => {
      if (this.#link === link) {
        this.#listen();
        this.take(JSON.parse(data));
      }
    });
    link.addEventListener(this.#isWebsocket ? "close" : "error", (event) => {
      if (this.#link === link) {
        link.close();
        this.#unopened = isOpen || !this.#isWebsocket || !navigator.onLine ? 0 : this.#unopened + 1;
        this.#lost(delayOf(event));
        this.closed(event);
      }
    });
  }

  #lost(delayMs = 0) {
    this.#link = null;
    clearTimeout(this.#silence);
    this.show(navigator.onLine ? "reconnecting" : "offline");
    const longest = Math.min(FIRST_DELAY_MS * 2 ** this.#attempts, LONGEST_DELAY_MS);
    this.#attempts += 1;
    this.#retry = setTimeout(() => this.#connect(), delayMs || longest * (0.5 + Math.random() / 2));
  }

  #listen() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.abandon(), SILENCE_MS);
  }
}

/** What the server asks for: a draining one says when to come back; 0 for nothing. */
function delayOf({ code, reason }) {
  if (code === POLICY_VIOLATION && reason !== SIGNED_OUT) {
    return REJECTED_DELAY_MS;
  }
  return Number(/retry in (\d+) ms/.exec(reason ?? "")?.[1] ?? 0);
}
