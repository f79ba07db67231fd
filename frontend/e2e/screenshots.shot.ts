import type { Browser } from "@playwright/test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, type Patchbay, test } from "./harness";

const folder = join(import.meta.dirname, "../../build/screenshots");
/** Those that the readme shows; they are committed. */
const readme = join(import.meta.dirname, "../../build/pictures");
const pages = ["/", "/accounts", "/files", "/routing", "/playground", "/apps", "/activity", "/dataset", "/usage", "/settings", "/help", "/logs"];
/** What opens over a page, or beside its list. */
const opened: Record<string, (request: string) => string> = {
	"accounts-add": () => "/accounts?add=1",
	"apps-connect": () => "/apps?connect=1",
	"apps-guide": () => "/apps?connect=claude-code",
	"activity-detail": (request) => `/activity/${request}`,
};
const sizes = [
	{ width: 1280, height: 800 },
	{ width: 720, height: 480 },
];

/** Has a simulated person sign in to a simulated service. */
async function signIn(demo: Patchbay, browser: Browser, provider: string, login: string, who: string): Promise<void> {
	const begun = await demo.api<{ id: string; url?: string; verify_url?: string; user_code?: string }>("POST", "/api/logins", { provider, login, accept_risk: true });
	const tab = await browser.newPage();
	await tab.goto(begun.url ?? begun.verify_url ?? "");
	const field = tab.getByRole("textbox");
	if (begun.user_code && (await field.isVisible())) await field.fill(begun.user_code);
	await tab.getByRole("button", { name: who }).click();
	await expect.poll(async () => (await demo.api<{ state: string }>("GET", `/api/logins/${begun.id}`)).state).toBe("done");
	await tab.close();
}

/** A request with two tries, for the picture of its detail. */
let retried = "";

/** What a person has after some days, so that the pages have something to show: logins, rests, apps, failures. */
test.beforeAll(async ({ demo, browser }) => {
	test.setTimeout(180_000);
	mkdirSync(folder, { recursive: true });
	mkdirSync(readme, { recursive: true });
	const info = (await demo.api<{ items: { id: string; logins: { id: string; kind: string }[] }[] }>("GET", "/api/providers")).items;
	const way = info.find((p) => p.id === "codex")?.logins.find((l) => l.kind === "browser")?.id ?? "";
	await signIn(demo, browser, "codex", way, "ann@example.test");
	await signIn(demo, browser, "kiro", "builder-id", "ann@example.test");
	await demo.api("PUT", "/api/default-provider", { provider: "codex" });
	const listed = (await demo.api<{ items: { id: string }[] }>("GET", "/api/models?provider=codex")).items;
	const ask = async (name: string, model: string) => {
		const { key } = await demo.api<{ key: string }>("POST", "/api/keys", { name }).catch(() => ({ key: demo.key }));
		const answer = await fetch(demo.base + "/v1/chat/completions", {
			method: "POST",
			headers: { Authorization: `Bearer ${key}`, "Content-Type": "application/json" },
			body: JSON.stringify({ model, messages: [{ role: "user", content: "Tell me about patch bays" }] }),
		});
		await answer.text();
	};
	for (const [app, model] of [
		["Cline", "gpt-4.1"],
		["Claude Code", "claude-sonnet-4-5"],
		["Open WebUI", "qwen3:8b"],
		["NextChat", "no-such-model"],
		["Cherry Studio", listed[0]?.id ?? "gpt-5-codex"],
		["Zed", "kiro/claude-sonnet-4-5"],
	] as const) {
		await ask(app, model);
	}
	const accounts = (await demo.api<{ items: { id: string }[] }>("GET", "/api/accounts")).items;
	for (const { id } of accounts) await demo.api("GET", `/api/accounts/${id}/quota`).catch(() => undefined); // not all tell
	const { items } = await demo.api<{ items: { id: string; attempts: number }[] }>("GET", "/api/requests?limit=50");
	retried = (items.find((r) => r.attempts > 1) ?? items[0])?.id ?? "";
});

for (const language of ["en", "zh-CN", "ja"]) {
	for (const theme of ["light", "dark"]) {
		test(`${language} ${theme}`, async ({ open }) => {
			test.setTimeout(400_000);
			const page = await open();
			await page.evaluate(
				([l, t]) => {
					localStorage.setItem("patchbay.language", l ?? "");
					localStorage.setItem("patchbay.theme", t ?? "");
				},
				[language, theme],
			);
			await page.reload();
			const views = [...pages.map((p) => [p.slice(1) || "home", p] as const), ...Object.entries(opened).map(([name, to]) => [name, to(retried)] as const)];
			for (const [name, to] of views) {
				await page.evaluate((hash) => (location.hash = hash), to);
				await expect(page.locator("main h1")).toBeVisible();
				if (to.includes("=")) await expect(page.getByRole("dialog")).toBeVisible();
				await expect(page.getByRole("status", { name: /Loading|正在加载|読み込み中/ })).toHaveCount(0);
				for (const size of sizes) {
					await page.setViewportSize(size);
					await page.screenshot({ path: join(folder, `${name}-${size.width}-${theme}-${language}.png`), animations: "disabled" });
				}
				if (language === "en" && ((theme === "light" && /^(home|activity-detail)$/.test(name)) || (theme === "dark" && name === "accounts"))) {
					await page.setViewportSize(sizes[0]!);
					await page.screenshot({ path: join(readme, `${name}.png`), animations: "disabled" });
				}
			}
		});
	}
}
