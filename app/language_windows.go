package app

import "golang.org/x/sys/windows"

// SystemLanguages are the person's languages, best first.
func SystemLanguages() []string {
	l, err := windows.GetUserPreferredUILanguages(windows.MUI_LANGUAGE_NAME)
	if err != nil {
		return nil
	}
	return l
}
