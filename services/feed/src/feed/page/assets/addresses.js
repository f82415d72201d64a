// Where the services are, as the server wrote it into the page.

const { auth, catalog } = JSON.parse(document.getElementById("addresses").textContent);

export const AUTH_URL = auth;
export const CATALOG_URL = catalog;
export const FEED_URL = new URL("/ws/products", location.href.replace(/^http/, "ws")).href;
