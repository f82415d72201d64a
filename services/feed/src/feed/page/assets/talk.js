// A room: what is said there, by whom, and how many listen.
//
// Events: "state" (see `Line.state`), "said" (detail: {id, from, text, isOwn}), "own" (detail: the id of a message that was said by
// this page, and may have been heard before that was known), "members" (detail: a number), "gap" (what was said before is not known
// any more: begin with an empty list).
//
// Who has an access token presents it on the open connection, and the next one before it expires; nobody notices. A session that was
// taken up after a reload has none: it is refreshed when there is something to say.

import { Line, SIGNED_OUT } from "./line.js";

const MARGIN_S = 20; // a token is renewed so long before it expires
const SIGN_IN_AGAIN = 4401; // the token was refused
const PATIENCE_MS = 5_000; // so long a message may take to be heard

export class Talk extends Line {
  #session;
  #room;
  #alias = "";
  #renewal = 0;
  #own = new Set();
  #waiting = new Map();

  constructor(session, room) {
    super(`rooms/${room}`);
    this.#session = session;
    this.#room = room;
    let wasSignedIn = session.isSignedIn;
    session.addEventListener("change", () => {
      if (wasSignedIn && !session.isSignedIn) {
        this.restart(); // a connection doesn't change hands
      } else if (session.hasToken) {
        this.#present();
      }
      wasSignedIn = session.isSignedIn;
    });
  }

  get room() {
    return this.#room;
  }

  enter(room) {
    this.#room = room;
    this.move(`rooms/${room}`);
  }

  /** Say something; settles when it was heard. Rejects with the reason when it can't be said. Needs somebody signed in. */
  async say(text) {
    const id = crypto.randomUUID?.() ?? Math.random().toString(36).slice(2);
    for (let attempt = 0; attempt < 2; attempt += 1) {
      if (this.#alias === "" || !this.send({ type: "say", text, id })) {
        break;
      }
      if (await this.#heard(id, text)) {
        return;
      }
    }
    const url = new URL(`/v1/rooms/${this.#room}/messages`, location.href).href;
    const { value } = await this.#session.send(url, { method: "POST", body: { text, id } }); // the same id: it is said once
    this.#own.add(value.id);
    this.tell("own", value.id);
    if (this.#alias === "") {
      this.#present(); // there is a token now
    }
  }

  opened() {
    this.#alias = "";
    if (this.#session.hasToken) {
      this.#present();
    }
  }

  closed({ code, reason }) {
    if (code === SIGN_IN_AGAIN || reason === SIGNED_OUT) {
      this.#session.renew();
    }
  }

  take(message) {
    switch (message.type) {
      case "message": {
        const { from, text } = message.data;
        this.lastId = message.id;
        const isOwn = from === this.#alias || this.#own.delete(message.id);
        if (isOwn) {
          this.#settle((waiting) => waiting.text === text, true);
        }
        this.tell("said", { id: message.id, from, text, isOwn });
        break;
      }
      case "presence":
        this.tell("members", message.count);
        break;
      case "gap":
        this.lastId = "";
        this.tell("gap");
        break;
      case "stale":
      case "live":
        this.show(message.type);
        break;
      case "signed-in":
        this.#alias = message.as;
        clearTimeout(this.#renewal);
        this.#renewal = setTimeout(() => this.#present(), Math.max(1, message.expires_in_s - MARGIN_S) * 1000);
        break;
      case "refused":
        this.#settle((waiting) => waiting.id === message.id, new Error(sentence(message)));
        break;
      default: // said to pages that are newer than this one
    }
  }

  async #present() {
    if (this.#session.isSignedIn) {
      try {
        this.send({ type: "refresh", token: await this.#session.token(MARGIN_S) });
      } catch {
        // auth is away or the session has ended: listening goes on, and speaking says why it can't
      }
    }
  }

  #heard(id, text) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#settle((waiting) => waiting.id === id, false), PATIENCE_MS);
      this.#waiting.set(id, { id, text, timer, resolve, reject });
    });
  }

  #settle(isMeant, outcome) {
    for (const waiting of this.#waiting.values()) {
      if (isMeant(waiting)) {
        clearTimeout(waiting.timer);
        this.#waiting.delete(waiting.id);
        outcome instanceof Error ? waiting.reject(outcome) : waiting.resolve(outcome);
        return;
      }
    }
  }
}

function sentence({ reason, retry_after_s: waitS }) {
  return waitS ? `${reason}. Try again in ${waitS} s` : reason;
}
