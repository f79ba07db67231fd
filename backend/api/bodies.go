package api

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/record"
)

// BodyService is the part of Service that concerns requests and answers that were kept whole.
type BodyService interface {
	// RequestBodies returns both sides of a request, before and after the conversion, if they were kept.
	RequestBodies(ctx context.Context, id string) (RequestBodies, error)
	// ReplayRequest sends a kept request again and returns the new one's id at once.
	ReplayRequest(ctx context.Context, id string) (Replayed, error)
	// PreviewDataset says what a data set would hold, with its first lines.
	PreviewDataset(ctx context.Context, q DatasetQuery) (DatasetPreview, error)
	// ExportDataset writes a data set, a line of JSON for each request.
	ExportDataset(ctx context.Context, q DatasetQuery, w io.Writer) error
}

// BodyMessage is one body with what came before it.
type BodyMessage = record.Message

// BodyCall is one call to a service.
type BodyCall = record.Exchange

// BodyChat is a conversation in the form of OpenAI's chat protocol.
type BodyChat = record.Chat

// RequestBodies are both sides of one request. Credentials were taken out before anything was kept.
type RequestBodies struct {
	ID      string      `json:"id"`
	Format  string      `json:"format,omitempty"` // wire format of the client
	Op      string      `json:"op,omitempty"`
	Request BodyMessage `json:"request"` // as the client sent it
	Calls   []BodyCall  `json:"calls"`   // what services were sent, and answered
	Answer  BodyMessage `json:"answer"`  // as the client got it
	Chat    *BodyChat   `json:"chat,omitempty"`
	Curl    string      `json:"curl,omitempty"` // a command that sends the request again, with a placeholder for the key
	Replay  bool        `json:"replay"`         // it can be sent again
}

// Replayed is a request that was sent again.
type Replayed struct {
	ID       string `json:"id"`       // of the new request
	Redacted bool   `json:"redacted"` // it went without what was taken out of the old one
}

// DatasetQuery says what goes into a data set. Credentials never do.
type DatasetQuery struct {
	Format      string    `json:"format" oneof:"chat,raw"`
	Since       time.Time `json:"since,omitzero"`
	Until       time.Time `json:"until,omitzero"`
	Provider    string    `json:"provider,omitempty"`
	Account     string    `json:"account,omitempty"`
	Model       string    `json:"model,omitempty"`
	Key         string    `json:"key,omitempty"`
	SuccessOnly bool      `json:"success_only,omitzero"`
	MinTurns    int       `json:"min_turns,omitzero"` // messages of the user
	Emails      bool      `json:"redact_emails,omitzero"`
	Phones      bool      `json:"redact_phones,omitzero"`
	Paths       bool      `json:"redact_paths,omitzero"` // names of persons in paths
	Limit       int       `json:"limit,omitzero"`        // lines of a preview, 5 if not given
}

// DatasetPreview is the beginning of a data set.
type DatasetPreview struct {
	Kept    int              `json:"kept"`    // requests whose bodies are there
	Matched int              `json:"matched"` // of them
	Lines   int              `json:"lines"`   // in the data set; fewer where a conversation could not be put together
	Bytes   int64            `json:"bytes"`
	Sample  []jsontext.Value `json:"sample"`
}

// MaxPreview is the most lines of a preview.
const MaxPreview = 50

var bodyEndpoints = []endpoint{
	{pattern: "GET /api/requests/{id}/bodies", call: getBodies, gives: of[RequestBodies](), about: "Both sides of a request, before and after the conversion"},
	{pattern: "POST /api/requests/{id}/replay", call: replay, gives: of[Replayed](), status: http.StatusAccepted, about: "Sends a kept request again"},
	{pattern: "POST /api/dataset/preview", call: previewDataset, takes: of[DatasetQuery](), gives: of[DatasetPreview](), about: "What a data set would hold"},
	{pattern: "POST /api/dataset/export", raw: exportDataset, takes: of[DatasetQuery](), media: "application/jsonl", about: "A data set, a line of JSON for each request"},
}

func getBodies(svc Service, r *http.Request) (any, error) {
	b, err := svc.RequestBodies(r.Context(), r.PathValue("id"))
	if b.Calls == nil {
		b.Calls = []BodyCall{}
	}
	return b, err
}

func replay(svc Service, r *http.Request) (any, error) {
	return svc.ReplayRequest(r.Context(), r.PathValue("id"))
}

func datasetQuery(r *http.Request) (q DatasetQuery, err error) {
	if err = decode(r.Body, &q); err == nil {
		err = q.Check()
	}
	return q, err
}

// Check reports what cannot be asked for. The error is *apierror.Error and names the field.
func (q *DatasetQuery) Check() error {
	switch {
	case q.Format != record.DatasetChat && q.Format != record.DatasetRaw:
		return apierror.Invalid("format", "format is chat or raw")
	case q.MinTurns < 0:
		return apierror.Invalid("min_turns", "min_turns is a number from 0")
	case q.Limit < 0 || q.Limit > MaxPreview:
		return apierror.Invalid("limit", "limit is a number up to %d", MaxPreview)
	}
	return nil
}

func previewDataset(svc Service, r *http.Request) (any, error) {
	q, err := datasetQuery(r)
	if err != nil {
		return nil, err
	}
	p, err := svc.PreviewDataset(r.Context(), q)
	if p.Sample == nil {
		p.Sample = []jsontext.Value{}
	}
	return p, err
}

func exportDataset(h *handler, w http.ResponseWriter, r *http.Request) {
	q, err := datasetQuery(r)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/jsonl")
	w.Header().Set("Content-Disposition", `attachment; filename="patchbay-`+q.Format+`.jsonl"`)
	begun := &begun{w: w}
	if err := h.svc.ExportDataset(r.Context(), q, begun); err != nil {
		if !begun.wrote {
			w.Header().Del("Content-Disposition")
			fail(w, err)
			return
		}
		panic(http.ErrAbortHandler) // the file is cut: its end must not look like one
	}
}

// begun remembers whether anything was written.
type begun struct {
	w     io.Writer
	wrote bool
}

func (b *begun) Write(p []byte) (int, error) {
	b.wrote = true
	return b.w.Write(p)
}

// CurlOf returns a command that sends a kept request again to base. The key is a placeholder.
func CurlOf(base string, m BodyMessage) string {
	var b strings.Builder
	b.WriteString("curl -N " + shell(base+m.URL) + " \\\n  -H 'Authorization: Bearer YOUR_PATCHBAY_KEY'")
	names := make([]string, 0, len(m.Header))
	for name, value := range m.Header {
		low := strings.ToLower(name)
		if value != record.Hidden && (low == "content-type" || strings.HasPrefix(low, "anthropic-") || strings.HasPrefix(low, "openai-") || strings.HasPrefix(low, "x-patchbay-")) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		b.WriteString(" \\\n  -H " + shell(name+": "+m.Header[name]))
	}
	if m.Body != "" {
		b.WriteString(" \\\n  --data-binary " + shell(m.Body))
	}
	return b.String()
}

// shell quotes a text for a shell of POSIX.
func shell(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// RequestBodies implements Service.
func (c *Client) RequestBodies(ctx context.Context, id string) (RequestBodies, error) {
	return get[RequestBodies](ctx, c, "/api/requests/"+url.PathEscape(id)+"/bodies", nil)
}

// ReplayRequest implements Service.
func (c *Client) ReplayRequest(ctx context.Context, id string) (out Replayed, err error) {
	err = c.do(ctx, http.MethodPost, "/api/requests/"+url.PathEscape(id)+"/replay", nil, &out)
	return out, err
}

// PreviewDataset implements Service.
func (c *Client) PreviewDataset(ctx context.Context, q DatasetQuery) (out DatasetPreview, err error) {
	err = c.do(ctx, http.MethodPost, "/api/dataset/preview", q, &out)
	return out, err
}

// ExportDataset implements Service. It takes as long as it takes.
func (c *Client) ExportDataset(ctx context.Context, q DatasetQuery, w io.Writer) error {
	in, err := json.Marshal(q)
	if err != nil {
		return apierror.From(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+"/api/dataset/export", strings.NewReader(string(in)))
	if err != nil {
		return c.unreachable(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.token.Reveal())
	patient := *c.http
	patient.Timeout = 0
	resp, err := patient.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		b, _ := io.ReadAll(io.LimitReader(resp.Body, bodyLimit)) // the status says enough if it is cut
		return readFailure(resp.StatusCode, b)
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		return apierror.New(apierror.Transport, "the data set was cut short: %v", err)
	}
	return nil
}
