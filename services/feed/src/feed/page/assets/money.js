// Money is an integer of minor units and a currency (1999 and "EUR" are 19.99 euros). It is only ever divided in
// text: a binary fraction can't hold 19.99, and sums beyond 2^53 / 100 would be shown wrongly.

const formats = new Map();

function formatOf(currency) {
  if (!formats.has(currency)) {
    formats.set(currency, new Intl.NumberFormat(undefined, { style: "currency", currency }));
  }
  return formats.get(currency);
}

/** How many digits the currency has after its separator: 2 for EUR, 0 for JPY, 3 for KWD. */
export function digitsOf(currency) {
  return formatOf(currency).resolvedOptions().maximumFractionDigits;
}

/** "1234.56" for 123456 minor units of a currency with two digits. */
export function decimalOf({ amount, currency }) {
  const digits = digitsOf(currency);
  const text = String(amount).padStart(digits + 1, "0");
  return digits === 0 ? text : `${text.slice(0, -digits)}.${text.slice(-digits)}`;
}

/** The amount as the reader's language writes it: "€19.99", "19,99 €". */
export function formatMoney(money) {
  return formatOf(money.currency).format(decimalOf(money));
}

/** The amount as one would type it, with the reader's decimal separator and nothing else. */
export function typeMoney(money) {
  const separator = formatOf("EUR").formatToParts(0.5).find((part) => part.type === "decimal").value;
  return decimalOf(money).replace(".", separator);
}

/**
 * Minor units for what was typed: "19,99", "1.234,5", "€ 1 234.50". The last separator is the decimal one when no more
 * digits follow it than the currency has. Throws an Error whose message is for the reader.
 */
export function parseMoney(text, currency) {
  const digits = digitsOf(currency);
  const plain = text.toUpperCase().replace(currency, "").replace(/[\s\u00a0\u202f'’_]|\p{Sc}/gu, "");
  if (plain === "") {
    throw new Error("Type a price.");
  }
  const match = /^(\d[\d.,]*?)(?:[.,](\d*))?$/.exec(plain);
  if (match === null) {
    throw new Error("That is not a price. Digits will do, as in 19.99.");
  }
  let [, whole, fraction = ""] = match;
  if (fraction.length === 3 && digits !== 3) {
    whole += fraction; // "1,234": thousands
    fraction = "";
  }
  if (fraction.length > digits) {
    throw new Error(digits === 0 ? `${currency} has no decimals.` : `${currency} has ${digits} decimals at most.`);
  }
  const amount = Number(whole.replace(/[.,]/g, "") + fraction.padEnd(digits, "0"));
  if (!Number.isSafeInteger(amount)) {
    throw new Error("That is more than there is.");
  }
  return amount;
}
