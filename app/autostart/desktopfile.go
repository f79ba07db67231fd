package autostart

import (
	"errors"
	"strings"
)

// Desktop files quote twice: once for Exec (an argument stands in double quotes, where ", `, $ and \ have a backslash
// before them and % is doubled), once for all values (a backslash is doubled). freedesktop.org, Desktop Entry
// Specification 1.5, "Value types" and "The Exec key".

// execArgument is an argument as it stands between the double quotes of an Exec line.
func execArgument(arg string) string {
	var b strings.Builder
	for _, r := range arg {
		switch r {
		case '"', '`', '$':
			b.WriteString(`\\` + string(r))
		case '\\':
			b.WriteString(`\\\\`)
		case '%':
			b.WriteString(`%%`)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// execLine is a command as the value of Exec.
func execLine(command []string) string {
	quoted := make([]string, len(command))
	for i, arg := range command {
		quoted[i] = `"` + execArgument(arg) + `"`
	}
	return strings.Join(quoted, " ")
}

// parseExec reads the value of an Exec line.
func parseExec(value string) ([]string, error) {
	value = strings.NewReplacer(`\\`, `\`, `\s`, " ", `\t`, "\t", `\n`, "\n", `\r`, "\r").Replace(value)
	var out []string
	var arg strings.Builder
	quoted, open := false, false
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case quoted && c == '\\' && i+1 < len(value):
			i++
			arg.WriteByte(value[i])
		case c == '"':
			quoted, open = !quoted, true
		case c == '%' && i+1 < len(value) && value[i+1] == '%':
			i++
			arg.WriteByte('%')
		case !quoted && (c == ' ' || c == '\t'):
			if open {
				out = append(out, arg.String())
				arg.Reset()
				open = false
			}
		default:
			open = true
			arg.WriteByte(c)
		}
	}
	if quoted {
		return nil, errors.New("a quote in Exec does not end")
	}
	if open {
		out = append(out, arg.String())
	}
	return out, nil
}

// parseDesktop reads what a desktop file starts, and whether it is switched off.
func parseDesktop(text string) (command []string, blocked bool, err error) {
	group := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			group = line
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || group != "[Desktop Entry]" {
			continue
		}
		value = strings.TrimLeft(value, " ")
		switch strings.TrimRight(key, " ") {
		case "Exec":
			if command, err = parseExec(value); err != nil {
				return nil, false, err
			}
		case "Hidden":
			blocked = blocked || value == "true"
		case "X-GNOME-Autostart-enabled":
			blocked = blocked || value == "false"
		}
	}
	return command, blocked, nil
}

// desktopFile is the whole file, for what the module cannot write.
func desktopFile(command []string) string {
	return "[Desktop Entry]\nType=Application\nVersion=1.0\nName=" + name + "\nExec=" + execLine(command) +
		"\nIcon=" + id + "\nTerminal=false\nX-GNOME-Autostart-enabled=true\n"
}
