// The rooms on the page: which there are, what is said in the one that is open, and the field to say something.

import { ROOMS } from "./addresses.js";
import { Talk } from "./talk.js";

const KEPT = 100;
const HUES = ["Amber", "Azure", "Coral", "Copper", "Ivory", "Jade", "Misty", "Olive", "Opal", "Pearl", "Rusty", "Sandy", "Silver", "Stormy", "Teal", "Violet"];
const BIRDS = ["Avocet", "Curlew", "Dunlin", "Eider", "Gannet", "Godwit", "Heron", "Ibis", "Knot", "Osprey", "Petrel", "Plover", "Puffin", "Sanderling", "Skua", "Tern"];
const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

const byId = (id) => document.getElementById(id);

/** A name that one remembers, for the eight hexadecimal digits of an alias. */
export function nameOf(alias) {
  const [hue, bird] = [parseInt(alias[0], 16), parseInt(alias[1], 16)];
  return `${HUES[hue]} ${BIRDS[bird]} ${alias.slice(2, 4)}`;
}

/** Show the rooms; `askToSignIn` resolves to whether somebody has. */
export function showRooms(session, askToSignIn) {
  const talk = new Talk(session, ROOMS[0]);
  const list = byId("said");
  const form = byId("say");
  const field = form.querySelector("input");
  const hint = form.querySelector(".hint");
  const button = form.querySelector("button");

  const doors = ROOMS.map((room) => {
    const door = document.createElement("button");
    door.type = "button";
    door.className = "room";
    door.textContent = room;
    door.ariaPressed = String(room === talk.room);
    door.addEventListener("click", () => enter(room));
    return door;
  });
  byId("rooms").append(...doors);

  function enter(room) {
    if (room !== talk.room) {
      clear();
      doors.forEach((door) => (door.ariaPressed = String(door.textContent === room)));
      talk.enter(room);
    }
  }

  function markOwn(id) {
    const item = list.querySelector(`[data-id="${CSS.escape(id)}"]`);
    if (item !== null) {
      item.className = "own";
      item.querySelector("strong").textContent = "You";
    }
  }

  function clear() {
    list.replaceChildren();
    byId("silence").hidden = false;
  }

  talk.addEventListener("said", ({ detail: { id, from, text, isOwn } }) => {
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    const item = document.createElement("li");
    item.dataset.id = id;
    const who = document.createElement("strong");
    who.textContent = nameOf(from);
    const when = document.createElement("time");
    const said = new Date(Number(id.split("-")[0]));
    when.dateTime = said.toISOString();
    when.textContent = TIME.format(said);
    const what = document.createElement("p");
    what.textContent = text;
    item.append(who, when, what);
    list.append(item);
    if (isOwn) {
      markOwn(id);
    }
    while (list.childElementCount > KEPT) {
      list.firstElementChild.remove();
    }
    byId("silence").hidden = true;
    if (isAtEnd || isOwn) {
      list.scrollTop = list.scrollHeight;
    }
  });
  talk.addEventListener("own", ({ detail: id }) => markOwn(id));
  talk.addEventListener("gap", clear);
  talk.addEventListener("members", ({ detail: count }) => {
    byId("members").hidden = false;
    byId("members").querySelector(".text").textContent = count === 1 ? "only you" : `${count} here`;
  });
  talk.addEventListener("state", ({ detail: state }) => (byId("talk").dataset.state = state));

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    hint.textContent = "";
    const text = field.value.trim();
    if (text === "" || button.ariaBusy === "true" || !(session.isSignedIn || (await askToSignIn("Sign in to say something.")))) {
      return;
    }
    button.ariaBusy = "true";
    try {
      await talk.say(text);
      field.value = "";
    } catch (error) {
      hint.textContent = error.message;
    } finally {
      button.ariaBusy = "false";
      field.focus();
    }
  });
  talk.start();
}
