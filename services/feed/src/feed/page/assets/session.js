// Who is signed in, in this tab.
//
// The access token lives in memory only: it is gone with the page, and no other script of another tab or a later
// visit can find it. The refresh token is in sessionStorage, so that a reload does not sign one out: sessionStorage
// belongs to one tab and is gone when the tab is closed, unlike localStorage, which every tab shares for ever. A
// cookie would be out of the reach of scripts, but auth and this page have different origins, and a third-party
// cookie is what browsers block.
//
// A refresh token works once, and its second use revokes the whole family. A duplicated tab brings a copy of the
// first one's sessionStorage along; so each session has a name, the tab that uses it holds a lock of that name, and a
// tab that finds the lock taken drops its copy and asks to sign in.

import { AUTH_URL } from "./addresses.js";
import { Problem, request } from "./problem.js";

const KEY = "fairlead.session";
const MARGIN_S = 10;
const TAKEN = "There seems to be an account with this address already. Sign in with its password";

export class Session extends EventTarget {
  #email = "";
  #accessToken = "";
  #expiresAt = 0;
  #refreshToken = "";
  #refreshing = null;
  #release = null;

  /** The e-mail address of who is signed in, "" for nobody. Changes come as events "change". */
  get email() {
    return this.#email;
  }

  get isSignedIn() {
    return this.#email !== "";
  }

  /** Whether there is an access token that needs no refreshing. */
  get hasToken() {
    return this.isSignedIn && Date.now() < this.#expiresAt - MARGIN_S * 1000;
  }

  /** Take up what a reload left behind. */
  async restore() {
    const kept = read();
    if (kept === null) {
      return;
    }
    if (!(await this.#claim(kept.name))) {
      sessionStorage.removeItem(KEY);
      return;
    }
    this.#email = kept.email;
    this.#refreshToken = kept.refreshToken;
    this.#changed();
  }

  async signUp(email, password) {
    await request(`${AUTH_URL}/v1/accounts`, { method: "POST", body: { email, password } });
    try {
      await this.signIn(email, password);
    } catch (error) {
      // auth tells nobody which addresses are taken: it accepts the registration, and then knows another password
      throw error.status === 401 ? new Problem(409, { detail: TAKEN }) : error;
    }
  }

  async signIn(email, password) {
    const body = { grant_type: "password", email, password };
    const { value } = await request(`${AUTH_URL}/v1/token`, { method: "POST", body });
    const name = crypto.randomUUID?.() ?? String(Math.random());
    await this.#claim(name);
    this.#email = email;
    this.#keep(value, name);
    this.#changed();
  }

  /** Forget the tokens, here at once and at auth as soon as it can be reached. */
  signOut() {
    const refreshToken = this.#refreshToken;
    this.#forget();
    request(`${AUTH_URL}/v1/token/revoke`, { method: "POST", body: { refresh_token: refreshToken } }).catch(() => {});
  }

  #forget() {
    sessionStorage.removeItem(KEY);
    this.#release?.();
    this.#release = null;
    this.#email = this.#accessToken = this.#refreshToken = "";
    this.#changed();
  }

  /** Send a request with the access token; one that was refused as too old is sent again with a new one. */
  async send(url, options = {}) {
    const attempt = async () => {
      const headers = { ...options.headers, Authorization: `Bearer ${await this.token()}` };
      return request(url, { ...options, headers });
    };
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401 || !this.isSignedIn) {
        throw error;
      }
      this.#expiresAt = 0;
      return attempt();
    }
  }

  /** An access token that is good for at least `marginS` more seconds. */
  async token(marginS = MARGIN_S) {
    if (!this.isSignedIn) {
      throw new Problem(401, { detail: "Please sign in first" });
    }
    if (Date.now() > this.#expiresAt - marginS * 1000) {
      this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = null));
      await this.#refreshing;
    }
    return this.#accessToken;
  }

  /** The access token is no good any more: get another, or find out that the session has ended. */
  async renew() {
    this.#expiresAt = 0;
    try {
      await this.token();
    } catch {
      // what has ended is forgotten by now; auth that is away will be asked again when a token is needed
    }
  }

  async #refresh() {
    const body = { grant_type: "refresh_token", refresh_token: this.#refreshToken };
    try {
      const { value } = await request(`${AUTH_URL}/v1/token`, { method: "POST", body });
      this.#keep(value, read()?.name ?? "");
    } catch (error) {
      if (error.status >= 400 && error.status < 500 && error.status !== 429) {
        this.#forget();
        throw new Problem(401, { detail: "Your session has ended. Please sign in again" });
      }
      throw error;
    }
  }

  #keep(tokens, name) {
    this.#accessToken = tokens.access_token;
    this.#expiresAt = Date.now() + tokens.expires_in * 1000;
    this.#refreshToken = tokens.refresh_token;
    sessionStorage.setItem(KEY, JSON.stringify({ name, email: this.#email, refreshToken: this.#refreshToken }));
  }

  /** Hold the session's lock until signOut or the end of the page; false when another tab holds it. */
  #claim(name) {
    if (!navigator.locks) {
      return Promise.resolve(true); // not a secure context: locks are not to be had
    }
    this.#release?.();
    return new Promise((resolve) => {
      navigator.locks.request(`${KEY}.${name}`, { ifAvailable: true }, (lock) => {
        resolve(lock !== null);
        return lock && new Promise((release) => (this.#release = release));
      });
    });
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

function read() {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY));
    return kept?.name && kept.email && kept.refreshToken ? kept : null;
  } catch {
    return null;
  }
}
