package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// The editor changes single lines of the file's text, so that comments, blank lines and order stay. It only has to be
// right for sane files: whoever calls it reads the result back and compares it with what was wanted.

// setText returns text with the value at path set to value, which is YAML on one line. Groups that are missing on the
// way are made.
func setText(text string, path []string, value string) (string, error) {
	root, err := parseText("", []byte(text))
	if err != nil {
		return "", err
	}
	lines := splitLines(text)
	if root == nil {
		return joinLines(slices.Insert(lines, len(lines), newLines(0, path, value)...)), nil
	}
	node, last, indent := root, len(lines)-1, 0
	for i, name := range path {
		members, ok := pairs(node)
		if !ok {
			return "", fmt.Errorf("%s holds no settings", strings.Join(path[:i], "."))
		}
		m := memberNamed(members, name)
		if m == nil {
			if len(members) > 0 {
				indent = column(members[0])
			}
			return joinLines(slices.Insert(lines, last+1, newLines(indent, path[i:], value)...)), nil
		}
		at := line(m)
		indent = column(m)
		last = extent(lines, at, indent)
		if i == len(path)-1 {
			return joinLines(replaceValue(lines, at, indent, last, value)), nil
		}
		if empty(m.Value) {
			lines = replaceValue(lines, at, indent, last, "")
			return joinLines(slices.Insert(lines, at+1, newLines(indent+2, path[i+1:], value)...)), nil
		}
		if flow(m.Value) {
			return joinLines(replaceValue(lines, at, indent, last, renderFlow(m.Value, path[i+1:], value))), nil
		}
		node = m.Value
	}
	return text, nil
}

// unsetText returns text without the setting or group at path.
func unsetText(text string, path []string) (string, error) {
	root, err := parseText("", []byte(text))
	if err != nil || root == nil {
		return text, err
	}
	lines, node := splitLines(text), root
	for i, name := range path {
		members, _ := pairs(node)
		m := memberNamed(members, name)
		if m == nil {
			return text, nil
		}
		at, indent := line(m), column(m)
		last := extent(lines, at, indent)
		if i == len(path)-1 {
			return joinLines(slices.Delete(lines, at, last+1)), nil
		}
		if flow(m.Value) {
			return joinLines(replaceValue(lines, at, indent, last, renderFlow(m.Value, path[i+1:], ""))), nil
		}
		node = m.Value
	}
	return text, nil
}

func splitLines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(text, "\n"), "\n")
}

func joinLines(lines []string) string { return strings.Join(lines, "\n") + "\n" }

func line(m *ast.MappingValueNode) int { return m.Key.GetToken().Position.Line - 1 }

func column(m *ast.MappingValueNode) int { return m.Key.GetToken().Position.Column - 1 }

func memberNamed(members []*ast.MappingValueNode, name string) *ast.MappingValueNode {
	for _, m := range members {
		if text, ok := scalarText(m.Key); ok && text == name {
			return m
		}
	}
	return nil
}

func flow(n ast.Node) bool {
	m, ok := n.(*ast.MappingNode)
	return ok && m.IsFlowStyle
}

// empty reports whether n says nothing: no value, or {}.
func empty(n ast.Node) bool {
	if _, ok := n.(*ast.NullNode); ok {
		return true
	}
	members, ok := pairs(n)
	return ok && len(members) == 0
}

// newLines writes a setting with the groups around it that do not exist yet.
func newLines(indent int, path []string, value string) []string {
	var out []string
	for i, name := range path {
		l := strings.Repeat(" ", indent+2*i) + quoteName(name) + ":"
		if i == len(path)-1 {
			l += " " + value
		}
		out = append(out, l)
	}
	return out
}

// extent returns the last line of the value whose key stands at lines[at] with that indent. Comments and blank lines
// after it do not belong to it.
func extent(lines []string, at, indent int) int {
	last := at
	for j := at + 1; j < len(lines); j++ {
		text := strings.TrimLeft(lines[j], " ")
		if strings.TrimSpace(text) == "" || strings.HasPrefix(text, "#") {
			continue
		}
		n := len(lines[j]) - len(text)
		item := text == "-" || strings.HasPrefix(text, "- ")
		if n > indent || n == indent && item {
			last = j
			continue
		}
		break
	}
	return last
}

// replaceValue puts value behind the key at lines[at], keeps the comment at the end of that line, and drops the further
// lines of the old value.
func replaceValue(lines []string, at, indent, last int, value string) []string {
	l := lines[at]
	colon := keyEnd(l, indent)
	comment := commentOf(l[colon+1:])
	l = l[:colon+1]
	if value != "" {
		l += " " + value
	}
	out := slices.Clone(lines)
	out[at] = l + comment
	return slices.Delete(out, at+1, last+1)
}

// keyEnd returns the index of the colon after the key that starts at column col (counted in characters).
func keyEnd(l string, col int) int {
	start := len(string([]rune(l)[:col]))
	i := start
	if q := l[i]; q == '"' || q == '\'' {
		i = closing(l, i)
	}
	for ; i < len(l); i++ {
		if l[i] == ':' && (i+1 == len(l) || l[i+1] == ' ' || l[i+1] == '\t' || l[start] == '"' || l[start] == '\'') {
			return i
		}
	}
	return len(l) - 1
}

// closing returns the index of the quote that ends the quoted text at i.
func closing(l string, i int) int {
	q := l[i]
	for j := i + 1; j < len(l); j++ {
		switch {
		case l[j] == '\\' && q == '"':
			j++
		case l[j] == q:
			return j
		}
	}
	return len(l) - 1
}

// commentOf returns the comment at the end of a line whose value starts in rest, with the space before it.
func commentOf(rest string) string {
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case (c == '"' || c == '\'') && (i == 0 || strings.IndexByte(" [{,:", rest[i-1]) >= 0):
			i = closing(rest, i)
		case c == '#' && (i == 0 || rest[i-1] == ' ' || rest[i-1] == '\t'):
			start := len(strings.TrimRight(rest[:i], " \t"))
			return rest[start:]
		}
	}
	return ""
}

// renderFlow writes a mapping as {a: b} with the value at path changed, or taken out when value is empty.
func renderFlow(n ast.Node, path []string, value string) string {
	members, ok := pairs(n)
	if !ok {
		return renderNode(n)
	}
	var out []string
	found := false
	for _, m := range members {
		name, _ := scalarText(m.Key)
		text := renderNode(m.Value)
		if len(path) > 0 && name == path[0] {
			found = true
			switch {
			case len(path) > 1:
				text = renderFlow(m.Value, path[1:], value)
			case value == "":
				continue
			default:
				text = value
			}
		}
		out = append(out, quoteName(name)+": "+text)
	}
	if len(path) > 0 && !found && value != "" {
		for i := len(path) - 1; i > 0; i-- {
			value = "{" + quoteName(path[i]) + ": " + value + "}"
		}
		out = append(out, quoteName(path[0])+": "+value)
	}
	return "{" + strings.Join(out, ", ") + "}"
}

func renderNode(n ast.Node) string {
	if seq, ok := n.(*ast.SequenceNode); ok {
		items := make([]string, len(seq.Values))
		for i, item := range seq.Values {
			items[i] = renderNode(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	if _, ok := pairs(n); ok {
		return renderFlow(n, nil, "")
	}
	if s, ok := n.(*ast.StringNode); ok {
		return quote(s.Value)
	}
	if text, ok := scalarText(n); ok {
		return text
	}
	return "null"
}
