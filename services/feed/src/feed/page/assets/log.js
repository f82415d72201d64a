// "Just happened": the last changes in words, newest first.

import { formatMoney } from "./money.js";

const KEPT = 7;
const AGES = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "long" });

const list = document.getElementById("log");
const calm = document.getElementById("calm");

/** What a change means, in a few words. */
export function describe(type, product, before) {
  if (type === "product.created") {
    return `new, at ${formatMoney(product.price)}`;
  }
  if (type === "product.deleted") {
    return "deleted";
  }
  const parts = [];
  if (before && (before.price.amount !== product.price.amount || before.price.currency !== product.price.currency)) {
    parts.push(`${formatMoney(before.price)} → ${formatMoney(product.price)}`);
  }
  if (before && before.stock !== product.stock) {
    parts.push(`stock ${before.stock} → ${product.stock}`);
  }
  if (before && before.name !== product.name) {
    parts.push(`was “${before.name}”`);
  }
  if (before && before.sku !== product.sku) {
    parts.push(`SKU ${product.sku}`);
  }
  return parts.join(", ") || `now ${formatMoney(product.price)}`;
}

/** Note a change; `isOwn` when this page made it. */
export function note(type, product, before, isOwn) {
  const item = document.createElement("li");
  item.dataset.event = type;
  const name = document.createElement("strong");
  name.textContent = product.name;
  const detail = document.createElement("span");
  detail.className = "detail";
  detail.textContent = describe(type, product, before);
  const when = document.createElement("span");
  when.className = "when";
  when.dataset.at = String(Date.now());
  when.dataset.by = isOwn ? ", by you" : "";
  item.append(name, detail, when);
  list.prepend(item);
  while (list.childElementCount > KEPT) {
    list.lastElementChild.remove();
  }
  calm.hidden = true;
  tellAges();
}

function tellAges() {
  for (const when of list.querySelectorAll(".when")) {
    const ageS = Math.round((Date.now() - Number(when.dataset.at)) / 1000);
    when.textContent = tellAge(ageS) + when.dataset.by;
  }
}

function tellAge(ageS) {
  if (ageS < 45) {
    return "just now";
  }
  const minutes = Math.max(1, Math.round(ageS / 60));
  return minutes < 60 ? AGES.format(-minutes, "minute") : AGES.format(-Math.round(minutes / 60), "hour");
}

setInterval(tellAges, 15_000);
