// The page of an event's sales. Its organizer signs in; the token stays in this tab's memory and ends with it.
import { T } from "./texts.js";
import { $, h, show } from "./dom.js";
import { drop } from "./drop.js";
import { get } from "./net.js";
import { session } from "./session.js";

const EVENT = location.pathname.split("/").pop(), SALES = `/v1/events/${EVENT}/sales`;
let end = () => {};

const signed = session($("content"), {
  note: T.signInNote,
  async begin() {
    await get(SALES);  // a refusal is shown at the form
    show($("account"), h("button", { type: "button", onclick: () => signed.signOut() }, T.signOut));
    end = drop($("content"), EVENT, SALES);
  },
  end() { show($("account")); end(); end = () => {}; },
});
