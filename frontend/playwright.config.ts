import { defineConfig } from "@playwright/test";

// The browser is the system's own: nothing is downloaded.
const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const browser = {
	launchOptions: { executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-extensions"] },
	viewport: { width: 1280, height: 800 },
};

export default defineConfig({
	testDir: "e2e",
	outputDir: "test-results",
	fullyParallel: false,
	workers: Number(process.env["WORKERS"] ?? 1),
	forbidOnly: true,
	// Machines of CI are slow and shared: these only end what hangs.
	timeout: 180_000,
	expect: { timeout: 30_000 },
	reporter: [["list"]],
	use: { locale: "en-GB", timezoneId: "Europe/Berlin", colorScheme: "light", ...browser },
	projects: [
		{ name: "unit", testMatch: /unit\/.*\.test\.ts/ },
		{ name: "page", testMatch: /[^/]*\.spec\.ts/ },
		...(process.env["PATCHBAY_SCREENSHOTS"] ? [{ name: "screenshots", testMatch: /screenshots\.shot\.ts/ }] : []),
	],
});
