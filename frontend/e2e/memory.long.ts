import type { CDPSession } from "@playwright/test";
import { expect, test } from "./harness";

const events = 36_000; // an hour at ten a second
const steps = 6;
const settled = 2; // steps until every list has come to its bound once
const mib = 1 << 20;

/** What the page keeps, after everything that nobody needs was thrown away. */
async function kept(devtools: CDPSession): Promise<{ heap: number; nodes: number; listeners: number }> {
	await devtools.send("HeapProfiler.collectGarbage");
	await devtools.send("HeapProfiler.collectGarbage"); // what was freed by finalizers
	const { usedSize } = await devtools.send("Runtime.getHeapUsage");
	const { nodes, jsEventListeners } = await devtools.send("Memory.getDOMCounters");
	return { heap: usedSize / mib, nodes, listeners: jsEventListeners };
}

test("an hour of feed leaves nothing behind in the page", async ({ demo, open, page }) => {
	test.setTimeout(1_200_000);
	let hints = 0;
	page.on("websocket", (socket) => {
		socket.on("framereceived", ({ payload }) => (hints += (JSON.parse(String(payload)) as { hints: unknown[] }).hints.length));
	});
	await open("/activity");
	const devtools = await page.context().newCDPSession(page);
	await devtools.send("HeapProfiler.enable");
	let asked = 0;
	const began = Date.now();
	const seen = [await kept(devtools)];
	for (let step = 1; step <= steps; step++) {
		await Promise.all(
			Array.from({ length: 12 }, async () => {
				while (hints < (events / steps) * step) {
					asked++;
					await (await demo.ask("gpt-4.1")).text();
				}
			}),
		);
		await (await demo.ask("claude-sonnet-4-5", `step ${step}`)).text();
		await expect(page.getByRole("grid", { name: "Requests" }).getByRole("row").nth(1)).toContainText("claude-sonnet-4-5");
		const now = await kept(devtools);
		seen.push(now);
		const seconds = (Date.now() - began) / 1000;
		console.log(
			`${hints} events, ${asked} requests in ${seconds.toFixed(0)} s: heap ${now.heap.toFixed(1)} MiB, ${now.nodes} nodes, ${now.listeners} listeners`,
		);
	}
	const [early, last] = [seen[settled], seen.at(-1)];
	if (!early || !last) throw new Error("nothing was measured");
	expect(last.heap - early.heap, "MiB of heap").toBeLessThan(5);
	expect(last.nodes, "DOM nodes").toBeLessThan(early.nodes * 1.5);
	expect(last.listeners, "listeners").toBeLessThan(early.listeners * 1.5);
});
