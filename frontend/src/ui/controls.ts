/** The look that text fields, selects and comboboxes share. */
export const control =
	"min-h-[30px] w-full min-w-0 rounded-control border border-line-control bg-surface px-[9px] py-1 text-text " +
	"aria-invalid:border-stop-mark disabled:bg-pressed disabled:text-text-3";
