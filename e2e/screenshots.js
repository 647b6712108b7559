// Takes the README's pictures of the Playground: make screenshots
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { start } from "./server.js";

const folder = fileURLToPath(new URL("../docs/", import.meta.url));
await mkdir(folder, { recursive: true });
const server = await start();
const browser = await chromium.launch({ executablePath: process.env.ROLLCALL_E2E_CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  for (const colorScheme of ["light", "dark"]) await take(colorScheme);
} finally {
  await browser.close();
  await server.stop();
}

async function take(colorScheme) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, colorScheme });
  await page.goto(server.page);
  await page.getByRole("button", { name: "Execute query" }).click();
  await page.locator(".result-window").getByText('"Grace Hopper"').first().waitFor();
  await page.evaluate("document.activeElement.blur()");
  await page.mouse.move(900, 20);
  for (const passing of [".graphiql-tooltip", ".graphiql-response .graphiql-spinner", ".scrollbar.visible"]) {
    await page.waitForFunction((selector) => !document.querySelector(selector), passing);
  }
  await page.waitForFunction(() => // all words have the colours of their languages, of which mtk1 is none
    [...document.querySelectorAll(".graphiql-query-editor .view-line span span, .result-window .view-line span span")]
      .every(({ className, textContent }) => className !== "mtk1" || !/\w/.test(textContent)));
  await page.screenshot({ path: `${folder}playground-${colorScheme}.png`, animations: "disabled", caret: "hide" });
}
