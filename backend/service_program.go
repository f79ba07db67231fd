package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/about"
	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/events"
	"patchbay/backend/logging"
	"patchbay/backend/wire"
)

// tellLogs hints that the log has grown, at most four times a second.
func (b *Backend) tellLogs(ctx context.Context) error {
	const every = 250 * time.Millisecond
	pause := time.NewTimer(0)
	defer pause.Stop()
	more := false
	lines := make(chan struct{}, 1)
	go func() { // ends with ctx
		for range b.log.Follow(ctx) {
			select {
			case lines <- struct{}{}:
			default: // it is told already
			}
		}
	}()
	for waiting := true; ; {
		select {
		case <-lines:
			more = true
		case <-pause.C:
			waiting = false
		case <-ctx.Done():
			return nil
		}
		if more && !waiting {
			b.bus.Publish(events.Logs, "", nil)
			more, waiting = false, true
			pause.Reset(every)
		}
	}
}

// levelOrder are the levels, the lowest first.
var levelOrder = []string{"debug", "info", "warn", "error"}

// Logs implements api.Service.
func (b *Backend) Logs(_ context.Context, q api.LogQuery) (api.LogView, error) {
	v := api.LogView{Dropped: b.log.Dropped(), Dir: b.o.Paths.State}
	v.Level, v.Levels = b.log.Levels()
	names := map[string]bool{}
	for _, l := range b.log.Lines(0, 0) {
		v.Seq = l.Seq
		names[l.Package] = true
		if l.Seq > q.Since && matches(l, q) {
			v.Items = append(v.Items, logLine(l))
		}
	}
	if n := cmp.Or(q.Limit, 500); len(v.Items) > n {
		v.Items = v.Items[len(v.Items)-n:]
	}
	delete(names, "")
	for name := range names {
		v.Names = append(v.Names, name)
	}
	slices.Sort(v.Names)
	return v, nil
}

func matches(l logging.Line, q api.LogQuery) bool {
	if slices.Index(levelOrder, strings.ToLower(l.Level)) < slices.Index(levelOrder, q.Level) {
		return false
	}
	if q.Package != "" && l.Package != q.Package && !strings.HasPrefix(l.Package, q.Package+"/") {
		return false
	}
	if q.Search == "" {
		return true
	}
	has := func(text string) bool { return strings.Contains(strings.ToLower(text), strings.ToLower(q.Search)) }
	return has(l.Msg) || slices.ContainsFunc(l.Attrs, func(a logging.Attr) bool { return has(a.Value) })
}

func logLine(l logging.Line) api.LogLine {
	out := api.LogLine{Seq: l.Seq, At: l.Time, Level: strings.ToLower(l.Level), Package: l.Package, Message: l.Msg}
	for _, a := range l.Attrs {
		out.Attrs = append(out.Attrs, api.LogAttr(a))
	}
	return out
}

// LogText implements api.Service.
func (b *Backend) LogText(context.Context) ([]byte, error) {
	var out []byte
	for n := b.settings.Current().Log.MaxFiles; n >= 0; n-- {
		name := logging.FileName
		if n > 0 {
			name = fmt.Sprintf("%s.%d", name, n)
		}
		text, err := os.ReadFile(filepath.Join(b.o.Paths.State, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading the log: %w", err)
		}
		out = append(out, text...)
	}
	return out, nil
}

// Addresses implements api.Service.
func (b *Backend) Addresses(context.Context) (api.AddressesView, error) {
	cfg, base := b.settings.Current(), b.Base()
	v := api.AddressesView{Base: base, LAN: cfg.Server.LAN, Items: []api.AddressView{}, Network: []string{}}
	second := cfg.Server.OllamaListener
	v.Second = api.SecondView{Enabled: second.Enabled, Listen: second.Listen, URL: b.OllamaBase(), NoKey: second.NoKey}
	if err := b.ollamaProblem(); err != nil {
		v.Second.Problem = err.Error()
	}
	if base == "" {
		return v, nil
	}
	for _, c := range protocols {
		if a, ok := c.(wire.Addressed); ok {
			name, suffix := a.Address()
			v.Items = append(v.Items, api.AddressView{Protocol: c.Name(), Name: name, URL: base + suffix})
		}
	}
	_, port, err := net.SplitHostPort(hostPort(base))
	if err != nil {
		return v, nil // it listens where no port is
	}
	for _, ip := range networkAddresses() {
		v.Network = append(v.Network, "http://"+net.JoinHostPort(ip, port))
	}
	return v, nil
}

// networkAddresses are this machine's addresses on its networks.
func networkAddresses() []string {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return nil // the page then shows none
	}
	var out []string
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && !n.IP.IsLinkLocalUnicast() && n.IP.To4() != nil {
			out = append(out, n.IP.String())
		}
	}
	return out
}

// About implements api.Service.
func (b *Backend) About(context.Context) (api.AboutView, error) {
	i := about.Read()
	v := api.AboutView{Version: b.o.Version, Go: i.Go, System: i.System, Revision: i.Revision, Built: i.Time, Licence: about.Licence, Modules: []api.ModuleView{}}
	for _, m := range i.Modules {
		v.Modules = append(v.Modules, api.ModuleView(m))
	}
	return v, nil
}

// LicenceText implements api.Service.
func (b *Backend) LicenceText(_ context.Context, module string) (api.LicenceText, error) {
	text, err := about.Text(module)
	if err != nil {
		return api.LicenceText{}, explain(err)
	}
	if text == "" {
		return api.LicenceText{}, apierror.Invalid("path", "the licence of %q is not part of this program", module)
	}
	return api.LicenceText{Path: module, Text: text}, nil
}

// reportLines and reportRequests are how much of the past goes into a report.
const (
	reportLines    = 1000
	reportRequests = 100
)

// Support implements api.Service. What a file shows is listed member by member: what is new stays out until somebody
// decides otherwise. Whatever has the shape of a secret is taken out once more at the end.
func (b *Backend) Support(ctx context.Context) ([]api.SupportFile, error) {
	status, err := b.Status(ctx)
	if err != nil {
		return nil, err
	}
	aboutView, err := b.About(ctx)
	if err != nil {
		return nil, err
	}
	status.ConfigPath, status.DatabasePath, status.LogDir, status.Reasons = "", "", "", nil
	findings, err := b.Doctor(ctx)
	if err != nil {
		return nil, err
	}
	hide := b.hider()
	for i := range findings {
		f := &findings[i]
		f.Title, f.Detail, f.Fix, f.Params = hide(f.Title), hide(f.Detail), hide(f.Fix), nil // the sentences hold them
	}
	requests, err := b.reportedRequests(ctx)
	if err != nil {
		return nil, err
	}
	var lines strings.Builder
	for _, l := range b.log.Lines(0, reportLines) {
		fmt.Fprintf(&lines, "%s %s %s %s", l.Time.Format(time.RFC3339), l.Level, l.Package, l.Msg)
		for _, a := range l.Attrs {
			fmt.Fprintf(&lines, " %s=%q", a.Key, a.Value)
		}
		lines.WriteByte('\n')
	}
	files := []api.SupportFile{
		{Name: "status.json", About: "Version and state of Patchbay", Data: asJSON(struct {
			Status api.Status    `json:"status"`
			About  api.AboutView `json:"about"`
		}{status, aboutView})},
		{Name: "doctor.json", About: "What the checks found", Data: asJSON(findings)},
		{Name: "settings.json", About: "Settings that differ from their defaults; texts of your own are left out", Data: asJSON(b.reportedSettings())},
		{Name: "accounts.json", About: "How many accounts of which provider are in which state, without their names", Data: asJSON(b.reportedAccounts())},
		{Name: "requests.json", About: "The latest requests: times, models, results; no text, no account", Data: asJSON(requests)},
		{Name: "log.txt", About: "The latest lines of the log", Data: []byte(hide(lines.String()))},
	}
	for i := range files {
		files[i].Data = []byte(logging.Redact(string(files[i].Data)))
		files[i].Size = len(files[i].Data)
	}
	return files, nil
}

func asJSON(v any) []byte {
	b, err := json.Marshal(v, jsontext.WithIndent("  "))
	if err != nil {
		return []byte("cannot be shown")
	}
	return append(b, '\n')
}

// hider takes names of accounts and persons, and the folder of this person, out of texts.
func (b *Backend) hider() func(string) string {
	var pairs []string
	add := func(text, instead string) {
		if len(text) > 2 {
			pairs = append(pairs, text, instead)
		}
	}
	for i, a := range b.accounts.List() {
		instead := fmt.Sprintf("account-%d", i+1)
		add(a.Name, instead)
		add(a.Identity, instead)
	}
	for i, k := range b.keys.List() {
		add(k.Name, fmt.Sprintf("key-%d", i+1))
	}
	if home, err := os.UserHomeDir(); err == nil {
		add(home, "~")
	}
	return strings.NewReplacer(pairs...).Replace
}

type reportedSetting struct {
	Key    string `json:"setting"`
	Value  any    `json:"value,omitempty"`
	Source string `json:"source"`
}

func (b *Backend) reportedSettings() []reportedSetting {
	out := []reportedSetting{}
	for _, f := range b.settings.Describe("") {
		v := settingView(f)
		if v.Source == "default" {
			continue
		}
		r := reportedSetting{Key: v.Key, Source: v.Source}
		switch v.Kind {
		case "switch", "number", "duration", "size":
			r.Value = v.Value
		default: // names, addresses and texts are the person's own, unless there is a choice of them
			if len(v.Allowed) > 0 || v.Key == "default_provider" {
				r.Value = v.Value
			}
		}
		out = append(out, r)
	}
	return out
}

type reportedAccount struct {
	Provider string `json:"provider"`
	State    string `json:"state"`
	Owner    string `json:"owner,omitempty"`
	Login    string `json:"login,omitempty"`
	Count    int    `json:"count"`
}

func (b *Backend) reportedAccounts() []reportedAccount {
	out := []reportedAccount{}
	for _, a := range b.accounts.List() {
		r := reportedAccount{Provider: a.Provider, State: string(a.State), Owner: string(a.Owner), Login: a.Login}
		i := slices.IndexFunc(out, func(o reportedAccount) bool { o.Count = 0; return o == r })
		if i < 0 {
			i, out = len(out), append(out, r)
		}
		out[i].Count++
	}
	return out
}

type reportedRequest struct {
	ID         string     `json:"id"`
	At         time.Time  `json:"at"`
	Client     string     `json:"client"`
	Op         string     `json:"op,omitempty"`
	Stream     bool       `json:"stream"`
	Asked      string     `json:"asked"`
	Provider   string     `json:"provider,omitempty"`
	Model      string     `json:"model,omitempty"`
	Attempts   int        `json:"attempts"`
	Status     int        `json:"status"`
	Kind       string     `json:"kind,omitempty"`
	Tokens     api.Tokens `json:"tokens"`
	FirstMS    int64      `json:"first_ms"`
	DurationMS int64      `json:"duration_ms"`
	Dropped    []string   `json:"dropped,omitempty"`
}

func (b *Backend) reportedRequests(ctx context.Context) ([]reportedRequest, error) {
	page, err := b.Requests(ctx, api.RequestQuery{Limit: reportRequests})
	out := []reportedRequest{}
	for _, r := range page.Items {
		out = append(out, reportedRequest{
			r.ID, r.At, r.Client, r.Op, r.Stream, r.Asked, r.Provider, r.Model, r.Attempts, r.Status, r.Kind, r.Tokens, r.FirstMS, r.DurationMS, r.Dropped,
		})
	}
	return out, err
}
