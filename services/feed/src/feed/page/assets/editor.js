// Changing a price, in the row itself. Enter saves, Escape leaves everything as it was.
//
// The editor saves against the version that its user has seen. When somebody else changes the product meanwhile it
// says so at once, and saving then replaces what was announced; a change that nobody could announce yet is refused by
// the catalogue (412), shown, and kept until the user saves again.

import { formatMoney, parseMoney, typeMoney } from "./money.js";
import { Problem } from "./problem.js";

const template = document.getElementById("price-editor");

export class PriceEditor {
  #product;
  #save;
  #close;
  #input;
  #hint;
  #isSaving = false;

  constructor(product, save, close) {
    this.element = template.content.firstElementChild.cloneNode(true);
    this.#product = product;
    this.#save = save;
    this.#close = close;
    this.#input = this.element.querySelector("input");
    this.#hint = this.element.querySelector(".hint");
    this.element.querySelector("label span").textContent = `New price of ${product.name} in ${product.price.currency}`;
    this.element.querySelector(".unit").textContent = product.price.currency;
    this.#input.value = typeMoney(product.price);
    this.element.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.element.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
    this.element.querySelector("[data-cancel]").addEventListener("click", () => this.close());
    this.#input.addEventListener("input", () => this.#tell("", ""));
  }

  focus() {
    this.#input.focus();
    this.#input.select();
    this.element.scrollIntoView({ block: "nearest" });
  }

  close() {
    this.#close();
  }

  /** The product has changed while it is edited. */
  update(product) {
    const isOtherPrice = product.price.amount !== this.#product.price.amount;
    this.#product = product;
    if (isOtherPrice && !this.#isSaving) {
      this.#tell("news", `Somebody just made it ${formatMoney(product.price)}. Save replaces that with yours.`);
    }
  }

  async #submit() {
    if (this.#isSaving) {
      return;
    }
    let amount;
    try {
      amount = parseMoney(this.#input.value, this.#product.price.currency);
    } catch (error) {
      this.#tell("mistake", error.message);
      this.#input.focus();
      return;
    }
    if (amount === this.#product.price.amount) {
      this.close();
      return;
    }
    this.#setSaving(true);
    try {
      await this.#save(this.#product, amount);
      this.close();
    } catch (error) {
      if (!(error instanceof Problem)) {
        throw error;
      }
      const now = formatMoney(this.#product.price);
      const overtaken = `Somebody was faster: it is ${now} now. Save again to replace that with yours.`;
      this.#tell(error.status === 412 ? "news" : "mistake", error.status === 412 ? overtaken : error.message);
      this.#input.focus();
    } finally {
      this.#setSaving(false);
    }
  }

  #setSaving(isSaving) {
    this.#isSaving = isSaving;
    this.#input.readOnly = isSaving;
    this.element.querySelector("[type=submit]").ariaBusy = String(isSaving);
  }

  #tell(kind, text) {
    this.#hint.dataset.kind = kind;
    this.#hint.textContent = text;
    this.#input.ariaInvalid = String(kind === "mistake");
  }
}
