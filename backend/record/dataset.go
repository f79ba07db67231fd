package record

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/store"
)

// The forms of a data set.
const (
	DatasetChat = "chat" // a line is a conversation: messages, tools, and where it comes from
	DatasetRaw  = "raw"  // a line is what was kept: both sides, before and after the conversion
)

// DatasetQuery says which of the kept requests go into a data set, and what is taken out of them. Credentials always are.
type DatasetQuery struct {
	Format                        string // DatasetChat or DatasetRaw
	Since, Until                  time.Time
	Provider, Account, Model, Key string
	SuccessOnly                   bool
	MinTurns                      int // messages of the user
	Emails, Phones, Paths         bool
}

// chatLine is one line of a data set in the form of a conversation.
type chatLine struct {
	Messages []jsontext.Value `json:"messages"`
	Tools    jsontext.Value   `json:"tools,omitzero"`
	Meta     lineMeta         `json:"metadata"`
}

type lineMeta struct {
	ID       string    `json:"id"`
	At       time.Time `json:"at"`
	Provider string    `json:"provider,omitzero"`
	Model    string    `json:"model,omitzero"`
	Input    int64     `json:"input_tokens,omitzero"`
	Output   int64     `json:"output_tokens,omitzero"`
}

type chatMessage struct {
	Role    string         `json:"role"`
	Content jsontext.Value `json:"content"`
	Calls   []struct {
		Function struct {
			Name      string `json:"name"`
			Arguments string `json:"arguments"`
		} `json:"function"`
	} `json:"tool_calls"`
}

// text is what a message says.
func (m *chatMessage) text() string {
	var b strings.Builder
	var plain string
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	switch {
	case len(m.Content) == 0:
	case json.Unmarshal(m.Content, &plain) == nil:
		b.WriteString(plain)
	case json.Unmarshal(m.Content, &parts) == nil:
		for _, p := range parts {
			if p.Text == "" {
				p.Text = "[" + p.Type + "]"
			}
			b.WriteString(p.Text + "\n")
		}
	}
	for _, c := range m.Calls {
		fmt.Fprintf(&b, "\n[calls %s %s]", c.Function.Name, c.Function.Arguments)
	}
	return b.String()
}

// Dataset yields the lines of a data set, oldest first, each without a line feed. matched counts what the filters let through,
// lines what was written; a conversation that could not be put together counts in the first only.
func (l *Log) Dataset(ctx context.Context, b *Bodies, q DatasetQuery, write func(line []byte) error) (matched, lines int, err error) {
	for _, id := range b.IDs() {
		if err := ctx.Err(); err != nil {
			return matched, lines, err
		}
		k, err := b.Get(id)
		if err != nil || k == nil {
			continue // it was deleted meanwhile, or its file is damaged
		}
		row, known, err := l.Row(ctx, id)
		if err != nil {
			return matched, lines, err
		}
		if !q.takes(k, &row, known) {
			continue
		}
		matched++
		line, err := q.line(k, &row)
		if err != nil || line == nil {
			continue
		}
		if err := write(line); err != nil {
			return matched, lines, err
		}
		lines++
	}
	return matched, lines, nil
}

// takes says whether a request is wanted. Of one whose row is gone only what was kept with its bodies is known.
func (q *DatasetQuery) takes(k *Kept, row *Row, known bool) bool {
	if !known {
		row.At, row.Key = k.At, k.Key
		if n := len(k.Calls); n > 0 {
			row.Provider = k.Calls[n-1].Provider
		}
		if k.Answer.Status >= 400 || k.Answer.Status == 0 {
			row.Kind = "unknown"
		}
	}
	f := store.RequestFilter{
		Provider: q.Provider, Account: q.Account, Model: q.Model, Key: q.Key, OK: q.SuccessOnly, Since: q.Since, Until: q.Until,
	}
	return matches(&f, row) && (q.MinTurns <= 0 || k.turns() >= q.MinTurns)
}

// turns counts the messages of the user.
func (k *Kept) turns() (n int) {
	if k.Chat == nil {
		return 0
	}
	for _, m := range k.Chat.Messages {
		var msg struct {
			Role string `json:"role"`
		}
		if json.Unmarshal(m, &msg) == nil && msg.Role == "user" {
			n++
		}
	}
	return n
}

func (q *DatasetQuery) line(k *Kept, row *Row) ([]byte, error) {
	var line any = k
	if q.Format == DatasetChat {
		if k.Chat == nil {
			return nil, nil
		}
		line = chatLine{Messages: k.Chat.Messages, Tools: k.Chat.Tools, Meta: lineMeta{
			ID: k.ID, At: k.At, Provider: row.Provider, Model: row.Model, Input: max(row.Tokens.Input, 0), Output: max(row.Tokens.Output, 0),
		}}
	}
	out, err := json.Marshal(line, jsontext.AllowInvalidUTF8(true), json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	return mapStrings(out, q.clean), nil
}

var (
	emails = regexp.MustCompile(`[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}`)
	// phones are numbers with a country's code, or of three groups; dates, versions and addresses of machines are none.
	phones = regexp.MustCompile(`(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{2,4}(?:[ .-]?\d{2,4}){1,4}\b)|(?:\(\d{3}\) ?\d{3}[ .-]\d{4}\b)|(?:\b\d{3}[ -]\d{3}[ -]\d{4}\b)`)
	// homes are folders of persons, whose name stands in them.
	homes = regexp.MustCompile(`((?:/home/|/Users/|[A-Za-z]:\\+Users\\+))([^/\\\s"'<>:]+)`)
)

// clean takes out of a text what must not be in a data set. Its credentials went before it was kept, and go once more: what is
// known of their looks may have grown since.
func (q *DatasetQuery) clean(s string) string {
	s = redact(s, nil)
	if q.Emails {
		s = emails.ReplaceAllString(s, "[email]")
	}
	if q.Phones {
		s = phones.ReplaceAllString(s, "[phone]")
	}
	if q.Paths {
		s = homes.ReplaceAllString(s, "${1}[person]")
	}
	return s
}

// WriteDataset writes a data set as lines of JSON.
func (l *Log) WriteDataset(ctx context.Context, b *Bodies, q DatasetQuery, w io.Writer) (lines int, err error) {
	_, lines, err = l.Dataset(ctx, b, q, func(line []byte) error {
		_, err := w.Write(append(line, '\n'))
		return err
	})
	return lines, err
}
