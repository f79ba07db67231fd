package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"patchbay/backend/api"
	"patchbay/backend/internal/testkit"
)

// A limit of waiting, and what a service does so that it is reached.
var waitingLimits = []struct {
	name, scenario, value string
	stream                bool
	begun                 bool // content has gone out before
}{
	{"first_event", "first_byte:delay=2m", "150ms", true, false},
	{"one_piece", "first_byte:delay=2m", "150ms", false, false},
	{"idle", "silence:after=1,for=2m", "300ms", true, true},
	{"idle", "silence:after=1,for=2m", "300ms", false, false},
	{"total", "silence:after=1,for=2m", "1500ms", true, true},
	{"total", "first_byte:delay=2m", "150ms", false, false},
}

// client is a protocol as an app uses it: its path, its body, and how the ends of its streams and its errors look.
type client struct {
	path, streamed string // the body of trapClients goes on with streamed
	ends           []string
	kind           string // of the error, somewhere in it
}

var waitingClients = []client{
	{chatPath, `,"stream":true}`, []string{"data: [DONE]", `data: {"error":`}, "server_error"},
	{messagesPath, `,"stream":true}`, []string{"event: message_stop", "event: error"}, "timeout_error"},
	{responsesPath, `,"stream":true}`, []string{"event: response.completed", "event: response.incomplete", "event: response.failed", "event: error"}, "server_error"},
	{"/v1beta/models/MODEL:generateContent", `}`, []string{`"finishReason"`, `data: {"error":`}, "DEADLINE_EXCEEDED"},
	{"/api/chat", `,"stream":true}`, []string{`"done":true`, `{"error":`}, ""},
}

// TestTimeLimitsAreNamed has a service keep each of the limits waiting, set for all providers and for one, and looks at what
// apps of all protocols are told, and at the log. The settings change while Patchbay runs.
func TestTimeLimitsAreNamed(t *testing.T) {
	b := testkit.Start(t, testkit.Options{Accounts: map[string][]string{"compat": {"sk-sim-one"}}})
	for _, where := range []string{"timeouts.", "providers.compat.timeouts."} {
		for _, limit := range waitingLimits {
			name := where + limit.name
			if limit.stream {
				name += ", stream"
			}
			t.Run(name, func(t *testing.T) {
				key := where + limit.name
				change(t, b, map[string]any{key: limit.value})
				defer change(t, b, map[string]any{key: nil})
				for _, c := range waitingClients {
					rested(t, b)
					resp, text := c.ask(t, b, limit.scenario, limit.stream)
					want := http.StatusGatewayTimeout
					if limit.begun {
						want = http.StatusOK
					}
					if resp.StatusCode != want {
						t.Errorf("%s: %s %s", c.path, resp.Status, text)
					}
					holds(t, c.path, text, "(time limit "+limit.name+")", c.kind)
					if n := c.endings(text); limit.begun && n != 1 {
						t.Errorf("%s: %d ends in %s", c.path, n, text)
					}
					logged(t, b, resp, limit.name, limit.begun)
				}
			})
		}
	}
}

// ask sends a request to compat.
func (c client) ask(t *testing.T, b *testkit.Bay, scenario string, stream bool) (*http.Response, string) {
	t.Helper()
	path, body := c.path, trapClients[c.path]
	if stream {
		path = strings.Replace(path, ":generateContent", ":streamGenerateContent?alt=sse", 1)
		body = strings.Replace(body, `"stream":false,`, "", 1)
		body = strings.TrimSuffix(body, "}") + c.streamed
	}
	fill := strings.NewReplacer("MODEL", "sim-chat", "PROMPT", "[["+scenario+"]] x")
	return b.Do(t, http.MethodPost, "/compat"+fill.Replace(path), fill.Replace(body))
}

// endings counts the terminal events of a stream.
func (c client) endings(text string) (n int) {
	for line := range strings.Lines(text) {
		if slices.ContainsFunc(c.ends, func(end string) bool {
			return strings.HasPrefix(line, end) || strings.HasPrefix(end, `"`) && strings.Contains(line, end)
		}) {
			n++
		}
	}
	return n
}

// logged checks the row of a request, and the way in it.
func logged(t *testing.T, b *testkit.Bay, resp *http.Response, limit string, begun bool) {
	t.Helper()
	id := resp.Header.Get("X-Patchbay-Request-Id")
	var row api.RequestDetail
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) { // rows are written a moment later
		if row, err := b.Backend.Request(t.Context(), id); err == nil && row.State != "running" || time.Now().After(deadline) {
			break
		}
	}
	row = must(b.Backend.Request(t.Context(), id))(t)
	if row.State != "failed" || row.Kind != "timeout" || !strings.Contains(row.Message, "time limit "+limit) || row.Attempts != 1 || begun != (row.FirstMS >= 0) {
		t.Errorf("the log has %+v", row.RequestView)
	}
	way, err := json.Marshal(row.Trace)
	if err != nil || strings.Count(string(way), "(time limit "+limit+")") < 1 {
		t.Errorf("the way does not name the limit: %s", way)
	}
}

func change(t *testing.T, b *testkit.Bay, values map[string]any) {
	t.Helper()
	if _, err := b.Backend.ChangeSettings(t.Context(), values); err != nil {
		t.Fatal(err)
	}
}

// TestTimeLimitsCanBeOffOrLonger checks that no limit is left where the person wants none, and that a provider's own limit
// comes before the one for all.
func TestTimeLimitsCanBeOffOrLonger(t *testing.T) {
	b := testkit.Start(t, testkit.Options{
		Accounts: map[string][]string{"compat": {"sk-sim-one"}},
		Config:   "timeouts: {first_event: 50ms, one_piece: 50ms, idle: 50ms, total: 100ms}\n",
	})
	slow := "silence:first_byte=300ms,after=1,for=300ms"
	answers := func(what string) {
		t.Helper()
		for _, c := range waitingClients {
			for _, stream := range []bool{true, false} {
				rested(t, b)
				resp, text := c.ask(t, b, slow, stream)
				if n := c.endings(text); resp.StatusCode != http.StatusOK || stream && n != 1 || strings.Contains(text, "time limit") {
					t.Errorf("%s: %s, stream %v: %s, %d ends in %s", what, c.path, stream, resp.Status, n, text)
				}
			}
		}
	}
	if resp, text := waitingClients[0].ask(t, b, slow, true); resp.StatusCode != http.StatusGatewayTimeout || !strings.Contains(text, "time limit") {
		t.Fatalf("the limits for all do not hold: %s %s", resp.Status, text)
	}
	own := map[string]any{}
	for _, name := range []string{"first_event", "one_piece", "idle", "total"} {
		own["providers.compat.timeouts."+name] = "2m"
	}
	change(t, b, own)
	answers("the provider's own limits")
	for key := range own {
		own[key] = nil
		own[strings.TrimPrefix(key, "providers.compat.")] = "off"
	}
	change(t, b, own)
	answers("no limits")
}
