// The three dialogs: account, new product, deletion. Each `ask` resolves to something true when what was asked for is
// done (for a new product: its id), and to false when the dialog was closed. Focus stays inside while one is open and
// returns to where it was (the browser's own <dialog>).

import { parseMoney } from "./money.js";
import { Problem } from "./problem.js";

class Dialog {
  #submit;
  #resolve = () => {};
  #isBusy = false;

  constructor(id, submit) {
    this.element = document.getElementById(id);
    this.form = this.element.querySelector("form");
    this.#submit = submit;
    this.element.addEventListener("close", () => this.#resolve(false));
    this.element.addEventListener("pointerdown", (event) => isOutside(event, this.element) && this.element.close());
    this.form.querySelector("[data-close]").addEventListener("click", () => this.element.close());
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.form.addEventListener("input", (event) => this.mistake(event.target.name, ""));
  }

  open() {
    this.clear();
    this.element.showModal();
    return new Promise((resolve) => (this.#resolve = resolve));
  }

  get values() {
    return Object.fromEntries([...new FormData(this.form)].map(([name, value]) => [name, value]));
  }

  /** Say what is wrong with a field, or, with the name "", with the whole. */
  mistake(name, text) {
    const place = this.form.querySelector(`[data-for="${name}"]`) ?? this.form.querySelector('[data-for=""]');
    place.textContent = text;
    this.form.elements[name]?.setAttribute("aria-invalid", String(text !== ""));
  }

  clear() {
    for (const place of this.form.querySelectorAll("[data-for]")) {
      this.mistake(place.dataset.for, "");
    }
  }

  async #send() {
    if (this.#isBusy) {
      return;
    }
    this.clear();
    const button = this.form.querySelector("[type=submit]");
    this.#isBusy = true;
    button.ariaBusy = "true";
    try {
      const result = await this.#submit(this.values);
      this.#resolve(result ?? true);
      this.element.close();
    } catch (error) {
      this.#show(error);
    } finally {
      this.#isBusy = false;
      button.ariaBusy = "false";
    }
  }

  #show(error) {
    if (error instanceof Mistakes) {
      error.fields.forEach((text, name) => this.mistake(name, text));
    } else if (error instanceof Problem) {
      error.fields.forEach((text, name) => this.mistake(name, text));
      if (error.fields.size === 0) {
        this.mistake("", error.message);
      }
    } else {
      throw error;
    }
    this.form.querySelector('[aria-invalid="true"]')?.focus();
  }
}

/** Whether the backdrop was pressed, which belongs to the dialog as its padding does. */
function isOutside({ target, clientX, clientY }, element) {
  const { left, right, top, bottom } = element.getBoundingClientRect();
  return target === element && (clientX < left || clientX > right || clientY < top || clientY > bottom);
}

/** What the page itself finds wrong with a form, by the fields' names. */
class Mistakes extends Error {
  constructor(fields) {
    super("the form has mistakes");
    this.fields = fields;
  }
}

function check(rules) {
  const fields = new Map(Object.entries(rules).filter(([, text]) => text));
  if (fields.size > 0) {
    throw new Mistakes(fields);
  }
}

const FACES = {
  in: { title: "Sign in", lead: "", other: "New here?", link: "Create an account", autocomplete: "current-password" },
  up: {
    title: "Create an account",
    lead: "So that you can change prices.",
    other: "Been here before?",
    link: "Sign in",
    autocomplete: "new-password",
  },
};

export class AccountDialog {
  #dialog;
  #face = "in";

  constructor(session) {
    this.#dialog = new Dialog("account-dialog", async ({ email, password }) => {
      check({
        email: /^\S+@\S+$/.test(email.trim()) ? "" : "Type your e-mail address.",
        password: password ? "" : "Type a password.",
      });
      await (this.#face === "up" ? session.signUp(email.trim(), password) : session.signIn(email.trim(), password));
      this.#dialog.form.reset();
    });
    this.#dialog.form.querySelector("[data-switch]").addEventListener("click", () => {
      this.#dialog.clear();
      this.#turn(this.#face === "in" ? "up" : "in");
      this.#dialog.form.elements.email.focus();
    });
  }

  /** Sign in or up; `reason` says why one should. */
  ask(reason = "") {
    this.#turn("in", reason);
    return this.#dialog.open();
  }

  #turn(face, reason = "") {
    this.#face = face;
    const { title, lead, other, link, autocomplete } = FACES[face];
    const { form } = this.#dialog;
    form.querySelector("h2").textContent = title;
    form.querySelector(".lead").textContent = reason || lead;
    form.querySelector("[type=submit]").textContent = title;
    form.querySelector(".other span").textContent = other;
    form.querySelector("[data-switch]").textContent = link;
    form.querySelector(".hint").hidden = face === "in";
    form.elements.password.autocomplete = autocomplete;
  }
}

export class ProductDialog {
  #dialog;

  /** `create` takes {name, sku, price: {amount, currency}, stock} and gives the id. */
  constructor(create) {
    this.#dialog = new Dialog("product-dialog", async ({ name, sku, price, currency, stock }) => {
      let amount = 0;
      let complaint = "";
      try {
        amount = parseMoney(price, currency);
      } catch (error) {
        complaint = error.message;
      }
      check({
        name: name.trim() ? "" : "What is it called?",
        sku: /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(sku.trim()) ? "" : "Letters, digits, dots and hyphens only.",
        price: complaint,
        stock: /^\d{1,9}$/.test(stock.trim()) ? "" : "How many are there?",
      });
      const id = await create({ name: name.trim(), sku: sku.trim(), price: { amount, currency }, stock: Number(stock) });
      this.#dialog.form.reset();
      return id;
    });
  }

  ask() {
    return this.#dialog.open();
  }
}

export class RemovalDialog {
  #dialog;
  #product = null;

  constructor(remove) {
    this.#dialog = new Dialog("removal-dialog", () => remove(this.#product));
  }

  ask(product) {
    this.#product = product;
    document.getElementById("removal-text").textContent = `“${product.name}” disappears from every open page.`;
    return this.#dialog.open();
  }
}
