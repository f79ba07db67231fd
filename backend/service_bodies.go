package backend

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/api"
	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/gateway"
	"patchbay/backend/record"
	"patchbay/backend/wire"
	"patchbay/backend/wire/openai"
)

// RequestBodies implements api.Service.
func (b *Backend) RequestBodies(_ context.Context, id string) (api.RequestBodies, error) {
	k, err := b.kept(id)
	if err != nil {
		return api.RequestBodies{}, err
	}
	out := api.RequestBodies{
		ID: k.ID, Format: k.Format, Op: k.Op, Request: k.Request, Calls: k.Calls, Answer: k.Answer, Chat: k.Chat, Replay: replayable(k) == nil,
	}
	if out.Replay {
		base := b.Base()
		if base == "" {
			base = "http://" + b.settings.Current().Server.Listen
		}
		out.Curl = api.CurlOf(base, k.Request)
	}
	return out, nil
}

func (b *Backend) kept(id string) (*record.Kept, error) {
	k, err := b.bodies.Get(id)
	if err != nil {
		return nil, explain(err)
	}
	if k == nil {
		return nil, apierror.New(apierror.RouteNotFound, "the bodies of %s were not kept; record.bodies in the settings turns that on", id)
	}
	return k, nil
}

// replayable reports why a request cannot be sent again.
func replayable(k *record.Kept) error {
	switch {
	case k.Request.URL == "" || k.Request.Method == "":
		return apierror.Invalid("", "the request was never read to its end")
	case k.Request.Cut:
		return apierror.Invalid("", "only the beginning of the request was kept; record.bodies.max_body says how much is")
	case k.Request.Base64:
		return apierror.Invalid("", "the request is no text")
	}
	return nil
}

// ReplayRequest implements api.Service. It goes by the client key that it came by; where that has gone, it is the person's own.
func (b *Backend) ReplayRequest(_ context.Context, id string) (api.Replayed, error) {
	k, err := b.kept(id)
	if err != nil {
		return api.Replayed{}, err
	}
	if err := replayable(k); err != nil {
		return api.Replayed{}, err
	}
	if b.Base() == "" {
		return api.Replayed{}, apierror.Invalid("", "Patchbay serves nothing now; start it first")
	}
	var caller gateway.Caller
	now := time.Now()
	for _, key := range b.keys.List() {
		if key.ID == k.Key && key.Valid(now) {
			caller.KeyID, caller.KeyName = key.ID, key.Name
			if key.Limits.Narrow() {
				limits := key.Limits
				caller.Limits = &limits
			}
		}
	}
	again, err := b.server.Replay(k, caller)
	if err != nil {
		return api.Replayed{}, apierror.From(err)
	}
	return api.Replayed{ID: again, Redacted: k.Request.Redacted}, nil
}

func datasetQuery(q api.DatasetQuery) record.DatasetQuery {
	return record.DatasetQuery{
		Format: q.Format, Since: q.Since, Until: q.Until, Provider: q.Provider, Account: q.Account, Model: q.Model, Key: q.Key,
		SuccessOnly: q.SuccessOnly, MinTurns: q.MinTurns, Emails: q.Emails, Phones: q.Phones, Paths: q.Paths,
	}
}

// PreviewDataset implements api.Service.
func (b *Backend) PreviewDataset(ctx context.Context, q api.DatasetQuery) (api.DatasetPreview, error) {
	if err := q.Check(); err != nil {
		return api.DatasetPreview{}, err
	}
	if q.Limit == 0 {
		q.Limit = 5
	}
	p := api.DatasetPreview{Kept: len(b.bodies.IDs())}
	var err error
	p.Matched, p.Lines, err = b.record.Dataset(ctx, b.bodies, datasetQuery(q), func(line []byte) error {
		p.Bytes += int64(len(line)) + 1
		if len(p.Sample) < q.Limit {
			p.Sample = append(p.Sample, jsontext.Value(line))
		}
		return nil
	})
	return p, explain(err)
}

// ExportDataset implements api.Service.
func (b *Backend) ExportDataset(ctx context.Context, q api.DatasetQuery, w io.Writer) error {
	if err := q.Check(); err != nil {
		return err
	}
	_, err := b.record.WriteDataset(ctx, b.bodies, datasetQuery(q), w)
	return explain(err)
}

// chatOf puts a conversation together from what a client sent, in whatever protocol, and what it was answered.
func chatOf(k *record.Kept, resp *canon.Response) (*record.Chat, error) {
	body := []byte(k.Request.Body)
	if k.Request.Base64 {
		raw, err := base64.StdEncoding.DecodeString(k.Request.Body)
		if err != nil {
			return nil, err
		}
		body = raw
	}
	req, err := decodeAgain(k, body)
	if err != nil {
		return nil, err
	}
	x, err := openai.NewExchange(req, openai.Options{ForceConvert: true, OwnHost: true, Documents: true, CustomTools: true})
	if err != nil {
		return nil, err
	}
	var sent struct {
		Messages []jsontext.Value `json:"messages"`
		Tools    jsontext.Value   `json:"tools"`
	}
	if err := json.Unmarshal(x.Body, &sent); err != nil {
		return nil, err
	}
	out, err := openai.Codec{}.AppendResponse(nil, &canon.Request{Format: openai.Name, Op: string(openai.OpChat), ModelAsked: req.ModelAsked}, resp)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Choices []struct {
			Message jsontext.Value `json:"message"`
		} `json:"choices"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return nil, err
	}
	chat := &record.Chat{Messages: sent.Messages, Tools: sent.Tools}
	if len(answer.Choices) > 0 {
		chat.Messages = append(chat.Messages, answer.Choices[0].Message)
	}
	return chat, nil
}

var errNoConversation = errors.New("the request is no conversation")

// decodeAgain reads a kept request as the server did.
func decodeAgain(k *record.Kept, body []byte) (*canon.Request, error) {
	i := slices.IndexFunc(protocols, func(c wire.Codec) bool { return c.Name() == k.Format })
	if i < 0 {
		return nil, errNoConversation
	}
	c := protocols[i]
	r, err := http.NewRequest(k.Request.Method, "http://127.0.0.1"+k.Request.URL, bytes.NewReader(body)) //nolint:noctx // it is never sent
	if err != nil {
		return nil, err
	}
	for name, value := range k.Request.Header {
		r.Header.Set(name, value)
	}
	// Values of the path, such as Gemini's model, are found by the codec's own patterns; the provider's segment before them
	// has gone already where the server mended the path, and is skipped here.
	var req *canon.Request
	err = errNoConversation
	mux := http.NewServeMux()
	seen := map[string]bool{}
	for _, rt := range c.Routes() {
		if seen[rt.Pattern] || rt.Class == wire.ClassUnsupported {
			continue
		}
		seen[rt.Pattern] = true
		mux.HandleFunc(rt.Pattern, func(_ http.ResponseWriter, r *http.Request) {
			class, op := rt.Class, rt.Op
			if router, ok := c.(wire.Router); ok && class == wire.ClassByRequest {
				op, class = router.Route(r)
			}
			if class == wire.ClassAnswer {
				req, err = c.Decode(op, r, body)
			}
		})
	}
	for path := r.URL.Path; ; {
		r.URL.Path, r.URL.RawPath = path, ""
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(nil, r)
			break
		}
		cut := bytes.IndexByte([]byte(path[min(1, len(path)):]), '/')
		if cut < 0 {
			break
		}
		path = path[cut+1:]
	}
	if err != nil {
		return nil, fmt.Errorf("reading the request again: %w", err)
	}
	return req, nil
}
