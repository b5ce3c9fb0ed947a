// The beginning: ask which network is open, and build the page.

import "./stage.css";
import "./style.css";
import { getRun, Refused } from "./api";
import { Page } from "./page";
import { element } from "./panels";
import { restoreTheme } from "./theme";

async function main(): Promise<void> {
  restoreTheme();
  try {
    await new Page(await getRun()).start();
  } catch (error) {
    const message = element("message");
    message.textContent = error instanceof Error ? error.message : String(error);
    message.hidden = false;
    if (!(error instanceof Refused)) throw error;
  }
}

void main();
