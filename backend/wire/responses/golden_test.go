package responses

import (
	"flag"
	"fmt"
	"io"
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
	"patchbay/backend/internal/openresponses"
	"patchbay/backend/wire"
	"patchbay/backend/wire/anthropic"
	"patchbay/backend/wire/openai"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	now = func() time.Time { return time.Unix(1790000003, 0) }
	os.Exit(m.Run())
}

// exchange is what the three upstream formats have in common.
type exchange interface {
	Read(contentType string, r io.Reader) canon.Stream
}

// setting says how a golden file is run: the client's format, the upstream's, and Options for an upstream of this format.
type setting struct {
	Client   string
	Upstream string
	Options  Options
	// Beyond says that the answer holds what the Open Responses specification does not have, so it is not checked.
	Beyond bool
}

var clients = map[string]struct {
	codec wire.Codec
	op    wire.Op
}{
	Name: {Codec{}, OpCreate}, "openai": {openai.Codec{}, openai.OpChat}, "anthropic": {anthropic.Codec{}, anthropic.OpMessages},
}

func reach(req *canon.Request, s setting) (exchange, []byte, []canon.Warning, error) {
	switch s.Upstream {
	case "openai":
		x, err := openai.NewExchange(req, openai.Options{})
		if err != nil {
			return nil, nil, nil, err
		}
		return x, x.Body, x.Dropped, nil
	case "anthropic":
		x, err := anthropic.NewExchange(req, anthropic.Options{OwnHost: true})
		if err != nil {
			return nil, nil, nil, err
		}
		return x, x.Body, x.Dropped, nil
	default:
		x, err := NewExchange(req, s.Options)
		if err != nil {
			return nil, nil, nil, err
		}
		return x, x.Body, x.Dropped, nil
	}
}

// TestGolden walks testdata. setting.json holds a setting and client.json a request; from them come canon.txt and
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

// TestGoldenFilesKeepToOpenResponses checks what the golden files say against the published schema.
func TestGoldenFilesKeepToOpenResponses(t *testing.T) {
	schema := openresponses.Load(t)
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, name := range files {
		a, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s := settingOf(t, a)
		if s.Client != Name || s.Beyond || section(a, "answer.txt") == "" {
			continue
		}
		checked++
		if _, err := schema.Stream([]byte(section(a, "stream.txt"))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if whole := section(a, "whole.json"); whole != "" {
			if err := schema.Response([]byte(whole)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if checked < 5 {
		t.Errorf("only %d files were checked", checked)
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

func settingOf(t *testing.T, a *txtar.Archive) setting {
	t.Helper()
	s := setting{Client: Name, Upstream: Name}
	if in := section(a, "setting.json"); in != "" {
		if err := json.Unmarshal([]byte(in), &s); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func counter() canon.IDSource {
	n := 0
	return func(prefix string, _ int) string { n++; return fmt.Sprintf("%s%d", prefix, n) }
}

func runGolden(t *testing.T, a *txtar.Archive) *txtar.Archive {
	out := &txtar.Archive{Comment: a.Comment}
	put := func(name, data string) {
		out.Files = append(out.Files, txtar.File{Name: name, Data: []byte(strings.TrimSpace(data) + "\n")})
	}
	s := settingOf(t, a)
	if in := section(a, "setting.json"); in != "" {
		put("setting.json", in)
	}
	body := section(a, "client.json")
	put("client.json", body)
	c := clients[s.Client]
	req, err := c.codec.Decode(c.op, nil, []byte(body))
	if err != nil {
		put("error.txt", refusalText(err))
		return out
	}
	req.SetIDs(counter())
	if s.Client == Name {
		put("canon.txt", dumpRequest(req))
	}
	x, sent, dropped, err := reach(req, s)
	if err != nil {
		put("error.txt", refusalText(err))
		return out
	}
	put("upstream.json", string(sent)+"\n"+dumpDropped(dropped))
	answer := section(a, "answer.txt")
	if answer == "" {
		return out
	}
	put("answer.txt", answer)
	events, stream := play(x, c.codec.NewRenderer(req), answer)
	put("events.txt", events)
	put("stream.txt", stream)
	x, _, _, _ = reach(req, s) // as above
	req.SetIDs(counter())
	resp, err := canon.Collect(x.Read("", iotest.OneByteReader(strings.NewReader(answer))))
	if err == nil {
		whole, _ := c.codec.AppendResponse(nil, req, resp)
		put("whole.json", string(whole))
	}
	return out
}

// refusalText is what a client is told: the cause behind it is worded differently from build to build.
func refusalText(err error) string {
	e := apierror.From(err)
	return fmt.Sprintf("%s (%s): %s", e.Kind, e.Param, e.Msg)
}

func play(x exchange, r wire.Renderer, answer string) (events, stream string) {
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
		fmt.Fprintf(&b, " id=%s model=%s created=%d verbatim=%v", ev.ID, ev.Model, ev.Created, ev.Verbatim)
	case canon.KindPartStart, canon.KindPartEnd:
		fmt.Fprintf(&b, " %d %s", ev.Index, dumpPart(ev.Part))
	case canon.KindDelta:
		fmt.Fprintf(&b, " %d %s %d %q %s", ev.Index, ev.Delta, ev.Summary, ev.Text, ev.Logprobs)
	case canon.KindFinish:
		fmt.Fprintf(&b, " %s %q (%s)", ev.Finish.Reason, ev.Finish.StopSequence, ev.Finish.Raw)
	}
	if ev.Usage != nil {
		fmt.Fprintf(&b, " usage=%+v", *ev.Usage)
	}
	if ev.Raw != nil {
		fmt.Fprintf(&b, " raw=%d", len(ev.Raw))
	}
	return strings.TrimRight(b.String(), " ")
}

func dumpPart(p *canon.Part) string {
	var b strings.Builder
	b.WriteString(p.Type.String())
	if p.Text != "" {
		fmt.Fprintf(&b, " %q", p.Text)
	}
	if len(p.Summary) > 0 {
		fmt.Fprintf(&b, " summary=%q", p.Summary)
	}
	if p.Type == canon.PartToolCall || p.Type == canon.PartToolResult {
		fmt.Fprintf(&b, " id=%s space=%s name=%s args=%s", p.CallID, p.Space, p.Name, p.Args)
	}
	for _, f := range []struct {
		on   bool
		name string
	}{{p.Custom, "custom"}, {p.BadArgs, "badargs"}, {p.Redacted, "redacted"}, {p.RawText, "raw"}} {
		if f.on {
			b.WriteString(" " + f.name)
		}
	}
	if p.ItemID != "" {
		fmt.Fprintf(&b, " item=%s", p.ItemID)
	}
	if m := p.Media; m != nil {
		fmt.Fprintf(&b, " mime=%s bytes=%d url=%s file=%s name=%s detail=%s text=%q", m.MIME, len(m.Data), m.URL, m.FileID, m.FileName, m.Detail, m.Text)
	}
	if p.Opaque != nil {
		fmt.Fprintf(&b, " opaque=%s.%s.%s", p.Opaque.Family, p.Opaque.Kind, p.Opaque.Data)
	}
	if len(p.Server) > 0 {
		fmt.Fprintf(&b, " server=%s", p.Server)
	}
	if len(p.Citations) > 0 {
		fmt.Fprintf(&b, " citations=%s", p.Citations)
	}
	if len(p.Ext) > 0 {
		v, _ := wire.Marshal(p.Ext)
		fmt.Fprintf(&b, " ext=%s", v)
	}
	for i := range p.Result {
		fmt.Fprintf(&b, " [%s]", dumpPart(&p.Result[i]))
	}
	return b.String()
}

func dumpRequest(req *canon.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "model %s stream=%v include=%q\n", req.ModelAsked, req.Stream, req.Include)
	v, _ := json.Marshal(req.Sampling)
	fmt.Fprintf(&b, "sampling %s\n", v)
	if req.MaxTokens != nil {
		fmt.Fprintf(&b, "max %d\n", *req.MaxTokens)
	}
	v, _ = json.Marshal(req.Reasoning)
	fmt.Fprintf(&b, "reasoning %s\nchoice %+v\noutput %s %s verbosity=%s\n", v, req.ToolChoice, req.Output.Kind, req.Output.Schema, req.Verbosity)
	for i := range req.Tools {
		t := &req.Tools[i]
		fmt.Fprintf(&b, "tool %s %s %s %s%s%s\n", t.Kind, t.Space, t.Name, t.ServerType, t.Schema, t.Grammar)
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
		v, _ := wire.Marshal(req.Ext)
		fmt.Fprintf(&b, "ext %s\n", v)
	}
	return b.String()
}
