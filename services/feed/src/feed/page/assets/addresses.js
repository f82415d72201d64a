// Where the services are and which rooms there are, as the server wrote it into the page.

const { auth, catalog, rooms } = JSON.parse(document.getElementById("addresses").textContent);

export const AUTH_URL = auth;
export const CATALOG_URL = catalog;
export const ROOMS = rooms;
