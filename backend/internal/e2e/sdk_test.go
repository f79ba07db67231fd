package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"patchbay/backend/internal/testkit"
	"patchbay/backend/simulator"
)

// ask is one request in words that both client protocols have. A library's own form of it is made by the natives.
type ask struct {
	Model, System string
	Messages      []turn
	Tools         []toolDef
	Choice        string // auto, none, required, or a tool's name
	NoParallel    bool
	Schema        string // structured output
	Stop          []string
	Max           int
	Temperature   *float64
	TopP          *float64
	Seed          *int
	Think         int // budget in tokens
	Effort        string
	Stream        bool
	Leave         bool // go away after the first piece
	Extra         map[string]any
}

// turn is one message. Raw is an assistant message as the library gave it.
type turn struct {
	Role    string // user, assistant
	Text    string
	Image   string // data: or http URL
	PDF     string // base64
	Results []toolResult
	Raw     json.RawMessage
}

type toolResult struct {
	ID, Name, Text string
	Image          string // data URL
	Failed         bool
}

type toolDef struct{ Name, Description, Schema string }

// answer is what a library made of Patchbay's answer.
type answer struct {
	Text      string          `json:"text"`
	Reasoning string          `json:"reasoning"`
	Calls     []toolCall      `json:"calls"`
	Finish    string          `json:"finish"` // as the protocol says it
	In        int             `json:"in"`
	Out       int             `json:"out"`
	Cached    int             `json:"cached"`
	Thought   int             `json:"thought"`
	Model     string          `json:"model"`
	Pieces    int             `json:"pieces"` // of text, when streamed
	Raw       json.RawMessage `json:"raw"`    // the assistant message, to go back
	Err       *failure        `json:"err"`
}

type toolCall struct {
	ID   string          `json:"id"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"args"`
}

// failure is an error as the library's user sees it.
type failure struct {
	Status  int    `json:"status"` // 0 in the middle of a stream
	Type    string `json:"type"`
	Message string `json:"message"`
	Retry   string `json:"retry"` // Retry-After
	Library string `json:"library"`
}

func (f *failure) String() string {
	if f == nil {
		return "no error"
	}
	return fmt.Sprintf("%d %s %q (%s)", f.Status, f.Type, f.Message, f.Library)
}

// library is an official SDK.
type library interface {
	name() string
	format() string // openai, anthropic, responses, gemini or ollama
	ask(ctx context.Context, base, key string, a ask) answer
	models(ctx context.Context, base, key string) ([]string, error)
	count(ctx context.Context, base, key string, a ask) (int, error) // -1: the protocol has none
}

// upstream is a column of the matrix.
type upstream struct {
	id            string // provider, and name of the simulated service
	format        string
	plain         string // a model without reasoning
	thinking      string // one with
	showsThinking bool   // the protocol carries the reasoning's text
	inside        string // the member of its body that holds what the format names; "" = the body itself
	bare          string // why it takes no token limit and no sampling numbers; "" = it does
}

var upstreams = []upstream{
	{id: "openai", format: "openai", plain: "gpt-4.1", thinking: "gpt-5.5"},
	{id: "compat", format: "openai", plain: "sim-chat", thinking: "sim-chat", showsThinking: true},
	{id: "anthropic", format: "anthropic", plain: "claude-sonnet-4-5", thinking: "claude-sonnet-4-5", showsThinking: true},
	{id: "openai-responses", format: "responses", plain: "gpt-4.1", thinking: "gpt-5.5", showsThinking: true},
	{id: "gemini", format: "gemini", plain: "gemini-2.5-flash", thinking: "gemini-3-pro-preview", showsThinking: true},
	{id: "home-ollama", format: "ollama", plain: "qwen3-vl:8b", thinking: "qwen3:8b", showsThinking: true},
	{id: "gemini-cli", format: "gemini", plain: "gemini-2.5-pro", thinking: "gemini-3-pro-preview", showsThinking: true, inside: "request"},
	{id: "antigravity", format: "gemini", plain: "gemini-3-flash-agent", thinking: "claude-opus-4-6-thinking", showsThinking: true, inside: "request"},
	{id: "qwen-code", format: "openai", plain: "coder-model", thinking: "coder-model", showsThinking: true},
	{id: "iflow", format: "openai", plain: "qwen3-coder-plus", thinking: "deepseek-v3.2", showsThinking: true},
	{id: "codex", format: "responses", plain: "gpt-5.5", thinking: "gpt-5.5", showsThinking: true, bare: "ChatGPT's service takes neither limits nor sampling numbers"},
	{id: "kiro", format: "kiro", plain: "claude-sonnet-4.5", thinking: "claude-sonnet-4.5", showsThinking: true, bare: "Kiro takes neither limits nor sampling numbers"},
}

// byKey are the columns whose accounts are keys: one for each protocol, and a compatible service.
var byKey = upstreams[:6]

// accounts is one account of the column's provider.
func (u upstream) accounts() map[string][]string {
	if u.id == "codex" || u.id == "qwen-code" || u.id == "iflow" {
		return map[string][]string{u.id: {"ann@example.test"}} // who signs in
	}
	all := testkit.Every()
	maps.Copy(all, testkit.Assist())
	return map[string][]string{u.id: all[u.id]}
}

// vendor reports whether a service speaks OpenAI Chat in a way of its own.
func (u upstream) vendor() bool { return u.format == "openai" && u.id != "openai" }

func (u upstream) sim() string {
	if u.id == "compat" {
		return simulator.Compatible
	}
	if u.format == "openai" || u.id == "codex" || u.inside != "" {
		return u.id
	}
	return u.format // the simulated services of the other protocols bear their names
}

// cell is one field of the matrix while it runs.
type cell struct {
	*testing.T
	bay *testkit.Bay
	lib library
	up  upstream
	na  string

	pictures string // address of a server with a picture
}

func (c *cell) base() string { return c.bay.URL + "/" + c.up.id }

// ask sends a and returns what the library saw and what the upstream got.
func (c *cell) ask(a ask) (answer, map[string]any) {
	c.Helper()
	if a.Model == "" {
		a.Model = c.up.plain
	}
	if a.Max == 0 {
		a.Max = 4096
	}
	c.bay.Sim.Reset()
	out := c.lib.ask(c.Context(), c.base(), c.bay.Key, a)
	return out, c.got()
}

// got is the body that the upstream received last; nil if it received none.
func (c *cell) got() map[string]any {
	c.Helper()
	all := c.bay.Sim.Requests()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Upstream == c.up.sim() && all[i].Method == "POST" {
			if all[i].Refused != "" {
				c.Errorf("the upstream refused the request: %s\n%s", all[i].Refused, all[i].Body)
			}
			var body map[string]any
			if err := json.Unmarshal(all[i].Body, &body); err != nil {
				c.Fatal(err)
			}
			if within, ok := body[c.up.inside].(map[string]any); ok {
				within["model"] = body["model"]
				return within
			}
			return body
		}
	}
	return nil
}

// good fails the cell unless the answer is one.
func (c *cell) good(a answer) answer {
	c.Helper()
	if a.Err != nil {
		c.Fatalf("%s", a.Err)
	}
	return a
}

// impossible marks a cell that cannot work and checks that the client is told so clearly.
func (c *cell) impossible(a answer, reason, word string) {
	c.Helper()
	if a.Err == nil || a.Err.Status != 400 || !strings.Contains(a.Err.Message, word) {
		c.Errorf("wanted a 400 that says %q: %s", word, a.Err)
	}
	c.na = reason
}

func said(texts ...string) []turn {
	out := make([]turn, len(texts))
	for i, t := range texts {
		out[i] = turn{Role: []string{"user", "assistant"}[i%2], Text: t}
	}
	return out
}

// libraries are the official SDKs: those in JavaScript when PATCHBAY_E2E is set, else those in Go.
func libraries(t *testing.T) []library {
	t.Helper()
	if os.Getenv("PATCHBAY_E2E") == "" {
		t.Log("The JavaScript libraries are left out; `make e2e` runs them.")
		return []library{goOpenAI{}, goResponses{}, goAnthropic{}, goGenAI{}}
	}
	js := startJS(t)
	return []library{js.library("js openai", "openai"), js.library("js openai responses", "responses"), js.library("js anthropic", "anthropic"),
		js.library("js genai", "gemini"), js.library("js ollama", "ollama"),
		js.library("ai openai-compatible", "openai"), js.library("ai openai", "responses"), js.library("ai anthropic", "anthropic"), js.library("ai google", "gemini")}
}

// columns are the services that a library is tried with: all of them once for each protocol, those by key for the others.
func columns(lib library) []upstream {
	if _, js := lib.(jsLibrary); js && lib.format() != "ollama" {
		return byKey
	}
	return upstreams
}

// TestSDKMatrix asks every question through every library at every upstream, and prints the result as a table. Both sides
// are looked at: what the library returned and what the upstream received.
func TestSDKMatrix(t *testing.T) {
	libs := libraries(t)
	pictures := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/png")
		data, _ := base64.StdEncoding.DecodeString(png) // a constant
		_, _ = w.Write(data)                            // the test sees what does not arrive
	}))
	t.Cleanup(pictures.Close)
	type field struct{ result, reason string }
	table := map[string]map[string]field{}
	for _, lib := range libs {
		for _, up := range columns(lib) {
			column := lib.name() + " -> " + up.id
			table[column] = map[string]field{}
			t.Run(column, func(t *testing.T) {
				bay := testkit.Start(t, testkit.Options{Accounts: up.accounts(), Config: "media:\n  allowed_hosts: [" + strings.TrimPrefix(pictures.URL, "http://") + "]\n"})
				for _, k := range cases {
					c := &cell{pictures: pictures.URL, bay: bay, lib: lib, up: up}
					ok := t.Run(k.name, func(t *testing.T) {
						c.T = t
						k.run(c)
					})
					f := field{result: "ok"}
					switch {
					case !ok:
						f.result = "FAIL"
					case c.na != "":
						f = field{"n/a", c.na}
					}
					table[column][k.name] = f
				}
			})
		}
	}
	columns := slices.Sorted(maps.Keys(table))
	var b strings.Builder
	for i, column := range columns {
		fmt.Fprintf(&b, "%2d  %s\n", i+1, column)
	}
	fmt.Fprintf(&b, "\n%-44s", "")
	for i := range columns {
		fmt.Fprintf(&b, "%5d", i+1)
	}
	reasons := map[string]bool{}
	for _, k := range cases {
		fmt.Fprintf(&b, "\n%-44s", k.name)
		for _, column := range columns {
			f := table[column][k.name]
			fmt.Fprintf(&b, "%5s", f.result)
			if f.reason != "" {
				reasons[k.name+": "+f.reason] = true
			}
		}
	}
	fmt.Fprintf(&b, "\n\nn/a:\n")
	for _, r := range slices.Sorted(maps.Keys(reasons)) {
		fmt.Fprintf(&b, "  %s\n", r)
	}
	fmt.Println(b.String())
}

// png is an image of one red pixel.
const png = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVQI12P4z8AAAAMBAQAY3Y2wAAAAAElFTkSuQmCC"

var pdf = base64.StdEncoding.EncodeToString([]byte("%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"))

var lookTool = toolDef{"get_weather", "Tells the weather of a city", `{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}`}
