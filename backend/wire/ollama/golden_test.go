package ollama

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGolden walks testdata. options.json holds Options and client.json a request; from them come canon.txt and
// upstream.json. answer.txt is the upstream's answer, from which events.txt, stream.txt and whole.json come.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			want := string(txtar.Format(a))
			got := string(txtar.Format(runGolden(t, a)))
			if *update {
				if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if d := cmp.Diff(want, got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

func section(a *txtar.Archive, name string) string {
	for _, f := range a.Files {
		if f.Name == name {
			return strings.TrimSpace(string(f.Data))
		}
	}
	return ""
}

var began = time.Date(2026, 11, 22, 20, 0, 0, 0, time.UTC)

// fix makes ids and times of a request those of the tests: a counter, and a clock that goes on a tenth of a second each
// time somebody looks.
func fix(req *canon.Request) *canon.Request {
	n, now := 0, began
	req.SetIDs(func(prefix string, _ int) string { n++; return fmt.Sprintf("%s%d", prefix, n) })
	req.SetClock(func() time.Time { now = now.Add(100 * time.Millisecond); return now })
	req.Began = began
	return req
}

func runGolden(t *testing.T, a *txtar.Archive) *txtar.Archive {
	out := &txtar.Archive{Comment: a.Comment}
	put := func(name, data string) {
		out.Files = append(out.Files, txtar.File{Name: name, Data: []byte(strings.TrimSpace(data) + "\n")})
	}
	var o Options
	if s := section(a, "options.json"); s != "" {
		put("options.json", s)
		if err := json.Unmarshal([]byte(s), &o); err != nil {
			t.Fatal(err)
		}
	}
	body := section(a, "client.json")
	put("client.json", body)
	op := OpChat
	if strings.Contains(body, `"prompt":`) {
		op = OpGenerate
	}
	req, err := Codec{}.Decode(op, nil, []byte(body))
	if err != nil {
		put("error.txt", apierror.From(err).Msg)
		return out
	}
	fix(req)
	put("canon.txt", dumpRequest(req))
	x, err := NewExchange(req, o)
	if err != nil {
		put("error.txt", apierror.From(err).Msg)
		return out
	}
	put("upstream.json", x.Path+"\n"+string(x.Body)+"\n"+dumpDropped(x.Dropped))
	answer := section(a, "answer.txt")
	if answer == "" {
		return out
	}
	put("answer.txt", answer)
	events, stream := play(x, req, answer)
	put("events.txt", events)
	put("stream.txt", stream)
	fix(req)
	resp, err := canon.Collect(x.Read("", iotest.OneByteReader(strings.NewReader(answer))))
	if err == nil {
		resp.First = began.Add(40 * time.Millisecond)
		whole, _ := Codec{}.AppendResponse(nil, req, resp)
		put("whole.json", string(whole))
	}
	return out
}

func play(x *Exchange, req *canon.Request, answer string) (events, stream string) {
	r := Codec{}.NewRenderer(req)
	var out []byte
	var b strings.Builder
	for ev, err := range x.Read("", strings.NewReader(answer)) {
		if err != nil {
			fmt.Fprintln(&b, "error", err)
			out = r.AppendError(out, apierror.From(err))
			break
		}
		fmt.Fprintln(&b, dumpEvent(ev))
		out = r.AppendEvent(out, ev)
	}
	return b.String(), string(out)
}

func dumpDropped(list []canon.Warning) string {
	var b strings.Builder
	for _, w := range list {
		fmt.Fprintf(&b, "dropped %s: %s\n", w.Field, w.Detail)
	}
	return b.String()
}

func dumpEvent(ev canon.Event) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", ev.Kind)
	switch ev.Kind {
	case canon.KindStart:
		fmt.Fprintf(&b, " model=%s created=%d verbatim=%v", ev.Model, ev.Created, ev.Verbatim)
	case canon.KindPartStart, canon.KindPartEnd:
		fmt.Fprintf(&b, " %d %s", ev.Index, dumpPart(ev.Part))
	case canon.KindDelta:
		fmt.Fprintf(&b, " %d %s %q %s", ev.Index, ev.Delta, ev.Text, ev.Logprobs)
	case canon.KindFinish:
		fmt.Fprintf(&b, " %s (%s) whole=%d", ev.Finish.Reason, ev.Finish.Raw, len(ev.Whole))
	}
	if ev.Usage != nil {
		fmt.Fprintf(&b, " in=%d out=%d", ev.Usage.Input, ev.Usage.Output)
	}
	if ev.Raw != nil {
		fmt.Fprintf(&b, " raw=%d", len(ev.Raw))
	}
	if ev.More {
		b.WriteString(" more")
	}
	return b.String()
}

func dumpPart(p *canon.Part) string {
	var b strings.Builder
	b.WriteString(p.Type.String())
	if p.Text != "" {
		fmt.Fprintf(&b, " %q", p.Text)
	}
	if p.Type == canon.PartToolCall || p.Type == canon.PartToolResult {
		fmt.Fprintf(&b, " id=%s name=%s args=%s", p.CallID, p.Name, p.Args)
	}
	if p.Custom {
		b.WriteString(" custom")
	}
	if m := p.Media; m != nil {
		fmt.Fprintf(&b, " mime=%s bytes=%d", m.MIME, len(m.Data))
	}
	if len(p.Logprobs) > 0 {
		fmt.Fprintf(&b, " logprobs=%s", p.Logprobs)
	}
	if len(p.Ext) > 0 {
		v, _ := json.Marshal(p.Ext, json.Deterministic(true))
		fmt.Fprintf(&b, " ext=%s", v)
	}
	for i := range p.Result {
		fmt.Fprintf(&b, " [%s]", dumpPart(&p.Result[i]))
	}
	return b.String()
}

func dumpRequest(req *canon.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s model %s stream=%v\n", req.Op, req.ModelAsked, req.Stream)
	v, _ := json.Marshal(req.Sampling, json.OmitZeroStructFields(true))
	fmt.Fprintf(&b, "sampling %s stop=%q\n", v, req.Stop)
	if req.MaxTokens != nil {
		fmt.Fprintf(&b, "max %d\n", *req.MaxTokens)
	}
	v, _ = json.Marshal(req.Reasoning, json.OmitZeroStructFields(true))
	fmt.Fprintf(&b, "reasoning %s\noutput %q %s\nseed %q\n", v, req.Output.Kind, req.Output.Schema, req.Seed)
	for i := range req.Tools {
		t := &req.Tools[i]
		fmt.Fprintf(&b, "tool %s %s %q %s\n", t.Kind, t.Name, t.Description, t.Schema)
	}
	for i := range req.System {
		fmt.Fprintf(&b, "system %s\n", dumpPart(&req.System[i]))
	}
	for _, m := range req.Messages {
		fmt.Fprintf(&b, "%s\n", m.Role)
		for i := range m.Parts {
			fmt.Fprintf(&b, "  %s\n", dumpPart(&m.Parts[i]))
		}
	}
	if len(req.Ext) > 0 {
		v, _ := json.Marshal(req.Ext, json.Deterministic(true))
		fmt.Fprintf(&b, "ext %s\n", v)
	}
	return b.String()
}
