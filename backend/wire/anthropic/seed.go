package anthropic

import (
	"bytes"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// seedLimit is how much of the system text and of the first user text makes up a seed.
const seedLimit = 2 << 10

// billingHead starts a prompt block of claude-code that changes with each call: it is no part of what a conversation is.
const billingHead = "x-anthropic-billing-header:"

// seed returns the head of the system text and of the first user text. It reads no more of the body than that.
func seed(o canon.Object) string {
	var b strings.Builder
	seedText(&b, o.Get("system"), seedLimit)
	b.WriteByte('\n')
	messages := o.Get("messages")
	if messages.Kind() != '[' {
		return b.String()
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(messages), wire.Lenient)
	if _, err := d.ReadToken(); err != nil {
		return b.String()
	}
	for d.PeekKind() == '{' {
		v, err := d.ReadValue()
		if err != nil {
			return b.String()
		}
		var m struct {
			Role    string         `json:"role"`
			Content jsontext.Value `json:"content"`
		}
		if json.Unmarshal(v, &m, wire.Lenient) == nil && m.Role == string(canon.RoleUser) {
			seedText(&b, m.Content, seedLimit)
			return b.String()
		}
	}
	return b.String()
}

// seedText adds at most limit bytes of a content's text.
func seedText(b *strings.Builder, v jsontext.Value, limit int) {
	add := func(s string) {
		if strings.HasPrefix(s, billingHead) {
			return
		}
		s = s[:min(len(s), limit)]
		limit -= len(s)
		b.WriteString(s)
	}
	switch v.Kind() {
	case '"':
		var s string
		if json.Unmarshal(v, &s, wire.Lenient) == nil {
			add(s)
		}
	case '[':
		stop := bytes.ErrTooLarge // any error ends the walk
		_ = elements(v, func(_ int, e jsontext.Value) error {
			var t struct {
				Text string `json:"text"`
			}
			if json.Unmarshal(e, &t, wire.Lenient) == nil {
				add(t.Text)
			}
			if limit <= 0 {
				return stop
			}
			return nil
		})
	}
}
