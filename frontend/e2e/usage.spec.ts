import { readFileSync } from "node:fs";
import { expect, expectAccessible, expectNoSidewaysScroll, Patchbay, test } from "./harness";

test.describe.serial("usage and data set", () => {
	let own: Patchbay;
	test.beforeAll(async () => {
		own = await Patchbay.demo();
	});
	test.afterAll(async () => {
		await own.close();
	});

	test("figures, bars, table and CSV say the same", async ({ open }) => {
		const page = await open("/usage", own);
		await expect(page.getByText("Nothing counted yet.")).toBeVisible();
		await (await own.ask("claude-sonnet-4-5", "[[usage:in=12000,out=800,cached=9000,reasoning=200]] Hello")).text();
		await (await own.ask("claude-sonnet-4-5", "Hello")).text();
		await (await own.ask("no-such-model")).text();
		await expect(page.getByText("3", { exact: true }).first()).toBeVisible();
		await expect(page.getByText("1 failed")).toBeVisible();
		const chart = page.getByRole("group", { name: "Tokens per day" });
		const bar = chart.getByRole("img", { name: /12 K tokens in, 9 K of them cached, .* out, 3 requests/ });
		await expect(bar).toBeVisible();
		await bar.focus();
		await page.keyboard.press("ArrowLeft");
		await expect(chart.getByRole("img", { name: /nothing counted/ }).last()).toBeFocused();
		await expectAccessible(page);
		await expectNoSidewaysScroll(page);
		await page.getByRole("button", { name: "More for this chart" }).click();
		await page.getByRole("menuitemcheckbox", { name: "Show as table" }).click();
		await expect(page.getByRole("region", { name: "Tokens per day" }).getByRole("row").last()).toContainText("9,000");
		const table = page.getByRole("region", { name: "Usage in detail" });
		await table.getByRole("button", { name: "Model" }).click();
		await expect(table.getByRole("columnheader", { name: "Model" })).toHaveAttribute("aria-sort", "ascending");
		await expect(table.getByRole("row").nth(1)).toContainText("claude-sonnet-4-5");
		await page.getByRole("group", { name: "Group by" }).getByRole("button", { name: "App" }).click();
		await expect(page.getByRole("heading", { name: "By app" })).toBeVisible();
		await page.getByRole("group", { name: "Range" }).getByRole("button", { name: "Today" }).click();
		await expect(page).toHaveURL(/range=today/);
		const download = page.waitForEvent("download");
		await page.getByRole("button", { name: "Export CSV" }).click();
		const csv = readFileSync(await (await download).path(), "utf8").trim().split("\n");
		expect(csv[0]).toMatch(/^start,provider/);
		expect(csv.length).toBeGreaterThan(1);
	});

	test("a data set is previewed, cleaned and saved as lines of JSON", async ({ open }) => {
		const page = await open("/dataset", own);
		await expect(page.getByText("recording is off until you turn it on")).toBeVisible();
		await expect(page.getByRole("button", { name: "Download" })).toBeDisabled();
		await own.record();
		await (await own.ask("gpt-4.1", "Write to ann@example.com")).text();
		await (await own.ask("gpt-4.1", "Second question")).text();
		await expect(page.getByText(/2 lines of 2 kept requests/)).toBeVisible();
		await expect(page.getByRole("region", { name: "Line 1" })).toContainText("Write to [email]");
		await page.getByRole("checkbox", { name: "Email addresses" }).uncheck();
		await expect(page.getByRole("region", { name: "Line 1" })).toContainText("ann@example.com");
		await page.getByRole("checkbox", { name: "Email addresses" }).check();
		await expect(page.getByRole("region", { name: "Line 1" })).toContainText("[email]");
		await expectAccessible(page);
		await expectNoSidewaysScroll(page);
		const download = page.waitForEvent("download");
		await page.getByRole("button", { name: "Download" }).click();
		const lines = readFileSync(await (await download).path(), "utf8").trim().split("\n");
		const chats = lines.map((l) => JSON.parse(l) as { messages: { role: string; content: string }[] });
		expect(chats.map((c) => c.messages.map((m) => m.role))).toEqual([
			["user", "assistant"],
			["user", "assistant"],
		]);
		expect(chats[0]?.messages[0]?.content).toBe("Write to [email]");
		await page.getByRole("combobox", { name: "Provider" }).selectOption({ label: "Anthropic" });
		await expect(page.getByText("No kept request fits.")).toBeVisible();
		await page.getByRole("button", { name: "Clear" }).click();
		await expect(page.getByText(/2 lines of 2 kept requests/)).toBeVisible();
	});

	test("an export shows how far it is, and is given up without leaving a file", async ({ open, context }) => {
		await (await own.ask("gpt-4.1", "A long story. ".repeat(30_000))).text();
		const page = await open("/dataset", own);
		await expect(page.getByText(/3 lines of 3 kept requests/)).toBeVisible();
		let saved = 0;
		page.on("download", () => saved++);
		const slow = await context.newCDPSession(page);
		await slow.send("Network.enable");
		await slow.send("Network.emulateNetworkConditions", { offline: false, latency: 0, downloadThroughput: 20_000, uploadThroughput: -1 });
		await page.getByRole("button", { name: "Download" }).click();
		await expect(page.getByRole("progressbar", { name: "Writing the data set" })).toBeVisible();
		await expect(page.getByRole("status").filter({ hasText: /[1-9]\d* KB/ })).toBeVisible();
		await page.getByRole("button", { name: "Cancel" }).click();
		await expect(page.getByText("Cancelled. Nothing was saved.")).toBeVisible();
		await expect(page.getByRole("progressbar")).toHaveCount(0);
		expect(saved).toBe(0);

		await slow.send("Network.emulateNetworkConditions", { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
		const download = page.waitForEvent("download");
		await page.getByRole("button", { name: "Download" }).click();
		expect(readFileSync(await (await download).path(), "utf8").trim().split("\n")).toHaveLength(3);
		expect(saved).toBe(1);
	});
});
