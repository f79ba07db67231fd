// Before the first paint: no flash of the other theme. A file of its own, because the page allows no script in itself.
try {
	const theme = localStorage.getItem("patchbay.theme");
	if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
	// storage is switched off: the system decides
}
