import type { Page } from "@playwright/test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { expect, expectAccessible, expectNoSidewaysScroll, freePort, Patchbay, test } from "./harness";

const row = (page: Page, name: string) => page.getByRole("listitem", { name, exact: true });

test("settings change by page and by file, in every open page, and what is refused stays to be mended", async ({ demo, open, context }) => {
	const services = (await demo.api<{ items: { id: string; base_url?: string }[] }>("GET", "/api/providers")).items;
	const url = services.find((p) => p.id === "openai")?.base_url;
	const own = await Patchbay.serve(`credential_files:\n  enabled: false\nproviders:\n  openai:\n    base_url: ${url}\n`, { env: { PATCHBAY_TIMEOUTS_TOTAL: "1h" } });
	const file = join(own.folder, "config.yaml");
	try {
		const page = await open("/settings", own);
		const second = await context.newPage();
		await second.goto(await own.link());
		await second.evaluate(() => (location.hash = "/settings"));

		// by page: it is in the file and in the other page, and can be taken back
		const idle = page.getByRole("textbox", { name: "Longest silence in an answer" });
		await idle.fill("90s");
		await idle.press("Enter");
		await expect(row(page, "Longest silence in an answer")).toContainText("1 min 30 s");
		await expect(row(second, "Longest silence in an answer")).toContainText("1 min 30 s");
		expect(readFileSync(file, "utf8")).toMatch(/idle: (90s|1m30s)/);
		await page.getByRole("button", { name: "Undo" }).click();
		await expect(row(second, "Longest silence in an answer")).toContainText("5 min");

		// by file: both pages follow, and Reset takes it out again
		writeFileSync(file, readFileSync(file, "utf8") + "log:\n  max_files: 7\n");
		await expect(page.getByRole("textbox", { name: "Log files" })).toHaveValue("7");
		await expect(second.getByRole("textbox", { name: "Log files" })).toHaveValue("7");
		await second.close();
		await page.getByRole("button", { name: "More for Log files" }).click();
		await page.getByRole("menuitem", { name: /^Reset/ }).click();
		await expect(page.getByRole("textbox", { name: "Log files" })).toHaveValue("3");

		// refused: it stays in the field with the reason, the old one holds
		const rows = page.getByRole("textbox", { name: "Keep the request list" });
		await rows.fill("soon");
		await rows.press("Enter");
		await expect(row(page, "Keep the request list").getByRole("alert")).toBeVisible();
		await expect(rows).toHaveValue("soon");
		await expect(rows).toHaveAttribute("aria-invalid", "true");
		await expect(row(page, "Keep the request list")).toContainText("For 30 days");
		await rows.press("Escape");
		await expect(rows).toHaveValue("30");

		// locked: by the environment, by a flag
		await expect(page.getByRole("textbox", { name: "Whole answer", exact: true })).toBeDisabled();
		await expect(row(page, "Whole answer")).toContainText("PATCHBAY_TIMEOUTS_TOTAL");
		await expect(row(page, "Port")).toContainText("--listen");

		// opening to the network asks first, and says what it means
		const lan = page.getByRole("switch", { name: "Other devices on this network" });
		await lan.click();
		const ask = page.getByRole("dialog", { name: "Open Patchbay to the network" });
		await expect(ask.getByRole("button", { name: "Open to the network" })).toBeVisible();
		await expectAccessible(page);
		await ask.getByRole("button", { name: "Cancel" }).click();
		await expect(lan).not.toBeChecked();
		expect(readFileSync(file, "utf8")).not.toContain("lan:");

		// a broken file: its line, and the last good settings go on
		const good = readFileSync(file, "utf8");
		writeFileSync(file, good + "timeouts:\n  idel: 3m\n");
		const broken = page.getByRole("alert").filter({ hasText: "The settings file cannot be read" });
		await expect(broken).toContainText("idel");
		await expect(broken).toContainText("The last good settings are in force");
		writeFileSync(file, good);
		await expect(broken).toBeHidden();

		// search
		await page.getByRole("searchbox", { name: "Search settings" }).fill("silence");
		await expect(page.getByText("Longest silence in an answer")).toBeVisible();
		await expect(page.getByRole("heading", { name: "Backup and removal" })).toBeHidden();
		await page.getByRole("searchbox", { name: "Search settings" }).fill("zzzz");
		await page.getByRole("button", { name: "Show all" }).click();

		// a password opens the page from elsewhere
		await row(page, "Password of this page").getByRole("button").click();
		const dialog = page.getByRole("dialog");
		await dialog.getByLabel("New password").fill("correct horse battery");
		await dialog.getByLabel("The same again").fill("correct horse battery");
		await dialog.getByRole("button", { name: "Save" }).click();
		await expect(row(page, "Password of this page")).toContainText("Set: it opens this page");
		expect(await page.content()).not.toContain("correct horse");
	} finally {
		await own.close();
	}
});

test("theme and language hold at once and after a reload", async ({ open, demo }) => {
	const page = await open("/settings/look");
	await page.getByRole("combobox", { name: "Theme" }).selectOption({ label: "Dark" });
	await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
	await page.getByRole("combobox", { name: "Language" }).selectOption({ label: "日本語" });
	await expect(page.getByRole("heading", { level: 1, name: "設定" })).toBeVisible();
	await page.reload();
	await expect(page.getByRole("heading", { level: 1, name: "設定" })).toBeVisible();
	await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
	await expect(page.getByRole("heading", { name: "プロバイダー" })).toBeVisible();
	await expectNoSidewaysScroll(page);
	await page.getByRole("combobox", { name: "言語" }).selectOption({ label: "简体中文" });
	await expect(page.getByRole("heading", { level: 1, name: "设置" })).toBeVisible();
	await expectNoSidewaysScroll(page);
	await page.getByRole("combobox", { name: "语言" }).selectOption({ label: "English" });
	await expect(page.getByRole("heading", { level: 1, name: "Settings" })).toBeVisible();
	await page.getByRole("combobox", { name: "Theme" }).selectOption({ label: "As the system" });
	await demo.api("PATCH", "/api/settings", { "desktop.language": null, "desktop.theme": null });
});

test("the settings of a provider are drawn from what it says of itself", async ({ open, demo }) => {
	const page = await open("/settings/providers");
	await page.getByRole("button", { name: "Change Anthropic" }).click();
	const sheet = page.getByRole("dialog", { name: "Anthropic" });
	const first = sheet.getByRole("textbox", { name: "First word" });
	await first.fill("45s");
	await first.press("Enter");
	await expect(sheet).toContainText("Within 45 s");
	await expectAccessible(page);
	await sheet.getByRole("button", { name: "Done" }).click();
	await expect(row(page, "Anthropic")).toContainText("2 settings of its own");
	await demo.api("PATCH", "/api/settings", { "providers.anthropic.timeouts.first_event": null });

	// one with a label asks first
	await page.getByRole("switch", { name: "Use Kiro" }).click();
	await expect(page.getByRole("dialog", { name: "Before you switch Kiro on" })).toBeVisible();
	await page.getByRole("button", { name: "Cancel" }).click();
	await expect(page.getByRole("switch", { name: "Use Kiro" })).not.toBeChecked();
});

test("a rule for the system text is tried, and holds from the next request on", async ({ open, demo }) => {
	const page = await open("/settings/prompts");
	const echo = async () => await (await demo.ask("gpt-4.1", "[[echo]] Hello")).text();
	expect(await echo()).not.toContain("Answer like a pirate");
	await page.getByRole("button", { name: "Add a rule" }).click();
	const dialog = page.getByRole("dialog", { name: "Add a rule" });
	await dialog.getByRole("textbox", { name: "Name" }).fill("pirate");
	await dialog.getByLabel("Text of the rule").fill("Answer like a pirate.");
	await dialog.getByLabel("Try it with this system text").fill("You are helpful.");
	await dialog.getByRole("button", { name: "Preview" }).click();
	await expect(dialog.getByRole("region", { name: "What the service would get" })).toContainText(/You are helpful\.\s+Answer like a pirate\./);
	await expectAccessible(page);
	await dialog.getByRole("button", { name: "Save" }).click();
	await expect(row(page, "pirate")).toContainText("After the app's own text · for all requests");
	expect(await echo()).toContain("Answer like a pirate");
	await page.getByRole("button", { name: "Remove pirate" }).click();
	await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
	await expect(page.getByRole("listitem", { name: "No rule yet" })).toBeVisible();
	expect(await echo()).not.toContain("Answer like a pirate");
});

test("a backup is saved and taken in again", async ({ open }) => {
	const page = await open("/settings/backup");
	await row(page, "Back up").getByRole("button", { name: "Back up" }).click();
	await page.getByLabel("Passphrase", { exact: true }).fill("six words that nobody else knows");
	await page.getByLabel("The passphrase again").fill("six words that nobody else knows");
	const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Save the file" }).click()]);
	const saved = readFileSync((await file.path()) ?? "", "latin1");
	expect(saved).not.toContain("sk-sim-demo");
	await page.getByRole("button", { name: "Restore" }).click();
	await page.getByLabel("Backup file").setInputFiles((await file.path()) ?? "");
	await page.getByLabel("Passphrase", { exact: true }).fill("wrong");
	await page.getByRole("button", { name: "Restore", exact: true }).click();
	await expect(page.getByRole("dialog").getByText(/passphrase/i).first()).toBeVisible();
	await page.getByLabel("Passphrase", { exact: true }).fill("six words that nobody else knows");
	await page.getByRole("button", { name: "Restore", exact: true }).click();
	await expect(page.getByRole("dialog", { name: "Restored" })).toBeVisible();
	await page.getByRole("button", { name: "Done" }).click();
});

test.describe.serial("what moves", () => {
	let own: Patchbay;
	let ollama: number;
	test.beforeAll(async ({ demo }) => {
		const services = (await demo.api<{ items: { id: string; base_url?: string }[] }>("GET", "/api/providers")).items;
		ollama = await freePort();
		const settings = [
			"credential_files:",
			"  enabled: false",
			"server:",
			`  listen: 127.0.0.1:${await freePort()}`,
			"  ollama_listener:",
			`    listen: 127.0.0.1:${ollama}`,
			"providers:",
			"  openai:",
			`    base_url: ${services.find((p) => p.id === "openai")?.base_url}`,
			"",
		];
		const key = Buffer.alloc(32, "k").toString("base64");
		own = await Patchbay.serve(settings.join("\n"), { own: true, env: { PATCHBAY_VAULT_KEY: key } });
		await own.api("POST", "/api/accounts", { provider: "openai", key: "sk-sim-demo" });
	});
	test.afterAll(async () => own.close());

	test("the port moves and this page with it; one that is taken is named, and nothing moves", async ({ open }) => {
		const page = await open("/settings", own);
		const before = own.base;
		const field = page.getByRole("textbox", { name: "Port", exact: true });
		const squatter = createServer();
		await new Promise<void>((ready) => squatter.listen(0, "127.0.0.1", ready));
		const taken = (squatter.address() as { port: number }).port;
		await field.fill(String(taken));
		await field.press("Enter");
		await expect(row(page, "Port").getByRole("alert")).toContainText(`could not move to 127.0.0.1:${taken}`);
		await field.press("Escape");
		await expect(field).toHaveValue(new URL(before).port);
		expect(page.url()).toContain(before);
		squatter.close();

		const free = await freePort();
		await field.fill(String(free));
		await field.press("Enter");
		await page.waitForURL(`http://127.0.0.1:${free}/**`);
		await expect(page.getByRole("navigation", { name: "Pages" })).toBeVisible();
		expect(await (await fetch(`http://127.0.0.1:${free}/`)).text()).toContain("running");
		await expect.poll(() => fetch(before).then(() => "answers", () => "gone")).toBe("gone");
		expect(readFileSync(join(own.folder, "config.yaml"), "utf8")).toContain(String(free));
		own.base = `http://127.0.0.1:${free}`;
	});

	test("the Ollama port is opened, needs a key unless told otherwise, and is closed", async ({ open }) => {
		const page = await open("/settings", own);
		const ask = () =>
			fetch(`http://127.0.0.1:${ollama}/api/chat`, { method: "POST", body: JSON.stringify({ model: "gpt-4.1", stream: false, messages: [{ role: "user", content: "Hello" }] }) }).then(
				(r) => r.status,
				() => 0,
			);
		expect(await ask()).toBe(0);
		const port = page.getByRole("switch", { name: "Ollama port", exact: true });
		await port.click();
		await expect(row(page, "Ollama port")).toContainText(`Also answers at http://127.0.0.1:${ollama}`);
		expect(await ask()).toBe(401);
		await page.getByRole("switch", { name: "Ollama port without a key" }).click();
		await page.getByRole("dialog").getByRole("button", { name: "Let programs in without a key" }).click();
		await expect(row(page, "Ollama port without a key")).toContainText("any program on this computer may use your accounts there");
		await expect.poll(ask).toBe(200);
		await port.click();
		await expect(row(page, "Ollama port")).toContainText("apps that only know Ollama do not find Patchbay");
		await expect.poll(ask).toBe(0);
	});

	test("the key of the vault moves to another place, and what it sealed opens there", async ({ open }) => {
		const page = await open("/settings/backup", own);
		const vault = row(page, "Where logins are kept");
		await expect(vault).toContainText("The key comes from PATCHBAY_VAULT_KEY.");
		await vault.getByRole("button", { name: "Move …" }).click();
		const dialog = page.getByRole("dialog", { name: "Where logins are kept" });
		await expect(dialog.getByRole("radio", { name: "The system keychain" })).toBeDisabled();
		await expect(dialog.getByRole("button", { name: "Move the key" })).toBeDisabled();
		await expectAccessible(page);
		await dialog.getByRole("radio", { name: "A file" }).check();
		await dialog.getByRole("button", { name: "Move the key" }).click();
		await expect(dialog).toBeHidden();
		await expect(vault).not.toContainText("PATCHBAY_VAULT_KEY");
		expect(existsSync(join(own.folder, "vault.key"))).toBe(true);
		expect((await own.ask("gpt-4.1")).status).toBe(200);
	});

	test("updates: a build without a publisher says so; a newer version is offered with what is new", async ({ open }) => {
		const page = await open("/settings/updates", own);
		const version = page.getByRole("listitem").filter({ has: page.getByRole("button", { name: "Check now" }) });
		await expect(version).toContainText("This build knows no publisher to ask.");
		await expect(version.getByRole("button", { name: "Check now" })).toBeDisabled();

		// What a published build would be told.
		const known = { version: "1.0.0", enabled: true, possible: true };
		const release = {
			version: "1.2.0",
			security: true,
			notes: "https://example.com/notes",
			package: { kind: "deb", url: "https://example.com/patchbay.deb", size: 12_000_000, sha256: "00" },
		};
		let answer: object = { ...known, problem: "The list of releases cannot be reached." };
		await page.route("**/api/update", (route) => route.fulfill({ json: known }));
		await page.route("**/api/update/check", (route) => route.fulfill({ json: answer }));
		await page.reload();
		await expect(version).toContainText("Not checked yet.");
		await version.getByRole("button", { name: "Check now" }).click();
		await expect(version.getByRole("alert")).toContainText("cannot be reached");
		answer = { ...known, checked: new Date().toISOString(), available: release };
		await version.getByRole("button", { name: "Check now" }).click();
		await expect(version).toContainText("Version 1.2.0 is there. It mends a security hole.");
		await expect(version.getByRole("alert")).toHaveCount(0);
		await expect(version.getByRole("link", { name: "What is new" })).toHaveAttribute("href", release.notes);
		await expect(version.getByRole("link", { name: /^Download deb, \d+ MB$/ })).toHaveAttribute("href", release.package.url);
	});
});

test("starting at login is what the system says it is", async ({ open }) => {
	test.skip(process.platform !== "linux", "elsewhere it would change the real system");
	const own = await Patchbay.desktop();
	try {
		const page = await open("/settings", own);
		const login = page.getByRole("switch", { name: "Start at login" });
		const file = join(own.folder, "xdg/autostart/dev.patchbay.Patchbay.desktop");
		await expect(row(page, "Start at login")).toContainText("it is off");
		await login.click();
		await expect(row(page, "Start at login")).toContainText("it is on");
		expect(readFileSync(file, "utf8")).toMatch(/^Exec=.*"--hidden"$/m);
		writeFileSync(file, readFileSync(file, "utf8").replace(/^Exec=.*$/m, 'Exec="/opt/other" "--hidden"'));
		await page.reload();
		await expect(row(page, "Start at login")).toContainText("The system would start another program: /opt/other");
		await login.click();
		await expect(row(page, "Start at login")).toContainText("it is off");
		expect(existsSync(file)).toBe(false);
	} finally {
		await own.close();
	}
});

test("a desktop without a tray can quit Patchbay here, and only there", async ({ open, page }) => {
	const own = await Patchbay.serve();
	try {
		await open("/settings/start", own);
		await expect(row(page, "Default provider")).toBeVisible();
		await expect(page.getByRole("button", { name: "Quit Patchbay" })).toHaveCount(0);
		await page.route("**/api/desktop", (r) => r.fulfill({ json: { desktop: true, tray: "none", start_at_login: { state: "off" } } }));
		await page.reload();
		await page.getByRole("button", { name: "Quit Patchbay" }).click();
		await expect.poll(() => fetch(own.base + "/health").then(() => "answers", () => "has ended")).toBe("has ended");
	} finally {
		await own.close();
	}
});
