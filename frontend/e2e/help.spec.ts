import { readFileSync } from "node:fs";
import { inflateRawSync } from "node:zlib";
import { expect, expectAccessible, expectNoSidewaysScroll, Patchbay, test } from "./harness";

test("Help says what is wrong and how it is mended", async ({ open }) => {
	const own = await Patchbay.serve("credential_files:\n  enabled: false\n");
	try {
		const page = await open("/help", own);
		const found = page.getByRole("list", { name: "What was found" });
		const none = found.getByRole("listitem").filter({ hasText: "There is no account yet" });
		await expect(none).toContainText("Needs you:");
		await none.getByRole("link", { name: "Add account" }).click();
		await expect(page.getByRole("dialog")).toBeVisible();
		await page.keyboard.press("Escape");
		await page.goBack();
		await page.evaluate(() => (location.hash = "/help"));

		await found.getByRole("button", { name: "Show them" }).click();
		await expect(found).toContainText("The settings are readable");
		await expect(page.getByText(own.folder + "/config.yaml").first()).toBeVisible();
		await expectNoSidewaysScroll(page);
		await page.getByRole("listitem").filter({ hasText: "Licences" }).getByRole("button", { name: "Show" }).click();
		await expect(page.getByRole("dialog", { name: "Licences" }).getByRole("cell", { name: "filippo.io/age", exact: true })).toBeVisible();
		await expectAccessible(page);
	} finally {
		await own.close();
	}
});

/** The texts in a zip, all together. */
function unzip(path: string): string {
	const data = readFileSync(path);
	let text = "";
	let at = data.lastIndexOf(Buffer.from([0x50, 0x4b, 5, 6]));
	const count = data.readUInt16LE(at + 10);
	at = data.readUInt32LE(at + 16);
	for (let i = 0; i < count; i++) {
		const [method, size, name, extra, note, begin] = [
			data.readUInt16LE(at + 10),
			data.readUInt32LE(at + 20),
			data.readUInt16LE(at + 28),
			data.readUInt16LE(at + 30),
			data.readUInt16LE(at + 32),
			data.readUInt32LE(at + 42),
		];
		const body = begin + 30 + data.readUInt16LE(begin + 26) + data.readUInt16LE(begin + 28);
		const packed = data.subarray(body, body + size);
		text += data.toString("utf8", at + 46, at + 46 + name) + "\n" + (method === 8 ? inflateRawSync(packed) : packed).toString("utf8");
		at += 46 + name + extra + note;
	}
	return text;
}

test("the report is looked at, saved, and holds no secret", async ({ open, demo }) => {
	const canary = "sk-canary-4f1d0c7e9b2a8835";
	const account = await demo.api<{ id: string }>("POST", "/api/accounts", { provider: "anthropic", name: "canary.person@example.com", key: canary });
	await (await demo.ask("gpt-4.1", "a canary sentence in a prompt")).text();
	const page = await open("/help");
	await page.getByRole("button", { name: "Save a report" }).click();
	const dialog = page.getByRole("dialog", { name: "Report for those who help" });
	await dialog.getByRole("button", { name: "Show: accounts.json" }).click();
	await expect(dialog.getByRole("region", { name: "accounts.json" })).toContainText('"provider": "anthropic"');
	await expectAccessible(page);
	const [file] = await Promise.all([page.waitForEvent("download"), dialog.getByRole("button", { name: "Save the report" }).click()]);
	expect(file.suggestedFilename()).toMatch(/^patchbay-report-.*\.zip$/);
	const text = unzip((await file.path()) ?? "");
	expect(text).toContain("doctor.json");
	for (const secret of [canary, "canary.person", "a canary sentence", demo.key, "sk-sim-demo"]) expect(text).not.toContain(secret);
	await demo.api("DELETE", `/api/accounts/${account.id}`);
});

test("the log follows, waits, is searched, and its levels change while it runs", async ({ open, demo }) => {
	const page = await open("/logs");
	const list = page.getByRole("grid", { name: "Lines of the log, newest first" });

	// everything, from now on
	await page.getByRole("button", { name: "Change what is written" }).click();
	await page.getByRole("combobox", { name: "What is written" }).selectOption({ label: "everything" });
	await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
	await expect(page.getByText("Written is: everything.")).toBeVisible();
	const ask = async () => {
		await demo.api("POST", "/api/pause");
		await demo.api("POST", "/api/resume");
	};
	await ask();
	await expect(list.getByRole("row").first()).toBeVisible();
	const before = Number(await list.getAttribute("aria-rowcount"));
	await ask();
	await expect.poll(async () => Number(await list.getAttribute("aria-rowcount"))).toBeGreaterThan(before);

	// held
	await page.getByRole("button", { name: "Pause" }).click();
	const held = await list.getAttribute("aria-rowcount");
	await ask();
	await expect(page.getByRole("button", { name: /^\d+ new$/ })).toBeVisible();
	expect(await list.getAttribute("aria-rowcount")).toBe(held);
	await page.getByRole("button", { name: "Follow" }).click();
	await expect(page.getByRole("button", { name: /^\d+ new$/ })).toBeHidden();
	await expectAccessible(page);
	await expectNoSidewaysScroll(page);

	// one line whole; filters; the file
	await list.getByRole("row").first().click();
	await expect(page.getByRole("region", { name: "The whole line" })).toBeVisible();
	await page.keyboard.press("Escape");
	await page.getByRole("searchbox", { name: "Search the log" }).fill("no line holds this");
	await page.getByRole("button", { name: "Show all" }).click();
	await expect(list.getByRole("row").first()).toBeVisible();
	const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download" }).click()]);
	const text = readFileSync((await file.path()) ?? "", "utf8");
	expect(text).not.toContain(demo.key);
	expect(text.length).toBeGreaterThan(0);
	await demo.api("PATCH", "/api/settings", { "log.level": null });
});
