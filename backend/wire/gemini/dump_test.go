package gemini

import (
	"fmt"
	"strings"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

// dump writes a stream of events as text, one a line.
func dump(s canon.Stream) string {
	var b strings.Builder
	for ev, err := range s {
		if err != nil {
			fmt.Fprintf(&b, "error %s: %s\n", apierror.KindOf(err), apierror.From(err).Msg)
			continue
		}
		b.WriteString(dumpEvent(ev))
		b.WriteByte('\n')
	}
	return b.String()
}

func dumpEvent(ev canon.Event) string {
	out := ev.Kind.String()
	if ev.Choice > 0 {
		out += fmt.Sprintf(" choice=%d", ev.Choice)
	}
	switch ev.Kind {
	case canon.KindPartStart, canon.KindPartEnd:
		out += fmt.Sprintf(" %d %s", ev.Index, dumpPart(ev.Part))
	case canon.KindDelta:
		out += fmt.Sprintf(" %d %s %q", ev.Index, ev.Delta, ev.Text)
		if len(ev.Logprobs) > 0 {
			out += " logprobs " + string(ev.Logprobs)
		}
	case canon.KindUsage:
		u := ev.Usage
		out += fmt.Sprintf(" in=%d cached=%d out=%d reason=%d", u.Input, u.CacheRead, u.Output, u.Reasoning)
	case canon.KindFinish, canon.KindChoiceFinish:
		out += fmt.Sprintf(" %s %s", ev.Finish.Reason, ev.Finish.Raw)
	}
	return strings.TrimSpace(out)
}

func dumpPart(p *canon.Part) string {
	if p == nil {
		return "nil"
	}
	out := []string{p.Type.String()}
	if p.CallID != "" || p.Name != "" {
		out = append(out, p.CallID, p.Name)
	}
	if p.Custom {
		out = append(out, "custom")
	}
	if p.Text != "" {
		out = append(out, fmt.Sprintf("%q", p.Text))
	}
	if len(p.Args) > 0 {
		out = append(out, string(p.Args))
	}
	if p.Media != nil {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %d bytes %s%s", p.Media.MIME, len(p.Media.Data), p.Media.URL, p.Media.FileID)))
	}
	if len(p.Server) > 0 {
		out = append(out, string(p.Server))
	}
	for i := range p.Result {
		out = append(out, "<"+dumpPart(&p.Result[i])+">")
	}
	if p.IsError {
		out = append(out, "is_error")
	}
	if p.Redacted {
		out = append(out, "redacted")
	}
	if o := p.Opaque; o != nil {
		out = append(out, "["+strings.TrimSpace(o.Family+" "+o.Kind+" "+o.Data)+"]")
	}
	return strings.Join(out, " ")
}
