package app

import "strings"

// escapeMarkup keeps a text from being read as the markup that some notification services understand.
func escapeMarkup(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
