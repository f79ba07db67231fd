package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"patchbay/backend/logging"
)

// Error is one thing that is wrong with the settings. Its text is safe to show.
type Error struct {
	Key     string // the setting; "" when the file as a whole cannot be read
	Msg     string
	Where   string // file, variable or flag
	Line    int    // in the file, from 1; 0 = none
	Excerpt string // the lines around it, with a mark; secrets are taken out
}

// Error returns "where:line: key: what", then the excerpt.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Where != "" {
		b.WriteString(e.Where)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	}
	if e.Key != "" {
		b.WriteString(e.Key + ": ")
	}
	b.WriteString(e.Msg)
	if e.Excerpt != "" {
		b.WriteString("\n" + e.Excerpt)
	}
	return b.String()
}

// Errors returns the single errors that err consists of, for a page that shows them at their settings.
func Errors(err error) []*Error {
	if list, ok := errors.AsType[errorList](err); ok {
		return list
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return []*Error{e}
	}
	return nil
}

// errorList joins errors, one per line.
type errorList []*Error

func (l errorList) Error() string {
	text := make([]string, len(l))
	for i, e := range l {
		text[i] = e.Error()
	}
	return strings.Join(text, "\n")
}

// join returns nil for an empty list.
func (l errorList) join() error {
	if len(l) == 0 {
		return nil
	}
	slices.SortStableFunc(l, func(a, b *Error) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return strings.Compare(a.Key, b.Key)
	})
	return l
}

// excerpt shows a line of text with its neighbours and a mark under col (from 1).
func excerpt(text []byte, line, col int) string {
	lines := strings.Split(string(text), "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	var b strings.Builder
	for n := max(1, line-1); n <= min(len(lines), line+1); n++ {
		mark := "  "
		if n == line {
			mark = "> "
		}
		content := strings.TrimRight(lines[n-1], "\r")
		if n != line && content == "" {
			continue
		}
		fmt.Fprintf(&b, "%s%3d | %s\n", mark, n, logging.Redact(hideSecretValue(content)))
		if n == line && col > 0 {
			fmt.Fprintf(&b, "      | %s^\n", strings.Repeat(" ", col-1))
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// hideSecretValue takes the value off a line whose key has a secret's name.
func hideSecretValue(line string) string {
	key, value, ok := strings.Cut(line, ":")
	if ok && strings.TrimSpace(value) != "" && logging.SecretName(strings.Trim(strings.TrimSpace(key), `"'-`)) {
		return key + ": [secret]"
	}
	return line
}
