import { test as base, expect, type Page } from "@playwright/test";
import { type ChildProcessWithoutNullStreams, execFile, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createRequire } from "node:module";
import { promisify } from "node:util";

export { expect } from "@playwright/test";

/** The program under test: the one that `make build` made. */
const program = resolve(process.env["PATCHBAY_BIN"] ?? join(import.meta.dirname, "../../bin/patchbay"));
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const run = promisify(execFile);

/** A Patchbay of its own: own folder, own port, own file as keychain. */
export class Patchbay {
	/** what it has printed */
	output = "";
	base = "";
	/** a client key */
	key = "";
	#child: ChildProcessWithoutNullStreams | undefined;

	private constructor(
		readonly home: string,
		private readonly args: string[],
		private readonly env: Record<string, string> = {},
	) {}

	/** `patchbay demo`: simulated services and accounts for them. */
	static async demo(): Promise<Patchbay> {
		const p = new Patchbay("", ["demo"]);
		await p.start();
		return p;
	}

	/** `patchbay serve` on a fresh folder, with these settings. own = it listens where its settings say. */
	static async serve(config = "", { own = false, env = {} }: { own?: boolean; env?: Record<string, string> } = {}): Promise<Patchbay> {
		const p = new Patchbay(fresh(config), own ? ["serve"] : ["serve", "--listen", "127.0.0.1:0"], env);
		await p.start();
		return p;
	}

	/** `patchbay` as the system starts it at login, on a desktop that has nothing: no bus, no tray, no browser. */
	static async desktop(): Promise<Patchbay> {
		const home = fresh("server:\n  listen: 127.0.0.1:0\n");
		const nothing = { DISPLAY: ":none", PATH: home, HOME: home, XDG_CONFIG_HOME: join(home, "xdg"), DBUS_SESSION_BUS_ADDRESS: "unix:path=" + join(home, "none") };
		const p = new Patchbay(home, ["--hidden"], nothing);
		await p.start();
		return p;
	}

	get folder(): string {
		return this.home || (/PATCHBAY_HOME=(\S+) patchbay/.exec(this.output)?.[1] ?? "");
	}

	/** Starts it, on the port it had if it was started before. */
	async start(): Promise<void> {
		const before = this.base && new URL(this.base).host;
		const args = before ? this.args.map((a) => (a === "127.0.0.1:0" ? before : a)) : this.args;
		this.output = "";
		const child = spawn(program, args, { env: { ...process.env, PATCHBAY_KEYRING: "file", ...(this.home && { PATCHBAY_HOME: this.home }), ...this.env } });
		this.#child = child;
		const last = () => child.kill("SIGKILL"); // a test that failed did not come to its end
		process.once("exit", last);
		child.once("exit", () => process.off("exit", last));
		let errors = "";
		child.stderr.on("data", (d) => (errors += String(d)));
		await new Promise<void>((ready, fail) => {
			child.stdout.on("data", (d) => {
				this.output += String(d);
				if (this.output.includes(args[0] === "--hidden" ? "listens on" : "Stop with Ctrl+C")) ready();
			});
			child.once("exit", (code) => fail(new Error(`patchbay ${args.join(" ")} ended with ${code}: ${errors}${this.output}`)));
			child.once("error", fail);
		});
		this.base = /(http:\/\/127\.0\.0\.1:\d+)/.exec(this.output)?.[1] ?? "";
		const key = /\b(pb-[\w-]{20,}|pk[_-][\w-]{20,})/.exec(this.output)?.[1];
		if (key) this.key = key;
	}

	/** Stops it; its folder stays. hard = as a power failure would. */
	async stop(hard = false): Promise<void> {
		const child = this.#child;
		if (!child || child.exitCode !== null) return;
		const gone = new Promise((done) => child.once("exit", done));
		child.kill(hard ? "SIGKILL" : "SIGINT");
		await gone;
	}

	async close(): Promise<void> {
		await this.stop();
		if (this.home) rmSync(this.home, { recursive: true, force: true });
	}

	/** Runs a command against it: `patchbay accounts`. */
	async command(...args: string[]): Promise<string> {
		const { stdout } = await run(program, args, { env: { ...process.env, PATCHBAY_HOME: this.folder, PATCHBAY_KEYRING: "file" } });
		return stdout;
	}

	/** A link that opens the page once. */
	async link(): Promise<string> {
		return (await this.api<{ url: string }>("POST", "/api/ui/ticket")).url;
	}

	/** Calls the management API, as the commands do. */
	async api<T>(method: string, path: string, body?: unknown): Promise<T> {
		const { token } = JSON.parse(readFileSync(join(this.folder, "instance.json"), "utf8")) as { token: string };
		const response = await fetch(this.base + path, {
			method,
			headers: { Authorization: `Bearer ${token}`, ...(body !== undefined && { "Content-Type": "application/json" }) },
			body: body === undefined ? null : JSON.stringify(body),
		});
		if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
		return (response.status === 204 ? undefined : await response.json()) as T;
	}

	/** Has it keep requests and answers whole, from the next request on. A change of the file would count a moment after it is shown. */
	async record(): Promise<void> {
		await this.api("PATCH", "/api/settings", { "record.bodies.enabled": true });
	}

	/** Asks a model as an app would, and gives back what came. */
	async ask(model: string, text = "Hello", path = "/v1/chat/completions"): Promise<Response> {
		return await fetch(this.base + path, {
			method: "POST",
			headers: { Authorization: `Bearer ${this.key}`, "Content-Type": "application/json" },
			body: JSON.stringify({ model, messages: [{ role: "user", content: text }] }),
		});
	}
}

/** A folder for a program of its own. */
function fresh(config: string): string {
	const home = mkdtempSync(join(tmpdir(), "patchbay-page-"));
	if (config) writeFileSync(join(home, "config.yaml"), config, { mode: 0o600 });
	return home;
}

interface TestThings {
	/** opens a page of Patchbay in a tab: `await open("/activity")` */
	open: (path?: string, server?: Patchbay) => Promise<Page>;
}

interface WorkerThings {
	/** one demo for all tests of a worker: do not stop it, and put back what you change */
	demo: Patchbay;
}

/** `test` with a running demo and a way to open its page; a message in the console or an error of the page fails the test. */
export const test = base.extend<TestThings, WorkerThings>({
	demo: [
		// eslint-disable-next-line no-empty-pattern -- Playwright reads the names from the braces
		async ({}, use) => {
			const demo = await Patchbay.demo();
			await (await demo.ask("gpt-4.1")).text(); // past the guide to the first answer
			await use(demo);
			await demo.close();
		},
		{ scope: "worker" },
	],
	open: async ({ page, demo }, use) => {
		const wrong: string[] = [];
		page.on("pageerror", (e) => wrong.push(String(e)));
		page.on("console", (m) => m.type() === "error" && !expected(m.text()) && wrong.push(m.text()));
		await use(async (path = "/", server = demo) => {
			await page.goto(await server.link());
			await expect(page.getByRole("navigation", { name: /Pages|页面|ページ/ })).toBeVisible();
			if (path !== "/") await page.evaluate((to) => (location.hash = to), path);
			await expect(page.locator("main h1")).toBeVisible();
			return page;
		});
		expect(wrong, "errors in the console").toEqual([]);
	},
});

/** What a browser says about answers that the page shows itself: refused values, a server that is gone. */
function expected(text: string): boolean {
	return /Failed to load resource|WebSocket connection to .* failed/.test(text);
}

interface Violation {
	id: string;
	impact: string;
	help: string;
	nodes: { target: string[]; failureSummary: string }[];
}

/** The rules whose outcome hangs on colours: what the second theme can add. */
const colourRules = ["color-contrast", "link-in-text-block"];

/**
 * Holds the page to WCAG 2.2 AA and best practice in both themes: nothing serious, nothing critical. While a dialog is open,
 * it is the dialog that is looked at: what is behind it has a test of its own.
 */
export async function expectAccessible(page: Page): Promise<void> {
	if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axeSource);
	for (const theme of ["light", "dark"] as const) {
		await page.evaluate(async (t) => {
			document.documentElement.dataset["theme"] = t;
			await new Promise((frame) => requestAnimationFrame(frame));
			// A colour that is still on its way to the other theme is no finding.
			const moving = document.getAnimations().filter((a) => a instanceof CSSTransition);
			await Promise.all(moving.map((a) => a.finished.catch(() => undefined)));
		}, theme);
		const violations = await page.evaluate(
			async (rules) => {
				const axe = (window as unknown as { axe: { run: (c: Node, o: object) => Promise<{ violations: Violation[] }> } }).axe;
				const where = [...document.querySelectorAll("[role=dialog]")].at(-1) ?? document;
				return (await axe.run(where, { resultTypes: ["violations"], ...(rules && { runOnly: rules }) })).violations;
			},
			theme === "light" ? undefined : colourRules,
		);
		const serious = violations.filter((v) => v.impact === "serious" || v.impact === "critical");
		const where = (v: Violation) => v.nodes.map((n) => n.target.join(" ") + "\n" + n.failureSummary).join("\n");
		expect(serious.map((v) => `${theme} ${v.id}: ${v.help}\n${where(v)}`)).toEqual([]);
	}
}

/** Nothing may have to be scrolled sideways at any of the widths. */
export async function expectNoSidewaysScroll(page: Page): Promise<void> {
	const before = page.viewportSize();
	for (const width of [720, 959, 960, 1120, 1280, 1600]) {
		await page.setViewportSize({ width, height: 800 });
		const wide = () =>
			page.evaluate(() => {
				const main = document.querySelector("main");
				return (main ? main.scrollWidth - main.clientWidth : 0) + document.documentElement.scrollWidth - document.documentElement.clientWidth;
			});
		// What is drawn by its size, like a chart, is drawn anew a frame later.
		await expect.poll(wide, { message: `at ${width}` }).toBe(0);
	}
	if (before) await page.setViewportSize(before);
}

/** A port that nobody has. */
export async function freePort(): Promise<number> {
	const server = createServer();
	await new Promise<void>((ready) => server.listen(0, "127.0.0.1", ready));
	const { port } = server.address() as AddressInfo;
	await new Promise((done) => server.close(done));
	return port;
}
