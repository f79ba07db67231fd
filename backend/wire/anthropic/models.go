package anthropic

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// known is the dated table of Claude models: limits and thinking as listed by CLIProxyAPI's model registry (2026-08).
// The numbers of the newest models are that project's; a live list overrides them. The first prefix that fits counts.
var known = []struct {
	prefix             string
	context, maxOutput int64
	efforts            []string
	budgetMax          int64
	traits             trait
}{
	{"claude-opus-5", 1_000_000, 128_000, effortsFull, 0, newest},
	{"claude-sonnet-5", 1_000_000, 128_000, effortsFull, 0, newest},
	{"claude-fable-5", 1_000_000, 128_000, effortsFull, 128_000, newest},
	{"claude-opus-4-8", 1_000_000, 128_000, effortsFull, 128_000, newest},
	{"claude-opus-4-7", 1_000_000, 128_000, effortsFull, 128_000, newest &^ midSystem},
	{"claude-opus-4-6", 1_000_000, 128_000, efforts46, 128_000, schema | noPrefill},
	{"claude-sonnet-4-6", 200_000, 64_000, efforts46, 128_000, schema | noPrefill},
	{"claude-opus-4-5", 200_000, 64_000, nil, 128_000, schema},
	{"claude-sonnet-4-5", 200_000, 64_000, nil, 128_000, schema},
	{"claude-haiku-4-5", 200_000, 64_000, nil, 128_000, schema},
	{"claude-opus-4", 200_000, 32_000, nil, 32_000, 0},
	{"claude-sonnet-4", 200_000, 64_000, nil, 64_000, 0},
	{"claude-3-7-sonnet", 128_000, 8_192, nil, 8_192, old},
	{"claude-3-5-haiku", 128_000, 8_192, nil, 0, noThinking | old},
	{"claude-3", 200_000, 4_096, nil, 0, noThinking | old},
}

var (
	effortsFull = []string{"low", "medium", "high", "xhigh", "max"}
	efforts46   = []string{"low", "medium", "high", "max"}
)

// trait is what distinguishes generations of Claude models beyond numbers.
type trait uint8

const (
	schema     trait = 1 << iota // output_config.format
	midSystem                    // system messages in the middle (the vendor's page: Opus 4.8 and newer, own API only)
	noSampling                   // refuses temperature, top_p and top_k (claude-code 2.1.197 sends none to these)
	noPrefill                    // refuses a conversation that ends with the assistant
	noThinking
	old // takes temperature and top_p together

	newest = schema | midSystem | noSampling | noPrefill
)

// minBudget is the least number of thinking tokens that the API takes.
const minBudget = 1024

// bare returns a model's name as it stands in the table: without a route before it, in lower case, with dashes.
func bare(id string) string {
	id = strings.ToLower(id)
	if i := strings.Index(id, "claude-"); i > 0 {
		id = id[i:]
	}
	return strings.ReplaceAll(id, ".", "-")
}

func traitsOf(id string) (trait, bool) {
	b := bare(id)
	for i := range known {
		if strings.HasPrefix(b, known[i].prefix) {
			return known[i].traits, true
		}
	}
	if isClaude(id) { // a name made after the table: most likely like the newest
		return newest, false
	}
	return 0, false
}

func isClaude(id string) bool { return strings.Contains(strings.ToLower(id), "claude") }

// KnownModel returns what is known of a model by its name. A Claude name that is newer than the table is taken to be like
// the newest; of any other name only the ID is set.
func KnownModel(id string) canon.Model {
	m := canon.Model{ID: id}
	if !isClaude(id) {
		return m
	}
	m.Tools, m.Images, m.Documents, m.Audio, m.Embeddings = canon.Yes, canon.Yes, canon.Yes, canon.No, canon.No
	m.Thinking, m.Sampling, m.Schema = canon.Yes, canon.Yes, canon.No
	traits, ok := traitsOf(id)
	if traits&schema != 0 {
		m.Schema = canon.Yes
	}
	if traits&noSampling != 0 {
		m.Sampling = canon.No
	}
	if traits&noThinking != 0 {
		m.Thinking = canon.No
	}
	if !ok {
		m.Efforts = effortsFull
		return m
	}
	b := bare(id)
	for i := range known {
		k := &known[i]
		if !strings.HasPrefix(b, k.prefix) {
			continue
		}
		m.Context, m.MaxOutput, m.Efforts = k.context, k.maxOutput, k.efforts
		if k.budgetMax > 0 {
			m.BudgetMin, m.BudgetMax = minBudget, k.budgetMax
		}
		break
	}
	return m
}

// facts returns what is known of the model that req goes to: the table, and over it what the driver knows.
func facts(req *canon.Request) canon.Model {
	m := KnownModel(req.Model)
	f := req.Facts
	if f.MaxOutput > 0 {
		m.MaxOutput = f.MaxOutput
	}
	if f.Context > 0 {
		m.Context = f.Context
	}
	if len(f.Efforts) > 0 {
		m.Efforts = f.Efforts
	}
	if f.BudgetMax > 0 {
		m.BudgetMin, m.BudgetMax = f.BudgetMin, f.BudgetMax
	}
	for _, k := range []struct{ dst, v *canon.Known3 }{
		{&m.Thinking, &f.Thinking}, {&m.Sampling, &f.Sampling}, {&m.Schema, &f.Schema}, {&m.Images, &f.Images}, {&m.Documents, &f.Documents},
	} {
		if *k.v != canon.Unknown {
			*k.dst = *k.v
		}
	}
	return m
}

// Page says whether a model list goes on; the next page is asked with after_id.
type Page struct {
	More   bool
	LastID string
}

// ParseModels reads a model list of an upstream, also in the other shapes that compatible services use. What the list
// does not say is filled from the table of known models.
func ParseModels(body []byte) ([]canon.Model, Page, error) {
	type entry struct {
		ID        string `json:"id"`
		Name      string `json:"name"`
		Model     string `json:"model"`
		Display   string `json:"display_name"`
		CreatedAt string `json:"created_at"`
		Created   int64  `json:"created"`
		MaxInput  int64  `json:"max_input_tokens"`
		MaxOutput int64  `json:"max_tokens"`
		Context   int64  `json:"context_length"`
	}
	var list struct {
		Data   []entry `json:"data"`
		Models []entry `json:"models"`
		More   bool    `json:"has_more"`
		LastID string  `json:"last_id"`
	}
	var err error
	if bytes.HasPrefix(bytes.TrimSpace(body), []byte("[")) {
		err = json.Unmarshal(body, &list.Data, wire.Lenient)
	} else {
		err = json.Unmarshal(body, &list, wire.Lenient)
	}
	if err != nil {
		return nil, Page{}, &apierror.Error{Kind: apierror.Upstream5xx, Msg: "the service's model list could not be read", Err: err}
	}
	var out []canon.Model
	for _, e := range append(list.Data, list.Models...) {
		id := strings.TrimPrefix(firstOf(e.ID, e.Name, e.Model), "models/")
		if id == "" {
			continue
		}
		m := KnownModel(id)
		m.Name, m.Created = e.Display, e.Created
		if t, err := time.Parse(time.RFC3339, e.CreatedAt); err == nil {
			m.Created = t.Unix()
		}
		if n := max(e.MaxInput, e.Context); n > 0 {
			m.Context = n
		}
		if e.MaxOutput > 0 {
			m.MaxOutput = e.MaxOutput
		}
		out = append(out, m)
	}
	return out, Page{More: list.More, LastID: list.LastID}, nil
}

func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// Sizes of a page of the model list, as the vendor has them.
const (
	defaultPage = 20
	maxPage     = 1000
)

// discovered stands before the names of models of other makers in the list for Claude Code: it keeps only names that
// begin with claude or anthropic (2.1.197), and sends them back as they are.
const discovered = "claude-via/"

// forDiscovery gives every model a name that Claude Code keeps, if it is what asks.
func forDiscovery(r *http.Request, models []canon.Model) []canon.Model {
	if r == nil || !strings.HasPrefix(r.UserAgent(), "claude-code/") {
		return models
	}
	models = slices.Clone(models)
	for i := range models {
		m := &models[i]
		if id := strings.ToLower(m.ID); !strings.HasPrefix(id, "claude") && !strings.HasPrefix(id, "anthropic") {
			m.Name, m.ID = firstOf(m.Name, m.ID), discovered+m.ID
		}
	}
	return models
}

// AppendModels renders the model list, or the page of it that limit, after_id and before_id ask for.
func (Codec) AppendModels(dst []byte, r *http.Request, models []canon.Model) ([]byte, error) {
	models = forDiscovery(r, models)
	page, more := pageOf(r, models)
	w := writer{b: append(dst, '{')}
	w.begin("data", '[')
	for i := range page {
		w.sep()
		w.b = appendModel(w.b, &page[i])
	}
	w.close(']')
	w.bool("has_more", more)
	if len(page) > 0 {
		w.str("first_id", page[0].ID)
		w.str("last_id", page[len(page)-1].ID)
	} else {
		w.raw("first_id", jsontext.Value("null"))
		w.raw("last_id", jsontext.Value("null"))
	}
	w.close('}')
	return w.b, nil
}

func pageOf(r *http.Request, models []canon.Model) (page []canon.Model, more bool) {
	limit, after, before := defaultPage, "", ""
	if r != nil && r.URL != nil {
		q := r.URL.Query()
		after, before = q.Get("after_id"), q.Get("before_id")
		if n, err := strconv.Atoi(q.Get("limit")); err == nil {
			limit = min(max(n, 1), maxPage)
		}
	}
	for i := range models {
		if after != "" && models[i].ID == after {
			models = models[i+1:]
			break
		}
	}
	for i := range models {
		if before != "" && models[i].ID == before {
			models = models[:i]
			cut := max(len(models)-limit, 0)
			return models[cut:], cut > 0
		}
	}
	if len(models) > limit {
		return models[:limit], true
	}
	return models, false
}

// AppendModel renders one entry of the model list.
func (Codec) AppendModel(dst []byte, _ *http.Request, m canon.Model) ([]byte, error) {
	return appendModel(dst, &m), nil
}

func appendModel(dst []byte, m *canon.Model) []byte {
	w := writer{b: append(dst, '{')}
	w.str("type", "model")
	w.str("id", m.ID)
	w.str("display_name", firstOf(m.Name, m.ID))
	w.str("created_at", time.Unix(m.Created, 0).UTC().Format(time.RFC3339))
	if m.Context > 0 {
		w.int("max_input_tokens", m.Context)
	}
	if m.MaxOutput > 0 {
		w.int("max_tokens", m.MaxOutput)
	}
	w.close('}')
	return w.b
}
