// The catalogue's REST interface.

import { CATALOG_URL } from "./addresses.js";
import { request } from "./problem.js";

const PRODUCTS = `${CATALOG_URL}/v1/products`;
const PAGE_SIZE = 100;

const urlOf = (id) => `${PRODUCTS}/${encodeURIComponent(id)}`;
const ifVersion = (version) => ({ "If-Match": `"${version}"` });

export class Catalog {
  #session;

  constructor(session) {
    this.#session = session;
  }

  /** A page of products and the cursor of the next one, null on the last. */
  async list(cursor = null) {
    const query = new URLSearchParams({ limit: PAGE_SIZE, ...(cursor && { cursor }) });
    const { value } = await request(`${PRODUCTS}?${query}`);
    return { products: value.items, cursor: value.next_cursor };
  }

  async read(id) {
    return (await request(urlOf(id))).value;
  }

  async create(product) {
    return (await this.#session.send(PRODUCTS, { method: "POST", body: product })).value;
  }

  /** Change the price of the version that one has seen; 412 when there is another by now. */
  async changePrice({ id, version, price }, amount) {
    const body = { price: { amount, currency: price.currency } };
    return (await this.#session.send(urlOf(id), { method: "PATCH", body, headers: ifVersion(version) })).value;
  }

  /** Delete the version that one has seen; 412 when there is another by now. */
  async remove({ id, version }) {
    await this.#session.send(urlOf(id), { method: "DELETE", headers: ifVersion(version) });
  }
}
