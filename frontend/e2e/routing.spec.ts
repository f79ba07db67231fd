import { expect, expectAccessible, expectNoSidewaysScroll, type Patchbay, test } from "./harness";

interface Routing {
	default: { provider: string };
	chains: { of: string; steps: { target: string }[] }[];
}

/** The steps of the default chain, as they are in force. */
async function chain(demo: Patchbay): Promise<string[]> {
	const { chains } = await demo.api<Routing>("GET", "/api/routing");
	return chains[0]?.steps.map((s) => s.target) ?? [];
}

test("a chain is built and put in order by keyboard, and taken back", async ({ demo, open }) => {
	const page = await open("/routing");
	const { default: first } = await demo.api<Routing>("GET", "/api/routing");
	await expect(page.getByText(/^Only .* answers\. If it is resting, apps wait\.$/)).toBeVisible();
	for (const name of ["Gemini", "home-ollama"]) {
		await page.getByRole("button", { name: "Add a step" }).first().click();
		const dialog = page.getByRole("dialog");
		await dialog.getByLabel("Provider").selectOption({ label: name });
		await dialog.getByRole("button", { name: "Add a step" }).click();
		await expect(dialog).toBeHidden();
		await expect(page.getByRole("group", { name: `${name}: 1 of 1 ready` })).toBeVisible();
	}
	expect(await chain(demo)).toEqual([first.provider, "gemini", "home-ollama"]);
	await expect(page.getByText("if no Gemini account is ready")).toBeVisible();
	await expectAccessible(page);
	await expectNoSidewaysScroll(page);

	const last = page.getByRole("group", { name: /^home-ollama: / });
	await last.focus();
	await page.keyboard.press("Alt+ArrowUp");
	await expect(page.getByRole("status").filter({ hasText: "home-ollama is now number 2" })).toHaveCount(1);
	expect(await chain(demo)).toEqual([first.provider, "home-ollama", "gemini"]);
	await expect(last).toBeFocused();

	// once more: now it is the default provider
	await page.keyboard.press("Alt+ArrowUp");
	await expect.poll(() => chain(demo)).toEqual(["home-ollama", first.provider, "gemini"]);
	expect((await demo.api<Routing>("GET", "/api/routing")).default.provider).toBe("home-ollama");
	await page.getByRole("button", { name: "Undo" }).last().click();
	await expect.poll(() => chain(demo)).toEqual([first.provider, "home-ollama", "gemini"]);

	// a chain that leads in a circle is refused with its reason, and nothing changes
	await page.getByRole("button", { name: "New chain" }).click();
	const dialog = page.getByRole("dialog");
	await dialog.getByRole("group", { name: "When there is no account ready of" }).getByLabel("Provider").selectOption("gemini");
	await dialog.getByRole("group", { name: "ask instead" }).getByLabel("Provider").selectOption(first.provider);
	await dialog.getByRole("button", { name: "Make the chain" }).click();
	await expect(dialog.getByRole("alert")).toContainText("leads in a circle");
	await dialog.getByRole("button", { name: "Cancel" }).click();
	expect((await demo.api<Routing>("GET", "/api/routing")).chains).toHaveLength(1);

	await page.getByRole("button", { name: "More for Gemini" }).click();
	await page.getByRole("menuitem", { name: "Remove this step" }).click();
	await expect.poll(() => chain(demo)).toEqual([first.provider, "home-ollama"]);
	await demo.api("PUT", "/api/routing/chains", { of: first.provider, steps: [] });
});

test("the tester says who would answer and why, and the next request goes there", async ({ demo, open }) => {
	const page = await open("/routing?model=fast&protocol=anthropic");
	const tester = page.getByRole("region", { name: "Where would this go?" });
	await expect(tester.getByLabel("Model")).toHaveValue("fast");
	await expect(tester.getByLabel("Protocol")).toHaveValue("anthropic");
	await expect(tester.getByText("Rule 7: the default provider, for want of a better one")).toBeVisible();
	await tester.getByLabel("Protocol").selectOption("openai");
	await expect(tester.getByText('No provider offers "fast".')).toBeVisible();

	// another name for a model holds at once, in the tester and for apps
	await page.getByRole("button", { name: "Add a name" }).first().click();
	const dialog = page.getByRole("dialog");
	await dialog.getByLabel("When an app asks for").fill("fast");
	await dialog.getByLabel("Use").fill("home-ollama/qwen3:8b");
	await page.keyboard.press("Escape"); // the list of models
	await dialog.getByRole("button", { name: "Save" }).click();
	await expect(dialog).toBeHidden();
	await expect(tester.getByRole("status")).toContainText("home-ollama,");
	await expect(tester.getByText("Rule 4: another name for a model, set in Routing")).toBeVisible();
	const answer = await demo.ask("fast");
	await answer.text();
	expect(answer.headers.get("x-patchbay-provider")).toBe("home-ollama");
	expect(answer.headers.get("x-patchbay-model")).toBe("qwen3:8b");
	await expect(tester.getByRole("status")).toContainText(answer.headers.get("x-patchbay-account") ?? "?");

	// what the address names comes first
	await tester.getByText("The app names a provider").click();
	await tester.getByLabel("In the address").selectOption("openai");
	await expect(page).toHaveURL(/path=openai/);
	await tester.getByLabel("In the address").selectOption("");
	await tester.getByLabel("Model").fill("gpt-4.1");
	await page.keyboard.press("Escape");
	await expect(tester.getByRole("status")).toContainText("OpenAI,");
	let n = 0;
	await expect(async () => {
		// A conversation of its own, or it would stay with the account that answered it before. It has the service tell the first
		// account to rest, for a while.
		const next = await demo.ask("gpt-4.1", `Question ${n++}`);
		await next.text();
		await expect(tester.getByRole("list", { name: "Route" })).toContainText(next.headers.get("x-patchbay-account") ?? "?", { timeout: 5000 });
	}).toPass();

	await page.getByRole("button", { name: "More for fast" }).click();
	await page.getByRole("menuitem", { name: "Remove" }).click();
	await expect(page.getByRole("button", { name: "More for fast" })).toBeHidden();
	expect((await demo.ask("fast")).status).toBe(404);
});

test("stand-ins, hidden models, thinking and the models of one provider", async ({ demo, open }) => {
	const page = await open("/routing");
	await page.getByLabel("Model or pattern to hide").fill("gpt-4o*");
	await page.keyboard.press("Escape");
	await page.getByRole("button", { name: "Hide", exact: true }).click();
	await expect(page.getByRole("button", { name: "Show gpt-4o* again" })).toBeVisible();
	const listed = async () => (await demo.api<{ items: { id: string }[] }>("GET", "/api/models")).items.map((m) => m.id);
	expect(await listed()).not.toContain("gpt-4o");
	await page.getByRole("button", { name: "Undo" }).last().click();
	await expect(page.getByText("Apps see every model.")).toBeVisible();
	expect(await listed()).toContain("gpt-4o");

	const dialog = page.getByRole("dialog");
	await page.getByRole("button", { name: "Add a stand-in" }).click();
	await dialog.getByLabel("Model", { exact: true }).fill("gpt-5*");
	await dialog.getByLabel("provider/model").fill("gemini/no-such-model");
	await dialog.getByRole("button", { name: "Save" }).click();
	await expect(dialog.getByRole("alert")).toContainText("no-such-model");
	await dialog.getByLabel("provider/model").fill("home-ollama/qwen3:8b");
	await dialog.getByRole("button", { name: "Save" }).click();
	await expect(page.getByText("home-ollama/qwen3:8b")).toBeVisible();
	await page.getByRole("button", { name: "Undo" }).last().click();
	await expect(page.getByText("No model has a stand-in.")).toBeVisible();

	await page.getByRole("button", { name: "Set a limit" }).click();
	await dialog.getByLabel("Provider").selectOption("openai");
	await dialog.getByLabel("At most").fill("low");
	await dialog.getByLabel("At most").press("Escape");
	await dialog.getByRole("button", { name: "Save" }).click();
	await expect(page.getByText("At most: low.")).toBeVisible();
	await page.getByRole("button", { name: "Undo" }).last().click();
	await expect(page.getByText("At most: low.")).toBeHidden();

	await page.evaluate(() => (location.hash = "/routing?provider=home-ollama"));
	await expect(page.getByRole("heading", { name: "Models of home-ollama" })).toBeVisible();
	await page.getByRole("button", { name: "More for qwen3:8b" }).click();
	await page.getByRole("menuitem", { name: "Where would this go?" }).click();
	await expect(page.getByRole("status").filter({ hasText: "home-ollama," })).toBeVisible();
	await expectAccessible(page);
});
