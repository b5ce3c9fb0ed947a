// Where nothing is painted yet: a button that begins a data set in the opened folder.

import { Refused } from "./api";
import { getPainted, postBegin } from "./paint-api";
import { element, made } from "./panels";

/** Offer to paint, where that may begin; `begun` is called when it has, `complain` when it was refused. */
export async function offerPainting(begun: () => Promise<void>, complain: (reason: string) => void): Promise<void> {
  if (!(await getPainted()).can_begin) return;
  const name = made("input", { type: "text", value: "painted", ariaLabel: "Name of the new data set", maxLength: 80 });
  const form = made("form", { className: "row" }, name, made("button", { type: "submit" }, "Paint"));
  const root = made(
    "details",
    { id: "paint-begin" },
    made("summary", {}, "Paint"),
    made("p", { className: "note" }, "Strokes become a data set in a folder of the opened one. Its name:"),
    form,
  );
  form.onsubmit = (event) => {
    event.preventDefault();
    postBegin(name.value.trim()).then(
      async () => {
        root.remove();
        complain("");
        await begun();
      },
      (error: unknown) => {
        if (!(error instanceof Refused)) throw error;
        complain(error.message);
      },
    );
  };
  element("position").before(root);
}
