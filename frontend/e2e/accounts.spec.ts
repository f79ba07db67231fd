import type { Page } from "@playwright/test";
import { expect, expectAccessible, expectNoSidewaysScroll, Patchbay, test } from "./harness";

let own: Patchbay;
test.beforeAll(async () => {
	own = await Patchbay.demo();
});
test.afterAll(async () => own.close());

const dialog = (page: Page) => page.getByRole("dialog");

/** Goes to a provider of the list, past its risk label where it has one. */
async function choose(page: Page, provider: string): Promise<void> {
	await page.getByRole("link", { name: "Add account" }).first().click();
	const ended = dialog(page).getByRole("button", { name: /^Show \d+ ended/ });
	await expect(dialog(page).getByRole("button", { name: new RegExp("Codex") })).toBeVisible();
	if (/Qwen|iFlow/.test(provider)) await ended.click();
	await dialog(page).getByRole("button", { name: new RegExp(`^${provider}(?! Responses)`) }).click();
	const label = dialog(page).getByRole("checkbox", { name: "I understand that I may lose this account." });
	const forward = dialog(page).getByRole("button", { name: /^(Open the browser|Get a code|Check and add|Switch .* on)$/ });
	await expect(forward.first()).toBeVisible();
	if (await label.isVisible()) {
		const on = dialog(page).getByRole("button", { name: `Switch ${provider} on` });
		await expect(on).toBeDisabled();
		await label.check();
		await on.click();
	}
}

/** Signs in on the page of the simulated service. */
async function click(tab: Page, who = "ann@example.test"): Promise<void> {
	await tab.getByRole("button", { name: who }).click();
}

async function done(page: Page, provider: string): Promise<void> {
	await expect(page.getByRole("dialog", { name: `${provider} is ready` })).toBeVisible();
	await dialog(page).getByRole("button", { name: "Done" }).click();
	await expect(dialog(page)).toBeHidden();
	const row = page.getByRole("region", { name: provider, exact: true }).getByRole("listitem").first();
	await expect(row).toContainText("Ready");
}

for (const [provider, way] of [
	["Codex", ""],
	["Gemini CLI", ""],
	["iFlow", ""],
] as const) {
	test(`sign in to ${provider} in the browser`, async ({ open, context }) => {
		const page = await open("/accounts", own);
		await choose(page, provider);
		if (way) await dialog(page).getByRole("button", { name: way }).click();
		const [tab] = await Promise.all([context.waitForEvent("page"), dialog(page).getByRole("button", { name: "Open the browser" }).click()]);
		await expect(dialog(page)).toContainText("Your browser is open.");
		if (provider === "Codex") await expectAccessible(page);
		await click(tab);
		await expect(tab.locator("body")).toContainText("You are signed in");
		await done(page, provider);
	});
}

for (const provider of ["Kiro", "Qwen Code"]) {
	test(`sign in to ${provider} with a code`, async ({ open, context }) => {
		const page = await open("/accounts", own);
		await choose(page, provider);
		const byCode = dialog(page).getByRole("button", { name: /Builder ID/ });
		if (await byCode.isVisible()) await byCode.click();
		await dialog(page).getByRole("button", { name: "Get a code" }).click();
		await expect(dialog(page)).toContainText("On any device, open the page and type the code.");
		await expect(dialog(page).getByRole("img", { name: /QR code/ })).toBeVisible();
		if (provider === "Kiro") await expectAccessible(page);
		const code = await dialog(page).locator("[data-user-code]").textContent();
		const tab = await context.newPage();
		await tab.goto((await dialog(page).getByRole("link").first().getAttribute("href"))!);
		const field = tab.getByRole("textbox");
		if (await field.isVisible()) await field.fill(code!);
		await click(tab);
		await done(page, provider);
	});
}

test("sign in to Antigravity on another computer and paste the address", async ({ open }) => {
	const page = await open("/accounts", own);
	await choose(page, "Antigravity");
	await dialog(page).getByRole("button", { name: "On another computer" }).click();
	await expect(page.getByRole("dialog", { name: "Paste the address" })).toBeVisible();
	const url = await dialog(page).getByRole("link").first().getAttribute("href");
	// The other computer's browser ends on an address that leads nowhere there.
	const answer = await fetch(url!, { method: "POST", body: new URLSearchParams({ user: "ann@example.test" }), redirect: "manual" });
	const back = answer.headers.get("location") ?? "";
	expect(back).toContain("code=");
	const field = dialog(page).getByRole("textbox", { name: /Address or code/ });
	await field.fill(back.replace(/[?&]state=[^&]*/, (m) => (m.startsWith("?") ? "?" : "")));
	await expect(dialog(page)).toContainText("The part \"state=…\" is missing.");
	await expect(dialog(page).getByRole("button", { name: "Sign in" })).toBeDisabled();
	await field.fill(back);
	await dialog(page).getByRole("button", { name: "Sign in" }).click();
	await done(page, "Antigravity");
});

test("what a sign-in that fails says, and where it leads", async ({ open, context }) => {
	const page = await open("/accounts", own);
	await choose(page, "Codex");
	const [tab] = await Promise.all([context.waitForEvent("page"), dialog(page).getByRole("button", { name: "Open the browser" }).click()]);
	await click(tab, "Refuse");
	await expect(dialog(page).getByRole("alert")).toContainText("Codex says the sign-in was refused.");
	await expect(dialog(page)).toContainText("If you pressed Cancel, start again.");
	await expectAccessible(page);
	const [second] = await Promise.all([context.waitForEvent("page"), dialog(page).getByRole("button", { name: "Start again" }).click()]);
	await expect(dialog(page)).toContainText("Your browser is open.");
	await second.close();
	await page.keyboard.press("Escape");
	await expect(dialog(page)).toBeHidden();
});

test("a login that came of another account is told, and kept only if wanted", async ({ open, context }) => {
	const page = await open("/accounts", own);
	await page.getByRole("button", { name: "More for ann@example.test" }).first().click();
	const again = page.getByRole("menuitem", { name: "Sign in again" });
	await again.click();
	const [tab] = await Promise.all([context.waitForEvent("page"), dialog(page).getByRole("button", { name: /Open the browser|Get a code/ }).click()]);
	await click(tab, "bob@example.test");
	await expect(page.getByRole("dialog", { name: "Another account signed in" })).toBeVisible();
	await dialog(page).getByRole("button", { name: /^Don’t save/ }).click();
	await expect(dialog(page)).toBeHidden();
	await expect(page.getByText("bob@example.test")).toHaveCount(0);
});

test("add a key; a wrong one is refused under its field and leaves nothing behind", async ({ open }) => {
	const page = await open("/accounts", own);
	await choose(page, "OpenAI");
	const key = dialog(page).getByLabel("API key");
	await key.fill("sk-wrong-0123456789abcdef");
	await dialog(page).getByRole("button", { name: "Check and add" }).click();
	await expect(key).toHaveAttribute("aria-invalid", "true");
	await expectAccessible(page);
	await key.fill("sk-sim-added-on-the-page");
	await dialog(page).getByRole("button", { name: "Check and add" }).click();
	await done(page, "OpenAI");
	expect(await page.evaluate(() => document.documentElement.outerHTML)).not.toContain("sk-sim-added");
});

test("an invented provider is drawn from its own description", async ({ open }) => {
	const page = await open("/accounts", own);
	await own.api("POST", "/api/providers", { id: "invented-works", kind: "openai", base_url: "http://127.0.0.1:9/v1", name: "Invented Works" });
	await page.getByRole("link", { name: "Add account" }).first().click();
	await dialog(page).getByRole("searchbox").fill("invented");
	await dialog(page).getByRole("button", { name: /^Invented Works/ }).click();
	await expect(page.getByRole("dialog", { name: "Add a key for Invented Works" })).toBeVisible();
	await expect(dialog(page).getByLabel(/API key/)).toBeFocused();
	await page.keyboard.press("Escape");
});

test("an account that rests says why and until when, and is used again on demand", async ({ open }) => {
	const page = await open("/accounts", own);
	expect((await own.ask("gpt-4.1", "[[rate_limit]] Hello")).status).toBe(429);
	const pool = page.getByRole("region", { name: "OpenAI", exact: true });
	const row = pool.getByRole("listitem").filter({ hasText: /[Rr]est/ }).first();
	await expect(row).toContainText(/rests? until|Resting until/);
	const name = await row.getAttribute("aria-label");
	await row.focus();
	await page.keyboard.press("Enter");
	await page.getByRole("menuitem", { name: "Use now" }).click();
	const ask = page.getByRole("dialog", { name: /^Use .* now$/ });
	if (await ask.isVisible()) await ask.getByRole("button", { name: "Use now" }).click();
	await expect(pool.getByRole("listitem", { name: name!.replace(/:.*/, ": Ready") })).not.toContainText(/rests? until|Resting until/);
});

test("a test request says what it costs before, and what the model answered after", async ({ open }) => {
	const page = await open("/accounts", own);
	const row = page.getByRole("region", { name: "Anthropic", exact: true }).getByRole("listitem").first();
	await row.getByRole("button", { name: /^More for/ }).click();
	await page.getByRole("menuitem", { name: "Send test request …" }).click();
	await dialog(page).getByLabel("Model").fill("claude-sonnet-4-5");
	await expect(dialog(page)).toContainText(/costs at most \$0\.00\d+/);
	await dialog(page).getByRole("button", { name: "Send" }).click();
	await expect(dialog(page).getByRole("status")).toContainText("It answered “You said: Answer with the one word: ready”");
	await dialog(page).getByLabel("Model").fill("no-such-model");
	await dialog(page).getByRole("button", { name: "Send" }).click();
	await expect(dialog(page).getByRole("status")).toContainText("Ask another model");
	await expectAccessible(page);
});

test("accounts are put in order, switched off and on, renamed and removed", async ({ open }) => {
	const page = await open("/accounts", own);
	const rows = page.getByRole("region", { name: "OpenAI", exact: true }).getByRole("listitem");
	const first = (await rows.first().getAttribute("aria-label"))!.replace(/:.*/, "");
	await rows.first().focus();
	await page.keyboard.press("Alt+ArrowDown");
	await expect(rows.nth(1)).toHaveAttribute("aria-label", new RegExp(`^${first}:`));
	await page.getByRole("button", { name: "Undo" }).click();
	await expect(rows.first()).toHaveAttribute("aria-label", new RegExp(`^${first}:`));
	await rows.first().getByRole("button", { name: `More for ${first}` }).click();
	await page.getByRole("menuitem", { name: "Switch off" }).click();
	await expect(rows.first()).toContainText("Switched off");
	await rows.first().getByRole("button", { name: "Switch on" }).click();
	await expect(rows.first()).toContainText("Ready");
	await rows.first().getByRole("button", { name: `More for ${first}` }).click();
	await page.getByRole("menuitem", { name: "Rename …" }).click();
	await dialog(page).getByLabel("Name").fill("Renamed here");
	await dialog(page).getByRole("button", { name: "Save" }).click();
	await expect(page.getByText("Renamed here")).toBeVisible();
	await page.getByRole("button", { name: "More for Renamed here" }).click();
	await page.getByRole("menuitem", { name: "Remove …" }).click();
	await expect(dialog(page)).toContainText("The saved key is deleted");
	await expectAccessible(page);
	await dialog(page).getByRole("button", { name: "Remove Renamed here" }).click();
	await expect(page.getByRole("button", { name: "More for Renamed here" })).toHaveCount(0);
});

test("files are dropped, looked into and taken in", async ({ open }) => {
	const page = await open("/accounts", own);
	const pools = { "openai-custom": [{ OPENAI_API_KEY: "sk-imported-0123456789", OPENAI_BASE_URL: "https://api.openai.com/v1", customName: "from the old program" }] };
	const transfer = await page.evaluateHandle((text) => {
		const t = new DataTransfer();
		t.items.add(new File([text], "provider_pools.json", { type: "application/json" }));
		return t;
	}, JSON.stringify(pools));
	await page.dispatchEvent("main", "drop", { dataTransfer: transfer });
	await expect(page.getByRole("dialog", { name: "Import from other programs" })).toContainText("can be taken in. Nothing is taken yet.");
	await expectAccessible(page);
	await dialog(page).getByRole("button", { name: /^Take \d in$/ }).click();
	await expect(dialog(page)).toContainText("taken in.");
	await dialog(page).getByRole("button", { name: "Done" }).click();
	await page.getByRole("link", { name: "Accounts", exact: true }).first().click();
	await expect(page.getByText("from the old program").first()).toBeVisible();
});

test("keyboard only: from the list to a signed-in account", async ({ open, context }) => {
	const page = await open("/accounts", own);
	await page.keyboard.press("n");
	await expect(dialog(page).getByRole("searchbox")).toBeFocused();
	await page.keyboard.type("codex");
	await page.keyboard.press("Tab");
	await page.keyboard.press("Enter");
	const begin = dialog(page).getByRole("button", { name: "Open the browser" });
	await expect(begin).toBeVisible();
	for (let i = 0; i < 12 && !(await begin.evaluate((b) => b === document.activeElement)); i++) await page.keyboard.press("Tab");
	const [tab] = await Promise.all([context.waitForEvent("page"), page.keyboard.press("Enter")]);
	await expect(tab.getByRole("button", { name: "bob@example.test" })).toBeVisible();
	await tab.getByRole("button", { name: "bob@example.test" }).focus();
	await tab.keyboard.press("Enter");
	await expect(page.getByRole("dialog", { name: "Codex is ready" })).toBeVisible();
	await expect(dialog(page).getByRole("button", { name: "Done" })).toBeFocused();
	await page.keyboard.press("Enter");
	await expect(page.getByText("bob@example.test").first()).toBeVisible();
});

test("both pages are for everybody at every width", async ({ open }) => {
	const page = await open("/accounts", own);
	await expect(page.getByRole("region", { name: "OpenAI", exact: true })).toBeVisible();
	await expectAccessible(page);
	await expectNoSidewaysScroll(page);
	await page.evaluate(() => (location.hash = "/files"));
	await expect(page.getByRole("heading", { name: "Credential files" })).toBeVisible();
	await expectAccessible(page);
	await expectNoSidewaysScroll(page);
});
