// The products that the page knows, whatever way it heard of them. A version never goes back: the answer to a request
// and the message about the same change may come in either order, and the later version wins.
//
// What a version replaced is remembered for a while, so that a change can be told of whichever way it came first.
//
// Events: "put" (detail: {product, before}) and "drop" (detail: product).

const REMEMBERED = 50;

export class Shelf extends EventTarget {
  #products = new Map();
  #gone = new Set();
  #touched = null;
  #replaced = new Map();

  get size() {
    return this.#products.size;
  }

  get(id) {
    return this.#products.get(id);
  }

  /** The version that this one replaced on the shelf; undefined when that is unknown or long ago. */
  before(product) {
    return this.#replaced.get(keyOf(product));
  }

  /** Take a product in; false when the page knows as much or more. */
  put(product) {
    const before = this.#products.get(product.id);
    if (this.#gone.has(product.id) || (before && before.version >= product.version)) {
      return false;
    }
    this.#products.set(product.id, product);
    this.#touched?.add(product.id);
    if (before) {
      this.#replaced.set(keyOf(product), before);
      if (this.#replaced.size > REMEMBERED) {
        this.#replaced.delete(this.#replaced.keys().next().value);
      }
    }
    this.#tell("put", { product, before });
    return true;
  }

  /** Forget a product, for good: an answer that was on its way does not bring it back. */
  drop(id) {
    const product = this.#products.get(id);
    this.#gone.add(id);
    if (product) {
      this.#products.delete(id);
      this.#tell("drop", product);
    }
  }

  /** A list is about to be asked for: what comes from elsewhere until `replace` is newer than the list. */
  expectList() {
    this.#touched = new Set();
  }

  /** Take a list in that begins at the start; what it should hold up to `lastId` and doesn't was deleted unseen. */
  replace(products, lastId) {
    const listed = new Set(products.map((product) => product.id));
    const touched = this.#touched ?? new Set();
    this.#touched = null;
    for (const id of [...this.#products.keys()]) {
      if (!listed.has(id) && !touched.has(id) && (lastId === null || id <= lastId)) {
        this.drop(id);
      }
    }
    products.forEach((product) => this.put(product));
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

const keyOf = ({ id, version }) => `${id} ${version}`;
