import { expect, expectAccessible, expectNoSidewaysScroll, type Patchbay, test } from "./harness";

interface Key {
	id: string;
	name: string;
	limits?: Record<string, unknown>;
}

const keyOf = async (demo: Patchbay, name: string): Promise<Key | undefined> => (await demo.api<{ items: Key[] }>("GET", "/api/keys")).items.find((k) => k.name === name);

/** Asks as an app does, in its own protocol. */
async function message(demo: Patchbay, key: string): Promise<Response> {
	return await fetch(demo.base + "/v1/messages", {
		method: "POST",
		headers: { "x-api-key": key, "anthropic-version": "2023-06-01", "Content-Type": "application/json" },
		body: JSON.stringify({ model: "gpt-4.1", max_tokens: 64, messages: [{ role: "user", content: "Hello" }] }),
	});
}

test("an app is connected, and limited", async ({ demo, open }) => {
	const page = await open("/apps?connect=1");
	const sheet = page.getByRole("dialog");
	await sheet.getByLabel("Search apps").fill("claude");
	await sheet.getByRole("button", { name: /^Claude Code/ }).click();
	await expect(sheet.getByRole("heading", { name: "Connect Claude Code" })).toBeVisible();
	await expect(sheet.getByText(`"ANTHROPIC_BASE_URL": "${demo.base}"`)).toBeVisible();
	await sheet.getByLabel("Answered by").selectOption("openai");
	await expect(sheet.getByText(`"ANTHROPIC_BASE_URL": "${demo.base}/openai"`)).toBeVisible();
	await sheet.getByLabel("Answered by").selectOption("");

	// the key is shown once, and what is copied for the app holds it
	await sheet.getByRole("button", { name: "Make a key for Claude Code" }).click();
	await expect(sheet.getByText("You will not see it again.")).toBeVisible();
	await expectAccessible(page);
	await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
	await sheet.getByRole("button", { name: "Copy the key" }).click();
	const key = await page.evaluate(() => navigator.clipboard.readText());
	await sheet.getByRole("button", { name: "Copy", exact: true }).first().click();
	const lines = JSON.parse(await page.evaluate(() => navigator.clipboard.readText())) as { env: Record<string, string> };
	expect(lines.env["ANTHROPIC_AUTH_TOKEN"]).toBe(key);
	await sheet.getByRole("button", { name: "Done" }).click();
	await expect(sheet).toBeHidden();
	expect(await page.content()).not.toContain(key);
	expect(await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]))).not.toContain(key);

	// its first request appears by itself
	const row = page.getByRole("listitem", { name: "Claude Code" });
	await expect(row).toContainText("No request yet");
	const first = await message(demo, key);
	expect(first.status).toBe(200);
	await first.text();
	await expect(row).toContainText("Anthropic Messages");
	await expectNoSidewaysScroll(page);

	// limits hold from the next request on, and can be taken back
	await page.getByRole("button", { name: "More for Claude Code" }).click();
	await page.getByRole("menuitem", { name: "Limits …" }).click();
	const dialog = page.getByRole("dialog");
	await dialog.getByLabel("Models").fill("no-such-*");
	await dialog.getByLabel("Requests a minute").fill("600");
	await dialog.getByRole("checkbox", { name: "OpenAI", exact: true }).check();
	await dialog.getByRole("button", { name: "Save" }).click();
	await expect(row).toContainText("Models: no-such-*");
	await expect(row).toContainText("600 requests a minute");
	const limited = await message(demo, key);
	expect(limited.status).toBe(403);
	await limited.text();
	await page.getByRole("button", { name: "Undo" }).last().click();
	await expect(row).toContainText("No limit");
	const made = await keyOf(demo, "Claude Code");
	expect(made?.limits?.["models"] ?? []).toEqual([]);
	await demo.api("DELETE", `/api/keys/${made?.id}?remove=true`);
});

test("a revoked key is refused at the next request, in the words of every protocol, and leaves the list", async ({ demo, open }) => {
	const { key } = await demo.api<{ key: string }>("POST", "/api/keys", { name: "Old laptop" });
	const hello = [{ role: "user", content: "Hello" }];
	const asks: [path: string, header: string, body: object, told: Record<string, unknown>][] = [
		["/v1/chat/completions", "authorization", { messages: hello }, { error: { code: "invalid_api_key" } }],
		["/v1/responses", "authorization", { input: "Hello" }, { error: { code: "invalid_api_key" } }],
		["/v1/messages", "x-api-key", { max_tokens: 64, messages: hello }, { type: "error", error: { type: "authentication_error" } }],
		["/v1beta/models/gpt-4.1:generateContent", "x-goog-api-key", { contents: [{ parts: [{ text: "Hello" }] }] }, { error: { code: 401, status: "UNAUTHENTICATED" } }],
		["/ollama/api/chat", "authorization", { stream: false, messages: hello }, { error: expect.any(String) as unknown }],
	];
	const ask = ([path, header, body]: (typeof asks)[number]) =>
		fetch(demo.base + path, {
			method: "POST",
			headers: { [header]: header === "authorization" ? `Bearer ${key}` : key, "Content-Type": "application/json" },
			body: JSON.stringify({ ...(!path.includes("models/") && { model: "gpt-4.1" }), ...body }),
		});
	for (const one of asks) {
		const answer = await ask(one);
		expect(answer.status, `${one[0]}: ${await answer.text()}`).toBe(200);
	}

	const page = await open("/apps");
	await page.getByRole("button", { name: "More for Old laptop" }).click();
	await page.getByRole("menuitem", { name: "Revoke …" }).click();
	const dialog = page.getByRole("dialog");
	await expect(dialog).toContainText("its next request is refused");
	await expectAccessible(page);
	await dialog.getByRole("button", { name: "Revoke Old laptop" }).click();
	await expect(dialog).toBeHidden();
	for (const one of asks) {
		const answer = await ask(one);
		expect(answer.status, one[0]).toBe(401);
		expect(await answer.json()).toMatchObject(one[3]);
	}

	await expect(page.getByRole("listitem", { name: "Old laptop" })).toContainText("Revoked");
	await page.getByRole("button", { name: "More for Old laptop" }).click();
	await page.getByRole("menuitem", { name: "Remove from the list" }).click();
	await dialog.getByRole("button", { name: "Remove from the list" }).click();
	await expect(page.getByRole("listitem", { name: "Old laptop" })).toHaveCount(0);
	expect((await ask(asks[0]!)).status).toBe(401);
	expect(await keyOf(demo, "Old laptop")).toBeUndefined();
});
