import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { expect, expectAccessible, expectNoSidewaysScroll, Patchbay, test } from "./harness";

/** Settings whose OpenAI is the demo's simulated one. */
async function simulated(demo: Patchbay): Promise<string> {
	const { items } = await demo.api<{ items: { id: string; base_url?: string }[] }>("GET", "/api/providers");
	const url = items.find((p) => p.id === "openai")?.base_url ?? "";
	return `credential_files:\n  enabled: false\nproviders:\n  openai:\n    base_url: ${url}\n`;
}

async function pick(page: Page, service: string): Promise<void> {
	await page.getByRole("combobox", { name: "Service" }).fill(service);
	await page.getByRole("option", { name: service, exact: true }).first().click();
}

test("from the first start to the first answer", async ({ demo, open }) => {
	const own = await Patchbay.serve(await simulated(demo));
	const page = await open("/", own);
	await expect(page.getByRole("heading", { level: 1, name: "No account yet." })).toBeVisible();
	await expectAccessible(page);

	// 1: a key that is refused says so at the field, a good one ticks the step
	await pick(page, "OpenAI");
	await page.getByLabel("API key").fill("sk-sim-unauthorized");
	await page.getByRole("button", { name: "Check and add" }).click();
	await expect(page.getByLabel("API key")).toHaveAttribute("aria-invalid", "true");
	expect((await own.api<{ items: unknown[] }>("GET", "/api/accounts")).items).toEqual([]);
	await page.getByLabel("API key").fill("sk-sim-demo");
	await page.getByRole("button", { name: "Check and add" }).click();
	await expect(page.getByText("can answer:")).toBeVisible();

	// 2: a key for an app, shown once
	await page.getByLabel("Key for an app").fill("Cline");
	await page.getByRole("button", { name: "New key" }).click();
	await expect(page.getByText("You will not see it again.")).toBeVisible();
	await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
	await page.getByRole("button", { name: "Copy address and key" }).click();
	const [address, key] = (await page.evaluate(() => navigator.clipboard.readText())).split("\n");
	expect(address).toBe(own.base + "/v1");

	// 3: the app's first request appears by itself
	await expect(page.getByText("Waiting for the first request")).toBeVisible();
	const answer = await fetch(`${address}/chat/completions`, {
		method: "POST",
		headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
		body: JSON.stringify({ model: "gpt-4.1", messages: [{ role: "user", content: "Hello" }] }),
	});
	expect(answer.status).toBe(200);
	await answer.text();
	await expect(page.getByText("Waiting for the first request")).toBeHidden();
	await page.getByLabel("Or ask here").fill("What is a patch bay?");
	await page.getByRole("button", { name: "Ask", exact: true }).click();
	await expect(page.getByText(/OpenAI answered in/)).toBeVisible();
	await expect(page.getByRole("heading", { level: 1, name: "Ready. 1 of 1 account can answer." })).toBeVisible();
	await page.getByRole("button", { name: "Go to Home" }).click();
	await expect(page.getByRole("heading", { name: "Latest requests" })).toBeVisible();
	await expect(page.getByRole("link", { name: /Cline · gpt-4.1/ })).toBeVisible();

	// the key is nowhere any more
	expect(await page.content()).not.toContain(key);
	await own.close();
});

test("the default provider is chosen here, and the next request goes there", async ({ demo, open }) => {
	const page = await open();
	const before = (await demo.api<{ provider: string }>("GET", "/api/default-provider")).provider;
	const asked = async () => {
		const response = await demo.ask("gpt-5-mini");
		await response.text();
		return response.headers.get("x-patchbay-provider");
	};
	await expect(page.getByRole("button", { name: /^Default provider: / })).toBeVisible();
	for (const [name, id] of [
		["OpenAI Responses", "openai-responses"],
		["OpenAI", "openai"],
	]) {
		await page.keyboard.press("d");
		await page.getByRole("menuitemcheckbox", { name: new RegExp(`^${name} \\d`) }).click();
		await expect(page.getByRole("button", { name: `Default provider: ${name}`, exact: true })).toBeVisible();
		expect(await asked()).toBe(id);
	}
	await page.getByRole("button", { name: "Undo" }).last().click();
	await expect(page.getByRole("button", { name: "Default provider: OpenAI Responses" })).toBeVisible();
	await demo.api("PUT", "/api/default-provider", { provider: before });
	await expect(page.getByRole("button", { name: "Default provider: OpenAI Responses" })).toBeHidden();
});

test("full, at every width, in three languages", async ({ demo, open }) => {
	await (await demo.ask("gpt-4.1")).text();
	const page = await open();
	await expect(page.getByRole("heading", { level: 1 })).toHaveText(/^Ready\. \d of 6 accounts can answer\.$/);
	await page.getByRole("button", { name: "Copy the Anthropic address" }).focus();
	await expectNoSidewaysScroll(page);
	for (const [name, title, lang] of [
		["日本語", "リクエストの行き先", "ja"],
		["简体中文", "请求的去向", "zh-CN"],
		["English", "Where requests go", "en"],
	] as const) {
		await page.keyboard.press("Control+k");
		await page.getByRole("combobox").fill(name);
		await page.keyboard.press("Enter");
		await expect(page.getByRole("heading", { name: title })).toBeVisible();
		await expect(page.locator("html")).toHaveAttribute("lang", lang);
		await expectNoSidewaysScroll(page);
	}
});

test("the theme is switched, and kept", async ({ open }) => {
	const page = await open();
	const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
	const light = await background();
	await page.getByRole("button", { name: "Switch to the dark theme" }).click();
	expect(await background()).not.toBe(light);
	await page.reload();
	await expect(page.getByRole("button", { name: "Switch to the light theme" })).toBeVisible();
	expect(await background()).not.toBe(light);
});

test("examples name the provider in the path, and answer when they are pasted", async ({ demo, open }) => {
	const page = await open();
	await page.getByRole("button", { name: "Examples" }).click();
	const dialog = page.getByRole("dialog", { name: "Examples" });
	await dialog.getByLabel("Answered by").selectOption({ label: "Gemini" });
	await expectAccessible(page);
	const code = dialog.getByRole("region", { name: "In a terminal" });
	await expect(code).toContainText(`${demo.base}/gemini/v1/chat/completions`);
	for (const [tab, path] of [
		["OpenAI Responses", "/gemini/v1/responses"],
		["Anthropic", "/gemini/v1/messages"],
		["Gemini", "/gemini/v1beta/models/"],
		["Ollama", "/gemini/api/chat"],
	] as const) {
		await dialog.getByRole("tab", { name: tab, exact: true }).click();
		await dialog.getByLabel("Answered by").selectOption({ label: "Gemini" });
		await expect(code).toContainText(path);
		await expect(code).not.toContainText("MODEL");
		const text = await code.innerText();
		const url = /curl (\S+)/.exec(text)?.[1] ?? "";
		const headers = Object.fromEntries([...text.matchAll(/-H '([^:]+): ([^']+)'/g)].map((m) => [m[1], (m[2] ?? "").replace("YOUR_KEY", demo.key)]));
		const response = await fetch(url, { method: "POST", headers: headers as Record<string, string>, body: /-d '(.*)'$/.exec(text)?.[1] ?? "" });
		expect(response.status, `${tab}: ${await response.text()}`).toBe(200);
		expect(response.headers.get("x-patchbay-provider")).toBe("gemini");
	}
});

test("pausing stops new requests until the person goes on", async ({ demo, open }) => {
	const own = await Patchbay.serve(await simulated(demo));
	await own.api("POST", "/api/accounts", { provider: "openai", key: "sk-sim-demo" });
	await (await own.ask("gpt-4.1")).text();
	const page = await open("/", own);
	await page.getByRole("button", { name: "Pause" }).click();
	await expect(page.getByRole("heading", { level: 1, name: "Paused. Apps get an error until you go on." })).toBeVisible();
	expect((await own.ask("gpt-4.1")).status).toBe(503);
	await page.getByRole("button", { name: "Go on" }).first().click();
	await expect(page.getByRole("heading", { level: 1, name: /^Ready\./ })).toBeVisible();
	expect((await own.ask("gpt-4.1")).status).toBe(200);
	await own.close();
});

test("the server goes away and comes back: the page says so, and goes on with what is new", async ({ demo, open }) => {
	const own = await Patchbay.serve(await simulated(demo));
	await own.api("POST", "/api/accounts", { provider: "openai", name: "one", key: "sk-sim-demo" });
	await (await own.ask("gpt-4.1")).text();
	const page = await open("/", own);
	await expect(page.getByRole("heading", { level: 1, name: "Ready. 1 of 1 account can answer." })).toBeVisible();
	await own.stop(true);
	await expect(page.getByText("Lost contact with Patchbay. Trying again.")).toBeVisible();
	await expect(page.getByRole("heading", { level: 1, name: "Ready. 1 of 1 account can answer." })).toBeVisible(); // as last seen
	await own.start();
	await own.api("POST", "/api/accounts", { provider: "openai", name: "two", key: "sk-sim-demo-2" });
	await expect(page.getByText("Lost contact with Patchbay. Trying again.")).toBeHidden();
	await expect(page.getByRole("heading", { level: 1, name: "Ready. 2 of 2 accounts can answer." })).toBeVisible();
	await own.close();
});

test("two pages agree", async ({ demo, open, context }) => {
	const page = await open();
	const other = await context.newPage();
	await other.goto(await demo.link());
	await expect(other.getByRole("heading", { name: "Where requests go" })).toBeVisible();
	const before = (await demo.api<{ provider: string }>("GET", "/api/default-provider")).provider;
	await page.keyboard.press("d");
	await page.getByRole("menuitemcheckbox", { name: /^Gemini / }).click();
	await expect(other.getByRole("button", { name: "Default provider: Gemini" })).toBeVisible();
	await demo.api("PUT", "/api/default-provider", { provider: before });
	await expect(page.getByRole("button", { name: "Default provider: Gemini" })).toBeHidden();
	await expect(other.getByRole("button", { name: "Default provider: Gemini" })).toBeHidden();
});

test("nothing secret is in the page or in what it keeps", async ({ demo, open }) => {
	const page = await open();
	await expect(page.getByRole("heading", { name: "Latest requests" })).toBeVisible();
	const html = await page.content();
	const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, document.cookie]));
	const session = await page.evaluate(() => ({ ...sessionStorage }) as Record<string, string>);
	for (const secret of [demo.key, "sk-sim-demo", "sk-ant-sim-demo", "sk-sim-rate-limit"]) {
		expect(html).not.toContain(secret);
		expect(kept + JSON.stringify(session)).not.toContain(secret);
	}
	expect(Object.keys(session)).toEqual(["patchbay.session"]);
	expect(html + kept).not.toContain(session["patchbay.session"]);
});

test("a failure is said in words, and leads to its request", async ({ demo, open }) => {
	const own = await Patchbay.serve(await simulated(demo));
	await own.api("POST", "/api/accounts", { provider: "openai", name: "tired", key: "sk-sim-rate-limit" });
	await own.ask("gpt-4.1").then((r) => r.text());
	const page = await open("/", own);
	await page.getByRole("button", { name: "Close this list" }).click();
	const row = page.getByRole("link", { name: /Failed.*gpt-4\.1.*All rest/ });
	await expect(row).toBeVisible();
	await row.click();
	await expect(page).toHaveURL(/#\/activity\/[\w-]+$/);
	await own.close();
});

test("the banner tells the most severe first, each with one way out", async ({ demo, open }) => {
	const own = await Patchbay.serve(await simulated(demo));
	await own.api("POST", "/api/accounts", { provider: "openai", key: "sk-sim-demo" });
	const page = await open("/usage", own);
	const banner = page.getByRole("status", { name: "State of Patchbay" });
	await own.api("POST", "/api/pause");
	await expect(banner).toContainText("Paused.");
	writeFileSync(join(own.folder, "config.yaml"), "default_provider: [\n");
	await expect(banner).toContainText("The last good settings are in force.");
	await expectAccessible(page);
	writeFileSync(join(own.folder, "config.yaml"), await simulated(demo));
	await expect(banner).toContainText("Paused.");
	await banner.getByRole("button", { name: "Go on" }).click();
	await expect(banner).toBeEmpty();
	await own.close();
});
