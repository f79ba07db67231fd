import { expect, expectAccessible, expectNoSidewaysScroll, test } from "./harness";

const pages = ["/", "/accounts", "/files", "/routing", "/playground", "/apps", "/activity", "/dataset", "/usage", "/settings", "/help", "/logs"];

test("every page has a title, can be read by everybody and fits every width", async ({ open }) => {
	test.setTimeout(480_000); // twelve pages
	const page = await open();
	for (const path of pages) {
		await test.step(path, async () => {
			if (path !== "/") {
				await page.evaluate((to) => {
					document.querySelector("main h1")?.setAttribute("data-before", "");
					location.hash = to;
				}, path);
			}
			await expect(page.locator("main h1:not([data-before])")).toBeVisible();
			await expect(page.locator("main h1")).toHaveCount(1);
			await expect(page.getByRole("status", { name: "Loading" })).toHaveCount(0);
			await expectAccessible(page);
			await expectNoSidewaysScroll(page);
		});
	}
});

test("a link works once; without one the page says how to get in", async ({ page, demo }) => {
	const link = await demo.link();
	await page.goto(link);
	await expect(page.getByRole("navigation", { name: "Pages" })).toBeVisible();
	expect(page.url()).not.toContain("t=");
	await page.reload();
	await expect(page.getByRole("navigation", { name: "Pages" })).toBeVisible();
	const other = await page.context().newPage();
	await other.goto(link);
	await expect(other.getByRole("heading", { name: "This page needs a fresh link" })).toBeVisible();
	await expectAccessible(other);
});

test("a link that leads to a place opens there, also in a tab that is in already", async ({ page, demo }) => {
	await page.goto((await demo.link()) + "#/settings/updates");
	await expect(page.getByRole("heading", { level: 1, name: "Settings" })).toBeVisible();
	await expect(page).toHaveURL(/\/ui\/#\/settings\/updates$/);
	await page.goto((await demo.link()) + "#/accounts?add=1");
	await expect(page.getByRole("dialog")).toBeVisible();
	await expect(page).toHaveURL(/\/ui\/#\/accounts\?add=1$/);
});

test("the palette goes anywhere by keyboard, and the focus comes back", async ({ open }) => {
	const page = await open();
	await page.keyboard.press("Control+k");
	const field = page.getByRole("combobox", { name: "Go to or do" });
	await expect(field).toBeFocused();
	await expectAccessible(page);
	await field.fill("usage");
	await page.keyboard.press("Enter");
	await expect(page).toHaveURL(/#\/usage$/);
	await expect(page.getByRole("heading", { level: 1 })).toBeFocused();
	await expect(page).toHaveTitle("Usage · Patchbay");
});

test("letters go to pages, unless they are switched off", async ({ open }) => {
	const page = await open();
	await page.keyboard.press("g");
	await page.keyboard.press("a");
	await expect(page).toHaveURL(/#\/accounts$/);
	await page.keyboard.press("?");
	const list = page.getByRole("dialog", { name: "Keyboard shortcuts" });
	await list.getByLabel("Single letters as shortcuts").uncheck();
	await page.keyboard.press("Escape");
	await expect(list).toBeHidden();
	await page.keyboard.press("g");
	await page.keyboard.press("u");
	await expect(page).toHaveURL(/#\/accounts$/);
});

test("the skip link leads past the navigation", async ({ open }) => {
	const page = await open();
	await page.evaluate(() => (document.activeElement as HTMLElement).blur());
	await page.keyboard.press("Tab");
	await expect(page.getByRole("link", { name: "Skip to content" })).toBeFocused();
	await page.keyboard.press("Enter");
	await expect(page.getByRole("main")).toBeFocused();
});
