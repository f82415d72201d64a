// The page, put together: products from the catalogue, changes from the feed, and who is signed in.

import { Catalog } from "./catalog.js";
import { AccountDialog, ProductDialog, RemovalDialog } from "./dialogs.js";
import { Feed } from "./feed.js";
import { describe, note } from "./log.js";
import { Problem } from "./problem.js";
import { showRooms } from "./rooms.js";
import { Rows } from "./rows.js";
import { Session } from "./session.js";
import { Shelf } from "./shelf.js";
import { notice, say } from "./voice.js";

const STATES = {
  connecting: { pill: "Connecting…" },
  live: { pill: "Live" },
  reconnecting: {
    pill: "Reconnecting…",
    stale: "The connection is gone. Prices may be old until it is back; it comes back by itself.",
  },
  stale: {
    pill: "Catching up…",
    stale: "The feed has lost touch with the catalogue. Prices may be old; they catch up by themselves.",
  },
  offline: { pill: "Offline", stale: "You are offline. What you see is from a moment ago." },
};
const RETRY_MS = 3_000;
const SCATTER_MS = 400; // so that a thousand pages that reload together don't ask in the same moment
const PATIENCE_MS = 1_500; // the list waits for the feed, which tells what changes after it; but no longer than this

const byId = (id) => document.getElementById(id);
const session = new Session();
const catalog = new Catalog(session);
const feed = new Feed();
const shelf = new Shelf();
const ownVersions = new Set();
const underWay = new Set();
const list = byId("products");

let nextCursor = null;
let isLoaded = false;
let loading = null;
let retryTimer = 0;

// Products ----------------------------------------------------------------------------------------------------------

const rows = new Rows(list, {
  mayEdit: (product) => session.isSignedIn || accountDialog.ask(`Sign in to change the price of “${product.name}”.`),
  async save(product, amount) {
    try {
      await track(catalog.changePrice(product, amount).then(own));
    } catch (error) {
      await refreshAfter(error, product);
      throw error;
    }
  },
  async remove(product) {
    if (session.isSignedIn || (await accountDialog.ask(`Sign in to delete “${product.name}”.`))) {
      await removalDialog.ask(shelf.get(product.id) ?? product);
    }
  },
});

const accountDialog = new AccountDialog(session);
const productDialog = new ProductDialog(async (fields) => {
  const product = await track(catalog.create(fields).then(own));
  return product.id;
});
const removalDialog = new RemovalDialog(async (product) => {
  try {
    await track(catalog.remove(product).then(() => ownVersions.add(`${product.id} deleted`)));
    shelf.drop(product.id);
  } catch (error) {
    await refreshAfter(error, product);
    if (error.status === 412) {
      throw new Problem(409, { detail: "Somebody has just changed it. Have a look, then delete it" });
    }
    throw error;
  }
});

/** Remember a change of this page while it is under way: the feed may tell of it before its answer comes. */
function track(change) {
  underWay.add(change);
  return change.finally(() => underWay.delete(change));
}

/** Take in the answer to a change that this page made; the feed tells of it too. */
function own(product) {
  ownVersions.add(`${product.id} ${product.version}`);
  shelf.put(product);
  return product;
}

/** An answer said that the page's copy is old (412) or of something gone (404): look. A session that ended: ask. */
async function refreshAfter(error, product) {
  if (error.status === 404) {
    shelf.drop(product.id);
    notice(error.message);
  } else if (error.status === 412) {
    await catalog.read(product.id).then((current) => shelf.put(current), () => {});
  } else if (error.status === 401) {
    accountDialog.ask(error.message);
  }
}

shelf.addEventListener("put", ({ detail: { product, before } }) => {
  rows.put(product, before, isLoaded);
  showTally();
});
shelf.addEventListener("drop", ({ detail: product }) => {
  rows.drop(product);
  showTally();
});

function showTally() {
  byId("tally").textContent = shelf.size === 0 ? "" : String(shelf.size) + (nextCursor ? "+" : "");
  if (isLoaded && shelf.size === 0) {
    showBelow("Nothing on the shelf yet.", "Add the first product", addProduct);
  } else if (isLoaded) {
    showBelow("", nextCursor && "Show more", showMore);
  }
}

/** Load the list from its beginning, as far as it was loaded before. */
function load() {
  loading ??= loadAll().finally(() => (loading = null));
  return loading;
}

/** As `load`, but an answer that is on its way already does not count: it may be older than the feed's beginning. */
function loadAnew() {
  return loading === null ? load() : loading.then(load);
}

async function loadAll() {
  clearTimeout(retryTimer);
  list.ariaBusy = "true";
  shelf.expectList();
  try {
    const wanted = shelf.size;
    const products = [];
    let cursor = null;
    do {
      const page = await catalog.list(cursor);
      products.push(...page.products);
      cursor = page.cursor;
    } while (cursor && products.length < wanted);
    nextCursor = cursor;
    shelf.replace(products, cursor && products.at(-1).id);
    list.querySelectorAll(".waiting").forEach((row) => row.remove());
    isLoaded = true;
    showTally();
  } catch (error) {
    showBelow(`${error.message} Trying again by itself.`, "Try now", load);
    retryTimer = setTimeout(load, Math.max(RETRY_MS, (error.waitS ?? 0) * 1000));
  } finally {
    list.ariaBusy = "false";
  }
}

async function showMore() {
  try {
    const page = await catalog.list(nextCursor);
    nextCursor = page.cursor;
    isLoaded = false; // older products are no news
    page.products.forEach((product) => shelf.put(product));
  } catch (error) {
    notice(error.message);
  } finally {
    isLoaded = true;
    showTally();
  }
}

function showBelow(text, label, action) {
  const below = byId("below");
  const button = below.querySelector("button");
  below.hidden = !text && !label;
  below.querySelector("p").textContent = text;
  button.hidden = !label;
  button.textContent = label || "";
  button.onclick = action;
}

async function addProduct() {
  if (session.isSignedIn || (await accountDialog.ask("Sign in to add a product."))) {
    rows.reveal(await productDialog.ask());
  }
}

byId("add").addEventListener("click", addProduct);

// The feed ----------------------------------------------------------------------------------------------------------

feed.addEventListener("change", async ({ detail: { type, product } }) => {
  const isGone = type === "product.deleted";
  const isNews = isGone || shelf.put(product);
  if (isGone) {
    shelf.drop(product.id);
  }
  await Promise.allSettled(underWay);
  const isOwn = ownVersions.delete(isGone ? `${product.id} deleted` : `${product.id} ${product.version}`);
  if (isOwn || isNews) {
    note(type, product, shelf.before(product), isOwn);
  }
  if (isNews && !isOwn) {
    say(`${product.name}: ${describe(type, product, shelf.before(product))}`);
  }
});
feed.addEventListener("viewers", ({ detail: count }) => {
  byId("viewers").hidden = false;
  byId("viewers").querySelector(".text").textContent = count === 1 ? "1 viewer" : `${count} viewers`;
});
feed.addEventListener("begin", () => setTimeout(loadAnew, isLoaded ? Math.random() * SCATTER_MS : 0));
feed.addEventListener("state", ({ detail: state }) => showState(state));

function showState(state) {
  const { pill, stale = "" } = STATES[state];
  const connection = byId("connection");
  connection.dataset.state = state;
  connection.querySelector(".text").textContent = pill;
  byId("stale").textContent = stale;
  byId("stale").hidden = stale === "";
}

// The account -------------------------------------------------------------------------------------------------------

session.addEventListener("change", () => {
  byId("email").textContent = session.email;
  byId("email").title = session.email;
  byId("email").hidden = !session.isSignedIn;
  byId("sign-out").hidden = !session.isSignedIn;
  byId("sign-in").hidden = session.isSignedIn;
});
byId("sign-in").addEventListener("click", () => accountDialog.ask());
byId("sign-out").addEventListener("click", () => {
  session.signOut();
  byId("sign-in").focus();
});

feed.start();
showRooms(session, (reason) => accountDialog.ask(reason));
session.restore();
setTimeout(() => isLoaded || load(), PATIENCE_MS);
