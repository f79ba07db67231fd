import { expect, expectAccessible, expectNoSidewaysScroll, Patchbay, test } from "./harness";

/** Asks with a scenario of the simulated services; what comes back does not matter. */
async function ask(server: Patchbay, model: string, text: string, stream = false): Promise<void> {
	const response = await fetch(server.base + "/v1/chat/completions", {
		method: "POST",
		headers: { Authorization: `Bearer ${server.key}`, "Content-Type": "application/json" },
		body: JSON.stringify({ model, stream, temperature: 0.3, messages: [{ role: "user", content: text }] }),
	});
	await response.text();
}

test.describe.serial("activity", () => {
	let own: Patchbay;
	test.beforeAll(async () => {
		own = await Patchbay.demo();
	});
	test.afterAll(async () => {
		await own.close();
	});

	test("nothing was asked yet: the address to paste, and the first request appears by itself", async ({ open }) => {
		const page = await open("/activity", own);
		await expect(page.getByText("No request yet.")).toBeVisible();
		await expect(page.getByText("Waiting for the first request")).toBeVisible();
		await ask(own, "gpt-4.1", "Hello");
		const list = page.getByRole("grid", { name: "Requests" });
		await expect(list.getByRole("row", { name: /gpt-4\.1 OpenAI/ })).toBeVisible();
		await expect(page.getByText("No request yet.")).toBeHidden();
	});

	test("a streaming request is followed live, from waiting to the answer", async ({ open }) => {
		const page = await open("/activity", own);
		const asked = ask(own, "claude-sonnet-4-5", "[[slow:delay=600ms]] one two three", true);
		const row = page.getByRole("row", { name: /Running .*claude-sonnet-4-5/ });
		await row.click();
		const detail = page.getByRole("complementary", { name: "Request" });
		await expect(detail.getByRole("heading", { level: 2, name: /Anthropic|Choosing/ })).toBeVisible();
		await expect(detail.getByRole("list", { name: "Route" }).getByText("Running")).toBeVisible();
		await asked;
		await expect(detail.getByRole("heading", { name: "Anthropic answered" })).toBeVisible();
		await expect(detail.getByRole("img", { name: /First word .* Streaming/ })).toBeVisible();
	});

	test("a failed request and its reason are two clicks away", async ({ open }) => {
		await ask(own, "no-such-model", "Hello");
		await ask(own, "gpt-4.1", "[[server_error]] Hello");
		const page = await open("/", own);
		await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Activity" }).click();
		await page.getByRole("row", { name: /Failed .*gpt-4\.1 Service failed/ }).click();
		const detail = page.getByRole("complementary", { name: "Request" });
		await expect(detail.getByRole("heading", { name: "OpenAI did not answer: Service failed" })).toBeVisible();
		await expect(detail.getByText("The server had an error while processing your request").first()).toBeVisible();
		await expect(detail.getByRole("list", { name: "Route" }).getByText("tried, service failed").first()).toBeVisible();
		await expectAccessible(page);
		await expectNoSidewaysScroll(page);
		const tester = detail.getByRole("link", { name: "Try this route" });
		await expect(tester).toHaveAttribute("href", /#\/routing\?model=gpt-4\.1&protocol=openai/);
		await expect(detail.getByRole("link", { name: "Record the next requests" })).toHaveAttribute("href", "#/settings/recording");
	});

	test("filters and search stand in the address and go together", async ({ open }) => {
		const page = await open("/activity?failed=1", own);
		const list = page.getByRole("grid", { name: "Requests" });
		const rows = list.getByRole("row").filter({ hasNotText: "Took" });
		await expect(rows).toHaveCount(2);
		await page.getByRole("searchbox", { name: "Search requests" }).fill("no-such");
		await expect(rows).toHaveCount(1);
		await expect(page).toHaveURL(/failed=1/);
		await expect(page).toHaveURL(/q=no-such/);
		await page.getByRole("button", { name: "Filter", exact: true }).click();
		await page.getByRole("combobox", { name: "Provider" }).selectOption({ label: "Anthropic" });
		await expect(page.getByText(/Nothing matches "no-such, Failed, Provider: Anthropic"/)).toBeVisible();
		await page.getByRole("button", { name: "Take away Provider: Anthropic" }).click();
		await expect(rows).toHaveCount(1);
		await page.getByRole("searchbox", { name: "Search requests" }).fill("nothing of that name");
		await page.getByRole("button", { name: "Clear" }).click();
		await expect(page).toHaveURL(/#\/activity$/);
		await expect(rows).toHaveCount(4);
	});

	test("the detail works by keyboard: open, on to the next, back to the row", async ({ open }) => {
		const page = await open("/activity", own);
		const rows = page.getByRole("grid", { name: "Requests" }).getByRole("row");
		await expect(rows).toHaveCount(5);
		await page.keyboard.press("j");
		await expect(rows.nth(1)).toBeFocused();
		await page.keyboard.press("ArrowDown");
		await expect(rows.nth(2)).toBeFocused();
		await page.keyboard.press("Enter");
		const title = page.getByRole("complementary", { name: "Request" }).getByRole("heading", { level: 2 });
		await expect(title).toBeFocused();
		await expect(title).toHaveText(/No provider offers "no-such-model"/);
		await page.keyboard.press("j");
		await expect(title).toHaveText("Anthropic answered");
		await expect(title).toBeFocused();
		await page.keyboard.press("ArrowUp");
		await expect(title).toHaveText(/no-such-model/);
		await expect(rows.nth(2)).toHaveAttribute("aria-selected", "true");
		await page.keyboard.press("Escape");
		await expect(title).toBeHidden();
		await expect(rows.nth(2)).toBeFocused();
	});

	test("kept bodies show both sides, can be searched, copied as a command and sent again", async ({ open, context }) => {
		await context.grantPermissions(["clipboard-read", "clipboard-write"]);
		await own.record();
		const answer = await own.ask("gpt-4.1", "Where does the parrot sleep?");
		await answer.text();
		const id = answer.headers.get("x-patchbay-request-id") ?? "";
		const page = await open(`/activity/${id}`, own);
		const detail = page.getByRole("complementary", { name: "Request" });
		await detail.getByRole("button", { name: "Look at both sides" }).click();
		const dialog = page.getByRole("dialog", { name: /Both sides/ });
		await expect(dialog.getByRole("heading", { name: "The app sent" })).toBeVisible();
		await expect(dialog.getByRole("heading", { name: "Sent to OpenAI" })).toBeVisible();
		await dialog.getByRole("searchbox", { name: "Search both" }).fill("PARROT");
		await expect(dialog.getByText("1 hit")).toHaveCount(2);
		await expect(dialog.locator("mark")).toHaveCount(2);
		await expectAccessible(page);
		await dialog.getByRole("button", { name: "Headers" }).click();
		await expect(dialog.getByText("[secret]").first()).toBeVisible();
		await expect(dialog.getByText(own.key)).toHaveCount(0);
		await dialog.getByRole("button", { name: "Close" }).click();
		await detail.getByRole("button", { name: "Copy as curl" }).click();
		await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toContain("YOUR_PATCHBAY_KEY");
		const before = page.url();
		await detail.getByRole("button", { name: "Send again" }).click();
		await expect(detail.getByText("Sent again from")).toBeVisible();
		expect(page.url()).not.toBe(before);
		await expect(detail.getByRole("heading", { name: "OpenAI answered" })).toBeVisible();
	});

	test("a burst of requests does not freeze the page, and ten thousand rows scroll", async ({ open }) => {
		const page = await open("/activity", own);
		const list = page.getByRole("grid", { name: "Requests" });
		await expect(list.getByRole("row").nth(1)).toBeVisible();
		let left = 200;
		const burst = Promise.all(
			Array.from({ length: 20 }, async () => {
				while (left-- > 0) await ask(own, "no-such-model", "x");
			}),
		);
		await page.getByRole("button", { name: "Pause list" }).click();
		await page.getByRole("button", { name: "Go on" }).click();
		await burst;
		await expect(page.getByText(/^20\d requests/)).toBeVisible();

		// The log of a busy week: rows as the server writes them, page by page.
		const { items } = await own.api<{ items: { id: string; at: string }[] }>("GET", "/api/requests?limit=1");
		const newest = Date.now();
		const row = (i: number) => ({ ...items[0], id: `req_${String(i).padStart(24, "0")}`, at: new Date(newest - (10_000 - i) * 1000).toISOString(), asked: `model-${i}` });
		let last = 10_000;
		await page.route("**/api/requests?*", async (route) => {
			const query = new URL(route.request().url()).searchParams;
			const before = query.get("before");
			const from = before ? Number(before.slice(4)) - 1 : last;
			const rows = Array.from({ length: Math.min(Number(query.get("limit")), from) }, (_, n) => row(from - n));
			const next = rows.at(-1)?.id;
			await route.fulfill({ json: { items: rows, ...(Number(next?.slice(4)) > 1 && { next }), counts: { all: last, failed: 0, retried: 0 } } });
		});
		await page.evaluate(() => (location.hash = "/activity?span=7d"));
		await expect(page.getByText("10,000 requests found")).toBeVisible();
		await list.getByRole("row").nth(1).focus();
		await expect(async () => {
			await page.keyboard.press("End");
			await expect(page.getByRole("row", { name: /model-1 / })).toBeVisible({ timeout: 100 });
		}).toPass();
		const drawn = await page.evaluate(async () => {
			const box = document.querySelector("[role=grid]")?.parentElement as HTMLElement;
			let most = 0;
			for (let y = box.scrollHeight; y > 0; y -= box.scrollHeight / 40) {
				box.scrollTop = y;
				await new Promise((done) => requestAnimationFrame(done));
				most = Math.max(most, document.querySelectorAll("[data-index]").length);
			}
			box.scrollTop = box.scrollHeight / 2;
			return most;
		});
		expect(drawn).toBeLessThan(80);

		// What is new waits until one comes back to the top.
		last++;
		await ask(own, "gpt-4.1", "new one");
		await page.getByRole("button", { name: "1 new" }).click();
		await expect(list.getByRole("row").nth(1)).toContainText("model-10001");
		await expect(list.getByRole("row").nth(1)).toBeFocused();
	});
});
