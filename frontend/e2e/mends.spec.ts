import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, expectAccessible, expectNoSidewaysScroll, freePort, Patchbay, test } from "./harness";

test("a finding is told in the language of the page, and mended from there", async ({ demo, open }) => {
	const taken = new URL(demo.base).host;
	const own = await Patchbay.serve(`credential_files: {enabled: false}\nserver: {ollama_listener: {enabled: true, listen: "${taken}"}}\n`);
	const page = await open("/help", own);
	const findings = page.getByRole("list", { name: "What was found" });
	const off = findings.getByRole("listitem").filter({ hasText: "The Ollama listener is not on" });
	await expect(off).toContainText("choose another address in server.ollama_listener.listen");
	await expect(findings).toContainText("There is no account yet");
	await page.evaluate(() => localStorage.setItem("patchbay.language", "ja"));
	await page.reload();
	const inJapanese = page.getByRole("list", { name: "調べた結果" });
	await expect(inJapanese).toContainText("アカウントがまだありません");
	await expect(inJapanese).toContainText("シークレットを守るのは鍵ファイルだけです");
	await expect(inJapanese).not.toContainText("The secrets are");
	await expect(inJapanese.locator("code").first()).toContainText("patchbay");
	await expectAccessible(page);
	await expectNoSidewaysScroll(page);
	await inJapanese.getByRole("button", { name: "Ollama ポートをオフにする" }).click();
	await expect(inJapanese.getByText("設定では Ollama ポートを使うはず")).toBeHidden();
	expect(readFileSync(join(own.folder, "config.yaml"), "utf8")).toMatch(/enabled: false[^]*ollama_listener|ollama_listener:[^]*enabled: false/);
	await own.close();
});

test("the licence of each library is there whole", async ({ open }) => {
	const page = await open("/help");
	await page.getByRole("listitem").filter({ hasText: "Licences" }).getByRole("button", { name: "Show" }).click();
	const dialog = page.getByRole("dialog", { name: "Licences" });
	await dialog.getByRole("button", { name: "Show the licence of github.com/spf13/cobra" }).click();
	await expect(dialog.getByRole("region", { name: "Licence of github.com/spf13/cobra" })).toContainText("Apache License");
	await dialog.getByRole("button", { name: "Show the licence of svelte", exact: true }).click();
	await expect(dialog.getByRole("region", { name: "Licence of svelte" })).toContainText("Permission is hereby granted");
	await expectAccessible(page);
});

test("a page leads to the new address when Patchbay has moved", async ({ open }) => {
	const settings = (port: number) => `credential_files: {enabled: false}\nserver: {listen: "127.0.0.1:${port}"}\n`;
	const own = await Patchbay.serve(settings(await freePort()), { own: true });
	const page = await open("/", own);
	const next = await freePort();
	writeFileSync(join(own.folder, "config.yaml"), settings(next));
	const banner = page.getByRole("status", { name: "State of Patchbay" });
	await expect(banner).toContainText(`Patchbay has moved to http://127.0.0.1:${next}.`);
	await expectAccessible(page);
	await banner.getByRole("button", { name: "Go there" }).click();
	await expect(page).toHaveURL(new RegExp(`^http://127\\.0\\.0\\.1:${next}/ui/`));
	await expect(page.getByRole("heading", { level: 1, name: "No account yet." })).toBeVisible();
	await expect(banner).toBeEmpty();
	await own.close();
});

test("the detail of a request names both formats", async ({ demo, open }) => {
	await (await demo.ask("claude-sonnet-4-5")).text();
	const page = await open("/activity");
	await page.getByRole("row").filter({ hasText: "claude-sonnet-4-5" }).first().click();
	const facts = page.getByRole("region", { name: "What happened" });
	await expect(facts).toContainText("OpenAI Chat → Anthropic Messages");
});

test("a list in which nothing fits can be read by everybody", async ({ open }) => {
	const page = await open("/playground");
	await page.getByRole("combobox", { name: "Model" }).fill("no such thing");
	await expect(page.getByRole("listbox").getByRole("option")).toHaveAttribute("aria-disabled", "true");
	await expectAccessible(page);
});

test("the first start says where logins are kept, and offers to start at login once it works", async ({ demo, open, page: tab }) => {
	const { items } = await demo.api<{ items: { id: string; base_url?: string }[] }>("GET", "/api/providers");
	const url = items.find((p) => p.id === "openai")?.base_url ?? "";
	const own = await Patchbay.serve(`credential_files: {enabled: false}\nproviders: {openai: {base_url: "${url}"}}\n`);
	let login = "off"; // a desktop that the test plays
	await tab.route("**/api/desktop**", async (route) => {
		if (route.request().method() === "PUT") login = (route.request().postDataJSON() as { on: boolean }).on ? "on" : "off";
		await route.fulfill({ json: { desktop: true, tray: "registered", start_at_login: { state: login } } });
	});
	const page = await open("/", own);
	await page.getByRole("button", { name: "Keep the key file" }).click();
	await expect(page.getByText("In a key file. Settings can move it.")).toBeVisible();
	await expectAccessible(page);
	await own.api("POST", "/api/accounts", { provider: "openai", name: "mine", key: "sk-sim-demo" });
	await page.getByLabel("Or ask here").fill("What is a patch bay?");
	await page.getByRole("button", { name: "Ask", exact: true }).click();
	await expect(page.getByText(/OpenAI answered in/)).toBeVisible();
	const offers = page.getByRole("list", { name: "Two offers" });
	await expect(offers).toContainText("goes on in the tray");
	await offers.getByRole("switch", { name: "Start Patchbay at login" }).check();
	await expect.poll(() => login).toBe("on");
	await expectAccessible(page);
	await own.close();
});
