import { expect, expectAccessible, expectNoSidewaysScroll, test } from "./harness";

const pixel = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");

test("the playground streams in every protocol, shows both sides, and can be stopped", async ({ demo, open }) => {
	const page = await open("/playground?model=gpt-4.1");
	const model = page.getByLabel("Model");
	await expect(model).toHaveValue("gpt-4.1");
	const answer = page.locator("[data-answer]");
	const raw = page.locator('pre[aria-label="Answer as it came"]');
	const request = page.locator('pre[aria-label="Request as sent"]');
	const state = page.getByRole("region", { name: "Answer", exact: true }).getByRole("status");

	for (const [protocol, path, mark] of [
		["openai", "/v1/chat/completions", "data: [DONE]"],
		["responses", "/v1/responses", "response.completed"],
		["anthropic", "/v1/messages", "message_stop"],
		["gemini", "/v1beta/models/gpt-4.1:streamGenerateContent?alt=sse", "finishReason"],
		["ollama", "/ollama/api/chat", '"done":true'],
	] as const) {
		await page.getByLabel("Protocol").selectOption(protocol);
		await page.getByLabel("What you ask").fill(`[[echo]] Hello in ${protocol}`);
		await page.getByRole("button", { name: "Send" }).click();
		await expect(state).toContainText("Answered");
		await expect(answer).toContainText(`Hello in ${protocol}`);
		await expect(request).toContainText(`POST ${path}`);
		await expect(raw).toContainText(mark);
		expect(await request.textContent()).not.toMatch(/authorization/i);
	}

	// a picture and a tool reach the service; the whole answer at once
	await page.getByLabel("Protocol").selectOption("openai");
	await page.getByLabel("Images").setInputFiles({ name: "dot.png", mimeType: "image/png", buffer: pixel });
	await page.getByRole("checkbox", { name: "Stream" }).uncheck();
	await page.getByLabel("System prompt").fill("Be brief");
	await page.getByLabel("What you ask").fill("[[echo]] What is this?");
	await page.getByRole("button", { name: "Send" }).click();
	await expect(request).toContainText("image_url");
	await expect(answer).toContainText(/image/i);
	await page.getByRole("button", { name: "Remove dot.png" }).click();
	await page.getByRole("checkbox", { name: "Offer a tool" }).check();
	await page.getByLabel("What you ask").fill("[[tool_call]] What is the weather?");
	await page.getByRole("button", { name: "Send" }).click();
	await expect(page.getByText("Calls the tool")).toBeVisible();

	await page.getByRole("checkbox", { name: "Stream" }).check();
	await page.getByLabel("What you ask").fill("[[slow]] Take your time");
	await page.getByRole("button", { name: "Send" }).click();
	await page.getByRole("button", { name: "Stop" }).click();
	await expect(state).toContainText("Stopped by you");

	// an error is told with its reason, and the request is in the log as the page's own
	await model.fill("no-such-model");
	await page.keyboard.press("Escape"); // the list of models
	await page.getByLabel("What you ask").fill("Hello");
	await page.keyboard.press("Control+Enter");
	await expect(state).toContainText("Error 404");
	const { items } = await demo.api<{ items: { key?: string; client: string }[] }>("GET", "/api/requests?key=playground&limit=50");
	expect(new Set(items.map((r) => r.client)).size).toBe(5);
	await expectAccessible(page);
	await expectNoSidewaysScroll(page);
});
