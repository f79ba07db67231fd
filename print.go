package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// printJSON prints v, indented.
func (a *app) printJSON(v any) error {
	b, err := json.Marshal(v, jsontext.WithIndent("  "), json.Deterministic(true), json.FormatNilSliceAsNull(false))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s\n", b)
	return err
}

// printList prints rows as JSON, or as a table with a line per row, or says what to do when there are none.
func printList[T any](a *app, rows []T, header string, row func(T) []string, empty string) error {
	if a.json {
		return a.printJSON(rows)
	}
	if len(rows) == 0 {
		_, err := fmt.Fprintln(a.out, empty)
		return err
	}
	t := newTable(a.out, strings.Split(header, "|"))
	for _, r := range rows {
		t.row(row(r)...)
	}
	return t.Flush()
}

type table struct{ *tabwriter.Writer }

func newTable(w io.Writer, header []string) table {
	t := table{tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
	t.row(header...)
	return t
}

// row prints one line. What is not printable is left out: texts come from services, and a terminal obeys what it is sent.
func (t table) row(cells ...string) {
	for i, c := range cells {
		c = clean(c)
		if c == "" && i < len(cells)-1 {
			c = "-"
		}
		if i > 0 {
			fmt.Fprint(t, "\t")
		}
		fmt.Fprint(t, c) // a write that fails is reported by Flush
	}
	fmt.Fprintln(t)
}

func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
}

// clip keeps texts of services from filling the screen; --json has them whole.
func clip(s string) string {
	const most = 100
	if r := []rune(s); len(r) > most {
		return string(r[:most-3]) + "..."
	}
	return s
}

// shown prints a time in the person's own zone; "" for none.
func shown(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// count prints a number of tokens; negative is unknown.
func count(n int64) string {
	if n < 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// plural prints "1 account" or "2 accounts".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func absolute(path string) (string, error) {
	p, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("finding %s: %w", path, err)
	}
	return p, nil
}
