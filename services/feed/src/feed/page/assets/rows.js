// The list of products: one row for each, in order of age, changed in place.

import { PriceEditor } from "./editor.js";
import { formatMoney } from "./money.js";

const FLASH_MS = 2_600;
const WAS_MS = 9_000;
const LEAVE_MS = 250;
const LOW_STOCK = 10;

const template = document.getElementById("product-row");

export class Rows {
  #list;
  #rows = new Map();
  #actions;

  /** `actions`: {mayEdit(product) → boolean or a promise, save(product, amount), remove(product)}. */
  constructor(list, actions) {
    this.#list = list;
    this.#actions = actions;
  }

  /** Show a product, new or changed. `isNews` lets it be seen for a moment. */
  put(product, before, isNews) {
    const row = this.#rows.get(product.id) ?? this.#insert(product);
    row.show(product, isNews ? before : undefined);
    if (isNews) {
      row.flash();
    }
  }

  drop(product) {
    const row = this.#rows.get(product.id);
    if (row === undefined) {
      return;
    }
    this.#rows.delete(product.id);
    const hadFocus = row.element.contains(document.activeElement);
    const next = row.element.nextElementSibling ?? row.element.previousElementSibling;
    row.leave();
    if (hadFocus) {
      (next?.querySelector(".price") ?? this.#list).focus();
    }
  }

  /** Open the editor of a product's price. */
  edit(id) {
    this.#rows.get(id)?.edit();
  }

  /** Bring a product into view and put the focus on it; nothing to do for one that is not here. */
  reveal(id) {
    const element = this.#rows.get(id)?.element;
    element?.scrollIntoView({ block: "center" });
    element?.querySelector(".price").focus({ preventScroll: true });
  }

  #insert(product) {
    for (const waiting of this.#list.querySelectorAll(".waiting")) {
      waiting.remove();
    }
    const row = new Row(product, this.#actions);
    this.#rows.set(product.id, row);
    let after = this.#list.lastElementChild; // ids grow with age: most rows belong at the end
    while (after !== null && after.dataset.id > product.id) {
      after = after.previousElementSibling;
    }
    if (after === null) {
      this.#list.prepend(row.element);
    } else {
      after.after(row.element);
    }
    return row;
  }
}

function stockOf({ stock }) {
  if (stock === 0) {
    return ["none", "sold out"];
  }
  return stock < LOW_STOCK ? ["low", `only ${stock} left`] : ["fine", `${stock} in stock`];
}

class Row {
  #product;
  #actions;
  #editor = null;
  #flashTimer = 0;
  #wasTimer = 0;

  constructor(product, actions) {
    this.element = template.content.firstElementChild.cloneNode(true);
    this.element.dataset.id = product.id;
    this.#actions = actions;
    this.#part(".price").addEventListener("click", () => (this.#editor ? this.#editor.close() : this.edit()));
    this.#part(".remove").addEventListener("click", () => this.#actions.remove(this.#product));
  }

  show(product, before) {
    this.#product = product;
    const price = formatMoney(product.price);
    this.#part("h3").textContent = product.name;
    this.#part(".sku").textContent = product.sku;
    this.#part(".amount").textContent = price;
    this.#part(".price").ariaLabel = `${price}, change the price of ${product.name}`;
    this.#part(".remove").ariaLabel = `Delete ${product.name}`;
    const stock = this.#part(".stock");
    const [level, words] = stockOf(product);
    stock.dataset.level = level;
    stock.textContent = words;
    if (before && before.price.currency === product.price.currency && before.price.amount !== product.price.amount) {
      this.#showWas(before.price, product.price);
    }
    this.#editor?.update(product);
  }

  flash() {
    const { classList } = this.element;
    classList.remove("changed");
    void this.element.offsetWidth; // begins the animation anew
    classList.add("changed");
    clearTimeout(this.#flashTimer);
    this.#flashTimer = setTimeout(() => classList.remove("changed"), FLASH_MS);
  }

  leave() {
    this.#editor?.close();
    this.element.classList.add("leaving");
    this.element.inert = true;
    setTimeout(() => this.element.remove(), LEAVE_MS);
  }

  async edit() {
    if (this.#editor || !(await this.#actions.mayEdit(this.#product))) {
      return;
    }
    const button = this.#part(".price");
    button.ariaExpanded = "true";
    this.#editor = new PriceEditor(this.#product, (product, amount) => this.#actions.save(product, amount), () => {
      const hadFocus = this.#editor.element.contains(document.activeElement);
      this.#editor.element.remove();
      this.#editor = null;
      button.ariaExpanded = "false";
      if (hadFocus) {
        button.focus();
      }
    });
    this.element.append(this.#editor.element);
    this.#editor.focus();
  }

  #showWas(before, now) {
    const was = this.#part(".was");
    const struck = document.createElement("s");
    struck.textContent = formatMoney(before);
    was.dataset.direction = now.amount > before.amount ? "up" : "down";
    was.replaceChildren(struck);
    clearTimeout(this.#wasTimer);
    this.#wasTimer = setTimeout(() => was.replaceChildren(), WAS_MS);
  }

  #part(selector) {
    return this.element.querySelector(selector);
  }
}
