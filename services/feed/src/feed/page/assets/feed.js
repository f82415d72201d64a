// The websocket: connected whenever possible, resumed from the last id that was seen.
//
// Events: "state" (see `state`), "change" (detail: {type, id, product}), "viewers" (detail: a number), "begin" (from
// here on every change is told, what was before is not: load the products now).

import { FEED_URL } from "./addresses.js";

const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 8_000;
const SILENCE_MS = 45_000; // the server says something every 20 s; after this the connection is dead

export class Feed extends EventTarget {
  #socket = null;
  #lastId = "";
  #attempts = 0;
  #retry = 0;
  #silence = 0;
  #state = "connecting";

  /** "connecting", "live", "stale" (connected, but the feed itself has lost touch), "reconnecting" or "offline". */
  get state() {
    return this.#state;
  }

  start() {
    addEventListener("online", () => this.#connectNow());
    addEventListener("offline", () => this.#abandon());
    addEventListener("pagehide", () => this.#abandon());
    addEventListener("pageshow", (event) => event.persisted && this.#connectNow());
    document.addEventListener("visibilitychange", () => document.hidden || this.#connectNow());
    this.#connect();
  }

  /** Try at once rather than at the end of the delay; nothing to do while there is a connection. */
  #connectNow() {
    if (this.#socket === null) {
      this.#attempts = 0;
      this.#connect();
    }
  }

  #connect() {
    clearTimeout(this.#retry);
    const query = this.#lastId && `?after=${encodeURIComponent(this.#lastId)}`;
    const socket = new WebSocket(FEED_URL + query);
    this.#socket = socket;
    this.#listen();
    socket.addEventListener("open", () => {
      this.#attempts = 0;
      this.#listen();
      this.#show("live");
      if (this.#lastId === "") {
        this.#tell("begin");
      }
    });
    socket.addEventListener("message", ({ data }) => {
      this.#listen();
      this.#take(JSON.parse(data));
    });
    socket.addEventListener("close", () => this.#socket === socket && this.#lost());
  }

  #take(message) {
    switch (message.type) {
      case "viewers":
        this.#tell("viewers", message.count);
        break;
      case "stream":
        if (message.state === "gap") {
          this.#lastId = "";
          this.#tell("begin");
        } else {
          this.#show(message.state === "stale" ? "stale" : "live");
        }
        break;
      case "product.created":
      case "product.changed":
      case "product.deleted":
        this.#lastId = message.id;
        this.#tell("change", message);
        break;
      default: // said to pages that are newer than this one
    }
  }

  #lost() {
    this.#socket = null;
    clearTimeout(this.#silence);
    this.#show(navigator.onLine ? "reconnecting" : "offline");
    const longest = Math.min(FIRST_DELAY_MS * 2 ** this.#attempts, LONGEST_DELAY_MS);
    this.#attempts += 1;
    this.#retry = setTimeout(() => this.#connect(), longest * (0.5 + Math.random() / 2));
  }

  #listen() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#abandon(), SILENCE_MS);
  }

  /** Give the connection up without waiting for a closing handshake that may not come. */
  #abandon() {
    const socket = this.#socket;
    if (socket !== null) {
      this.#lost();
      socket.close();
    }
  }

  #show(state) {
    if (state !== this.#state) {
      this.#state = state;
      this.#tell("state", state);
    }
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
