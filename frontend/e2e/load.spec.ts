import { expect, test } from "./harness";

test("many requests at a time reach the page as a few calls, and it goes on answering", async ({ demo, open }) => {
	const page = await open();
	await expect(page.getByRole("heading", { name: "Latest requests" })).toBeVisible();
	let calls = 0;
	page.on("request", (r) => r.url().includes("/api/") && calls++);
	await page.evaluate(() => {
		const w = window as unknown as { longest: number };
		w.longest = 0;
		let last = performance.now();
		const tick = () => {
			const now = performance.now();
			w.longest = Math.max(w.longest, now - last);
			last = now;
			requestAnimationFrame(tick);
		};
		requestAnimationFrame(tick);
	});
	const total = 600;
	let left = total;
	const began = Date.now();
	const asking = Promise.all(
		Array.from({ length: 12 }, async () => {
			while (left-- > 0) await (await demo.ask("gpt-4.1")).text();
		}),
	);
	await page.keyboard.press("Control+k"); // in the middle of it
	await page.getByRole("combobox").fill("usage");
	await expect(page.getByRole("option", { name: /Usage/ }).first()).toBeVisible();
	await page.keyboard.press("Escape");
	await asking;
	const seconds = (Date.now() - began) / 1000;
	const last = await demo.ask("claude-sonnet-4-5");
	await last.text();
	await expect(page.getByRole("link", { name: /claude-sonnet-4-5/ }).first()).toBeVisible();
	const longest = await page.evaluate(() => (window as unknown as { longest: number }).longest);
	const rate = (total / seconds).toFixed(0);
	console.log(`${total} requests in ${seconds.toFixed(1)} s (${rate} a second): ${calls} calls, longest frame ${longest.toFixed(0)} ms`);
	expect(calls).toBeLessThan(total / 2);
});

test("how long the page takes from the link to what is useful", async ({ demo, page }) => {
	await page.goto(await demo.link()); // the files are in the browser's cache from now on
	await expect(page.getByRole("heading", { name: "Where requests go" })).toBeVisible();
	await page.reload();
	await expect(page.getByRole("heading", { name: "Where requests go" })).toBeVisible();
	const times = await page.evaluate(() => {
		const [navigation] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
		const paint = performance.getEntriesByName("first-contentful-paint")[0];
		const useful = performance.getEntriesByName("patchbay.useful")[0];
		return { loaded: navigation?.domContentLoadedEventEnd, paint: paint?.startTime, useful: useful?.startTime };
	});
	console.log(`loaded ${times.loaded?.toFixed(0)} ms, first paint ${times.paint?.toFixed(0)} ms, useful ${times.useful?.toFixed(0)} ms`);
	expect(times.useful).toBeGreaterThan(0);
});
