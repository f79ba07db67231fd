import type { Page } from "@playwright/test";
import { expect, test } from "./harness";

/** What the page does while it is watched: how long it did not answer, and how often it was drawn anew. */
interface Watched {
	/** the longest time that a timer of 20 ms was late, in ms; and the times, for a median */
	lag: number[];
	/** times that something in the list changed */
	drawn: number;
	/** the most rows that were in the page at once */
	rows: number;
}

async function watch(page: Page): Promise<() => Promise<Watched>> {
	await page.evaluate(() => {
		const seen: Watched = { lag: [], drawn: 0, rows: 0 };
		let due = performance.now() + 20;
		setInterval(() => {
			const now = performance.now();
			seen.lag.push(Math.max(0, now - due));
			due = now + 20;
		}, 20);
		const grid = document.querySelector("[role=grid]");
		if (!grid) throw new Error("there is no list");
		new MutationObserver(() => {
			seen.drawn++;
			seen.rows = Math.max(seen.rows, grid.querySelectorAll("[data-index]").length);
		}).observe(grid, { childList: true, subtree: true });
		(window as unknown as { watched: Watched }).watched = seen;
	});
	return () => page.evaluate(() => (window as unknown as { watched: Watched }).watched);
}

test("a hundred requests a second reach the page as a few calls and few drawings, and it goes on answering", async ({ demo, open }) => {
	const page = await open("/activity");
	await expect(page.getByRole("grid", { name: "Requests" }).getByRole("row").nth(1)).toBeVisible();
	let calls = 0;
	page.on("request", (r) => r.url().includes("/api/") && calls++);
	const watched = await watch(page);
	const total = 600;
	let left = total;
	const began = Date.now();
	const asking = Promise.all(
		Array.from({ length: 12 }, async () => {
			while (left-- > 0) await (await demo.ask("gpt-4.1")).text();
		}),
	);
	await page.keyboard.press("Control+k"); // in the middle of it
	await page.getByRole("combobox", { name: "Go to or do" }).fill("usage");
	await expect(page.getByRole("option", { name: /Usage/ }).first()).toBeVisible();
	await page.keyboard.press("Escape");
	await asking;
	const seconds = (Date.now() - began) / 1000;
	await (await demo.ask("claude-sonnet-4-5")).text();
	await expect(page.getByRole("row", { name: /claude-sonnet-4-5/ }).first()).toBeVisible();
	const { lag, drawn, rows } = await watched();
	const late = lag.sort((a, b) => a - b);
	console.log(
		`${total} requests in ${seconds.toFixed(1)} s (${(total / seconds).toFixed(0)} a second): ${calls} calls, list drawn ${drawn} times, at most ${rows} rows in the page; ` +
			`event loop late by ${late[late.length >> 1]?.toFixed(0)} ms in the middle, ${late.at(-1)?.toFixed(0)} ms at most`,
	);
	expect(calls).toBeLessThan(total / 2);
	expect(drawn).toBeLessThan(total / 2);
	expect(rows).toBeLessThan(80);
});

test("how long the page takes from the link to what is useful", async ({ demo, page }) => {
	await page.goto(await demo.link()); // the files are in the browser's cache from now on
	await expect(page.getByRole("heading", { name: "Where requests go" })).toBeVisible();
	await page.reload();
	// The mark is set once what is shown is the server's: accounts and where requests go.
	await page.waitForFunction(() => performance.getEntriesByName("patchbay.useful").length > 0);
	const times = await page.evaluate(() => {
		const [navigation] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
		const paint = performance.getEntriesByName("first-contentful-paint")[0];
		const useful = performance.getEntriesByName("patchbay.useful")[0];
		return { loaded: navigation?.domContentLoadedEventEnd, paint: paint?.startTime, useful: useful?.startTime };
	});
	console.log(`loaded ${times.loaded?.toFixed(0)} ms, first paint ${times.paint?.toFixed(0)} ms, useful ${times.useful?.toFixed(0)} ms`);
	expect(times.useful).toBeGreaterThan(0);
});
