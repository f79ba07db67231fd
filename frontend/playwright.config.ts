import { defineConfig } from "@playwright/test";

// The browser is the system's own: nothing is downloaded.
const executablePath = process.env["CHROMIUM"] ?? "/usr/bin/chromium";
const browser = { launchOptions: { executablePath, args: ["--no-sandbox"] }, viewport: { width: 1280, height: 800 } };

export default defineConfig({
	testDir: "e2e",
	outputDir: "test-results",
	fullyParallel: false,
	workers: Number(process.env["WORKERS"] ?? 2),
	forbidOnly: true,
	timeout: 60_000,
	expect: { timeout: 15_000 },
	reporter: [["list"]],
	use: { locale: "en-GB", timezoneId: "Europe/Berlin", colorScheme: "light", trace: "retain-on-failure", ...browser },
	projects: [
		{ name: "unit", testMatch: /unit\/.*\.test\.ts/ },
		{ name: "page", testMatch: /[^/]*\.spec\.ts/ },
		...(process.env["PATCHBAY_SCREENSHOTS"] ? [{ name: "screenshots", testMatch: /screenshots\.shot\.ts/ }] : []),
	],
});
