import { post } from "./client";

interface Shell {
	webkit?: { messageHandlers?: { external?: unknown } };
	chrome?: { webview?: unknown };
}

/** Whether this page is shown by Patchbay's own window, which opens no other page: the program does that. */
export function inWindow(): boolean {
	const shell = window as unknown as Shell;
	return !!shell.webkit?.messageHandlers?.external || !!shell.chrome?.webview;
}

/** Opens an address in the person's browser; false when that did not work, and the person has to. */
export async function openInBrowser(url: string): Promise<boolean> {
	if (!inWindow()) {
		window.open(url, "_blank", "noopener,noreferrer"); // which never says whether it did
		return true;
	}
	try {
		await post("/api/ui/open", { url });
		return true;
	} catch {
		return false;
	}
}

/** Has the browser open what a link leads to, where the window would do nothing. */
export function openLinksOutside(): void {
	document.addEventListener("click", (e) => {
		if (!inWindow() || e.defaultPrevented || e.button !== 0) return;
		const link = (e.target as Element).closest<HTMLAnchorElement>('a[target="_blank"]');
		if (!link || !/^https?:$/.test(new URL(link.href).protocol)) return;
		e.preventDefault();
		void openInBrowser(link.href);
	});
}
