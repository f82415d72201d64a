// What happens to the products.
//
// Events: "state" (see `Line.state`), "change" (detail: {type, id, product}), "viewers" (detail: a number), "begin" (from
// here on every change is told, what was before is not: load the products now).

import { Line } from "./line.js";

export class Feed extends Line {
  constructor() {
    super("products");
  }

  opened() {
    if (this.lastId === "") {
      this.tell("begin");
    }
  }

  take(message) {
    switch (message.type) {
      case "viewers":
        this.tell("viewers", message.count);
        break;
      case "stream":
        if (message.state === "gap") {
          this.lastId = "";
          this.tell("begin");
        } else {
          this.show(message.state === "stale" ? "stale" : "live");
        }
        break;
      case "product.created":
      case "product.changed":
      case "product.deleted":
        this.lastId = message.id;
        this.tell("change", message);
        break;
      default: // said to pages that are newer than this one
    }
  }
}
