package kiro

import (
	"strings"
	"testing"
)

// splitVectors: T is thinking, X is text.
var splitVectors = []struct{ in, want string }{
	{"<thinking>\nplan\n</thinking>\n\nHello", "T(plan\n)X(Hello)"},
	{"  \n<thinking>plan</thinking>\n\nHello", "T(plan)X(Hello)"},
	{"Hello <b>x</b> < 3", "X(Hello <b>x</b> < 3)"},
	{"<thinking>the `</thinking>` tag and a bare </thinking> word\n</thinking>\n\nDone", "T(the `</thinking>` tag and a bare </thinking> word\n)X(Done)"},
	{"<thinking>only thoughts</thinking>", "T(only thoughts)"},
	{"<thinking>never closed", "T(never closed)"},
	{"say `<thinking>` literally", "X(say `<thinking>` literally)"},
	{"<thinking>a</thinking>\nb", "T(a)X(b)"},
	{"<thinking>x</thinking>\n\nuse <thinking> later", "T(x)X(use <thinking> later)"},
	{"<thinking>\r\nwin\r\n</thinking>\r\n\r\nok", "T(win\r\n)X(ok)"},
	{"<think>short</think>\nx", "T(short)X(x)"},
	{" \n<reasoning>r\n</reasoning>\n\nx", "T(r\n)X(x)"},
	{"Hi <think>no</think>", "X(Hi <think>no</think>)"},
	{"Hi\n<thinking>late</thinking>\n\nx", "X(Hi\n)T(late)X(x)"},
	{"\"<thinking>\" and <thinking>yes</thinking>\nx", "X(\"<thinking>\" and )T(yes)X(x)"},
	{"<thinking>\u00e9\u4e16\U0001F327</thinking>\n\n\u4e16", "T(\u00e9\u4e16\U0001F327)X(\u4e16)"},
	{"<thinking></thinking>\n\nx", "X(x)"},
	{"   ", "X(   )"},
	{"<thin", "X(<thin)"},
	{"<thinking>a</think", "T(a</think)"},
	{"<thinking>a</thinking>   \nb", "T(a</thinking>   \nb)"},
	{"<thinking>q\"</thinking>\n more</thinking>\nz", "T(q\"</thinking>\n more)X(z)"},
	{"<thinking>x</thinking>\n\n\n\nthree", "T(x)X(\n\nthree)"},
	{"", ""},
}

func split(pieces ...string) string {
	var s splitter
	var list []piece
	for _, p := range pieces {
		list = append(list, s.feed(p)...)
	}
	list = append(list, s.boundary()...)
	var b strings.Builder
	var kind string
	for _, p := range list {
		k := "X"
		if p.thought {
			k = "T"
		}
		if k != kind {
			if kind != "" {
				b.WriteString(")")
			}
			b.WriteString(k + "(")
			kind = k
		}
		b.WriteString(p.text)
	}
	if kind != "" {
		b.WriteString(")")
	}
	return b.String()
}

func TestSplitterCutAnywhere(t *testing.T) {
	for _, v := range splitVectors {
		if got := split(v.in); got != v.want {
			t.Errorf("%q: got %q, want %q", v.in, got, v.want)
			continue
		}
		for i := 0; i <= len(v.in); i++ {
			for j := i; j <= len(v.in); j++ {
				if got := split(v.in[:i], v.in[i:j], v.in[j:]); got != v.want {
					t.Fatalf("%q cut at %d and %d: got %q, want %q", v.in, i, j, got, v.want)
				}
			}
		}
		if got := split(strings.Split(v.in, "")...); got != v.want {
			t.Errorf("%q in runes: %q", v.in, got)
		}
	}
}

func FuzzSplitter(f *testing.F) {
	for _, v := range splitVectors {
		f.Add(v.in, len(v.in)/2, len(v.in)/3)
	}
	f.Fuzz(func(t *testing.T, in string, i, j int) {
		i, j = max(0, min(i, len(in))), max(0, min(j, len(in)))
		i, j = min(i, j), max(i, j)
		if got, want := split(in[:i], in[i:j], in[j:]), split(in); got != want {
			t.Errorf("%q cut at %d and %d: %q, whole %q", in, i, j, got, want)
		}
	})
}

func TestSplitterAtABoundary(t *testing.T) {
	var s splitter
	got := append(s.feed("<thinking>plan</thinking>"), s.boundary()...)
	if len(got) != 1 || !got[0].thought || got[0].text != "plan" {
		t.Errorf("before a call: %+v", got)
	}
	if more := append(s.feed("\n\nafter"), s.boundary()...); len(more) != 1 || more[0].thought || more[0].text != "after" {
		t.Errorf("behind it: %+v", more)
	}
}
