import { defineConfig } from "@playwright/test";
import { existsSync } from "node:fs";

// The browser is the system's own: nothing is downloaded. Debian's headless shell is the same Chromium without the windows
// of a browser around each page, at half the price. Where there is neither, an installed Chrome is looked for.
const browsers = ["/usr/bin/chromium-headless-shell", "/usr/bin/chromium"];
const executablePath = process.env["CHROMIUM"] ?? browsers.find((b) => existsSync(b));
const browser = {
	launchOptions: { ...(executablePath ? { executablePath } : { channel: "chrome" }), args: ["--no-sandbox", "--disable-gpu", "--disable-extensions"] },
	viewport: { width: 1280, height: 800 },
};

export default defineConfig({
	testDir: "e2e",
	outputDir: "test-results",
	fullyParallel: false,
	// Each has a browser and a demo of its own; a file's tests stay together.
	workers: Number(process.env["WORKERS"] ?? 2),
	forbidOnly: true,
	// One that passes at the second try is listed as flaky: read why.
	retries: process.env["CI"] ? 1 : 0,
	// Machines of CI are slow and shared: these only end what hangs.
	timeout: 180_000,
	expect: { timeout: 30_000 },
	reporter: [["list"]],
	use: { locale: "en-GB", timezoneId: "Europe/Berlin", colorScheme: "light", ...browser },
	projects: [
		{ name: "unit", testMatch: /unit\/.*\.test\.ts/ },
		{ name: "page", testMatch: /[^/]*\.spec\.ts/ },
		...(process.env["PATCHBAY_LONG"] ? [{ name: "long", testMatch: /\.long\.ts/ }] : []),
		...(process.env["PATCHBAY_SCREENSHOTS"] ? [{ name: "screenshots", testMatch: /screenshots\.shot\.ts/ }] : []),
	],
});
