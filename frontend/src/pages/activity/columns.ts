/** The columns of the list. With a request open there is no room for tokens below 1440 px. */
export function columns(open: boolean): string {
	const few = "grid h-full items-center gap-x-3 px-3.5 grid-cols-[62px_14px_minmax(0,1.1fr)_minmax(0,1.4fr)_minmax(0,1.5fr)_56px]";
	return open
		? `${few} wide:grid-cols-[62px_14px_minmax(0,1.1fr)_minmax(0,1.4fr)_minmax(0,1.5fr)_118px_56px]`
		: `${few} rail:grid-cols-[62px_14px_minmax(0,1.1fr)_minmax(0,1.4fr)_minmax(0,1.5fr)_118px_56px]`;
}

/** Hides the column of tokens where there is no room for it. */
export function tokensColumn(open: boolean): string {
	return open ? "max-wide:hidden" : "max-rail:hidden";
}
