// What the page says: notices for the eye, sentences for a screen reader.

const NOTICE_MS = 7_000;
const PAUSE_MS = 600;
const FEW = 2;

const notices = document.getElementById("notices");
const spoken = document.getElementById("spoken");

let pending = [];
let timer = 0;

/** Show a sentence for a while; screen readers read it too. */
export function notice(text) {
  const element = document.createElement("p");
  element.className = "notice";
  const words = document.createElement("span");
  words.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "button icon-only";
  close.ariaLabel = "Dismiss";
  close.textContent = "✕";
  close.addEventListener("click", () => element.remove());
  element.append(words, close);
  notices.append(element);
  while (notices.childElementCount > 3) {
    notices.firstElementChild.remove();
  }
  setTimeout(() => element.remove(), NOTICE_MS);
}

/** Say a sentence to those who listen. Many at once become a number, so that a busy feed does not talk without end. */
export function say(text) {
  pending.push(text);
  clearTimeout(timer);
  timer = setTimeout(() => {
    spoken.textContent = pending.length > FEW ? `${pending.length} changes in the catalogue` : pending.join(". ");
    pending = [];
  }, PAUSE_MS);
}
