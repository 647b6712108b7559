// Takes the README's pictures of the Playground: make screenshots
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { start } from "./server.js";

const folder = fileURLToPath(new URL("../docs/", import.meta.url));
await mkdir(folder, { recursive: true });
const server = await start();
const browser = await chromium.launch({ executablePath: process.env.ROLLCALL_E2E_CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
for (const colorScheme of ["light", "dark"]) {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 }, colorScheme });
  await page.goto(server.page);
  await page.getByRole("button", { name: "Execute query" }).click();
  await page.locator(".result-window").getByText('"Grace Hopper"').first().waitFor();
  await page.evaluate("document.activeElement.blur()");
  await page.mouse.move(900, 20);
  const rest = [".graphiql-tooltip", ".graphiql-response .graphiql-spinner", ".scrollbar.visible"];
  for (const moving of rest) await page.waitForFunction((selector) => !document.querySelector(selector), moving);
  await page.waitForFunction(() => { // both languages are coloured
    const colours = (pane) => new Set([...document.querySelectorAll(`${pane} .view-line span span`)].map((span) => getComputedStyle(span).color)).size;
    return colours(".graphiql-query-editor") > 4 && colours(".result-window") > 3;
  });
  await page.screenshot({ path: `${folder}playground-${colorScheme}.png`, animations: "disabled", caret: "hide" });
}
await browser.close();
await server.stop();
