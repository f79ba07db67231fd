package autostart

import (
	"encoding/xml"
	"io"
	"strings"
)

// xmlText is a text as it may stand in a property list.
func xmlText(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}

// parsePlist reads the program of a launch agent. A Disabled key keeps it from being started.
func parsePlist(text string) (command []string, blocked bool, err error) {
	d := xml.NewDecoder(strings.NewReader(text))
	key, depth, inArguments := "", 0, false
	for {
		tok, err := d.Token()
		if err == io.EOF {
			return command, blocked, nil
		}
		if err != nil {
			return nil, false, err
		}
		switch el := tok.(type) {
		case xml.StartElement:
			depth++
			switch el.Name.Local {
			case "key", "string":
				var s string
				if err := d.DecodeElement(&s, &el); err != nil {
					return nil, false, err
				}
				depth--
				if el.Name.Local == "key" {
					key = s
				} else if inArguments {
					command = append(command, s)
				}
			case "array":
				inArguments = key == "ProgramArguments"
			case "true":
				blocked = blocked || key == "Disabled"
			}
		case xml.EndElement:
			depth--
			if el.Name.Local == "array" {
				inArguments = false
			}
		}
	}
}
