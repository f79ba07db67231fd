import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "./harness";

const folder = join(import.meta.dirname, "../../build/screenshots");
const pages = ["/", "/accounts", "/files", "/routing", "/playground", "/apps", "/activity", "/dataset", "/usage", "/settings", "/help", "/logs"];
const sizes = [
	{ width: 1280, height: 800 },
	{ width: 720, height: 480 },
];

/** What has been asked already, so that the pages have something to show. */
test.beforeAll(async ({ demo }) => {
	mkdirSync(folder, { recursive: true });
	for (const model of ["gpt-4.1", "claude-sonnet-4-5", "gpt-4.1", "qwen3:8b", "no-such-model", "gpt-4.1-mini"]) {
		await (await demo.ask(model, "Tell me about patch bays")).text();
	}
});

for (const language of ["en", "zh-CN", "ja"]) {
	for (const theme of ["light", "dark"]) {
		test(`${language} ${theme}`, async ({ open }) => {
			test.setTimeout(180_000);
			const page = await open();
			await page.evaluate(
				([l, t]) => {
					localStorage.setItem("patchbay.language", l ?? "");
					localStorage.setItem("patchbay.theme", t ?? "");
				},
				[language, theme],
			);
			await page.reload();
			for (const path of pages) {
				await page.evaluate((to) => (location.hash = to), path);
				await expect(page.locator("main h1")).toBeVisible();
				await expect(page.getByRole("status", { name: /Loading|正在加载|読み込み中/ })).toHaveCount(0);
				for (const size of sizes) {
					await page.setViewportSize(size);
					await page.screenshot({ path: join(folder, `${path.slice(1) || "home"}-${size.width}-${theme}-${language}.png`), animations: "disabled" });
				}
			}
		});
	}
}
