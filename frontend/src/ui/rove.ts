/**
 * One tab stop for a list: arrows and J K move between the elements that match, Home and End to its ends. The right
 * arrow goes to the first control of a row, Escape back to it. Use it as an attachment: `{@attach rove("[data-row]")}`.
 */
export function rove(selector: string) {
	return (list: HTMLElement) => {
		const rows = () => [...list.querySelectorAll<HTMLElement>(selector)];
		const settle = (chosen?: HTMLElement) => {
			const all = rows();
			const stop = chosen ?? all.find((r) => r.tabIndex === 0) ?? all[0];
			for (const row of all) {
				const want = row === stop ? 0 : -1;
				if (row.tabIndex !== want || !row.hasAttribute("tabindex")) row.tabIndex = want;
			}
		};
		const keydown = (e: KeyboardEvent) => {
			const row = (e.target as HTMLElement).closest<HTMLElement>(selector);
			if (!row || e.ctrlKey || e.metaKey || e.altKey) return;
			if (e.target !== row) {
				if (e.key === "Escape") row.focus();
				return;
			}
			const all = rows();
			const at = all.indexOf(row);
			const to = { ArrowDown: at + 1, j: at + 1, ArrowUp: at - 1, k: at - 1, Home: 0, End: all.length - 1 }[e.key];
			if (to !== undefined) {
				e.preventDefault();
				e.stopPropagation();
				all[to]?.focus();
			} else if (e.key === "ArrowRight") row.querySelector<HTMLElement>("button, a[href]")?.focus();
		};
		const focusin = (e: FocusEvent) => {
			const row = (e.target as HTMLElement).closest<HTMLElement>(selector);
			if (row) settle(row);
		};
		settle();
		const watch = new MutationObserver(() => settle());
		watch.observe(list, { childList: true, subtree: true });
		list.addEventListener("keydown", keydown);
		list.addEventListener("focusin", focusin);
		return () => {
			watch.disconnect();
			list.removeEventListener("keydown", keydown);
			list.removeEventListener("focusin", focusin);
		};
	};
}
