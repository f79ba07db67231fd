package providertest

import (
	"bytes"
	"context"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/provider"
)

var hello = Answer{Text: "Grüße, 世界 <b>", Usage: &canon.Usage{Input: 120, CacheRead: 100, Output: 7}}

// answers: what the model says arrives, whichever form is asked for.
func (s Subject) answers(t *testing.T) {
	for name, stream := range map[string]bool{"stream": true, "whole": false} {
		t.Run("text, "+name, func(t *testing.T) {
			h := s.open(t, setup{})
			h.service.says(hello)
			r := h.answer(h.request(stream))
			if diff := cmp.Diff(hello.Text, texts(r)); diff != "" || r.Finish.Reason != canon.FinishStop {
				t.Errorf("%s: -want +got\n%s", r.Finish.Reason, diff)
			}
			if u := r.Usage; u == nil || u.Input != 120 || canon.Known(u.CacheRead) != 100 && !s.Format.NoCacheCounts || u.Output != 7 {
				t.Errorf("usage %+v", u)
			}
		})
		t.Run("tools, "+name, func(t *testing.T) {
			for _, want := range [][]Call{
				{{"call_a", "look", `{"q":"a<b","n":1.50}`}},
				{{"call_a", "look", `{"q":"a"}`}, {"call_b", "list", `{}`}, {"call_c", "look", `{"q":"\u00e9"}`}},
			} {
				h := s.open(t, setup{})
				h.service.says(Answer{Text: "Looking.", Calls: want})
				r := h.answer(withTools(h.request(stream)))
				if diff := cmp.Diff(want, calls(r)); diff != "" || r.Finish.Reason != canon.FinishTools {
					t.Errorf("%s: -want +got\n%s", r.Finish.Reason, diff)
				}
			}
		})
	}
	t.Run("thinking", func(t *testing.T) {
		h := s.open(t, setup{})
		h.service.says(Answer{Reasoning: "First this, then that.", Text: "Done."})
		r := h.answer(h.request(true))
		if len(r.Parts) != 2 || r.Parts[0].Type != canon.PartReasoning || texts(r) != "Done." {
			t.Fatalf("%+v", r.Parts)
		}
		if p := r.Parts[0]; p.Text+strings.Join(p.Summary, "") != "First this, then that." {
			t.Errorf("%+v", p)
		}
	})
	t.Run("many at once", func(t *testing.T) {
		h := s.open(t, setup{})
		h.service.says(hello)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				if r, e := Follow(t, h.up.Stream(t.Context(), h.request(i%2 == 0))); e != nil || texts(r) != hello.Text {
					t.Errorf("%q, %v", texts(r), e)
				}
			})
		}
		wg.Wait()
	})
	t.Run("a line of megabytes", func(t *testing.T) {
		h := s.open(t, setup{})
		big := strings.Repeat("0123456789abcdef", 3<<16)
		h.service.says(Answer{Text: big})
		if r := h.answer(h.request(true)); texts(r) != big {
			t.Errorf("%d bytes of text arrived", len(texts(r)))
		}
	})
}

// requests: what arrives at the service.
func (s Subject) requests(t *testing.T) {
	t.Run("the account's key and nothing of the client's", func(t *testing.T) {
		h := s.open(t, setup{})
		h.service.says(hello)
		h.answer(h.request(true))
		got := h.service.last()
		if got.key != Key || got.endpoint != EndpointAnswer {
			t.Errorf("%s with key %q", got.path, got.key)
		}
		for name, values := range got.header {
			if strings.Contains(strings.Join(values, " "), otherKey) || name == "Cookie" || name == "Origin" {
				t.Errorf("header %s went out", name)
			}
		}
		if got.header.Get("User-Agent") == "" || strings.HasPrefix(got.header.Get("User-Agent"), "Go-http-client") {
			t.Errorf("User-Agent %q", got.header.Get("User-Agent"))
		}
		if all := got.path + string(got.body); !strings.Contains(all, s.Model) || strings.Contains(all, "asked") {
			t.Errorf("%s: body %s", got.path, got.body)
		}
	})
	if !s.KeyNeeded {
		t.Run("no key, no header", func(t *testing.T) {
			h := s.open(t, setup{none: true})
			h.service.says(hello)
			h.answer(h.request(true))
			got := h.service.last()
			for _, name := range []string{"Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key"} {
				if v, ok := got.header[name]; ok {
					t.Errorf("%s: %q", name, v)
				}
			}
		})
	}
	if s.Format.Verbatim != nil {
		t.Run("the client's bytes", s.verbatim)
	}
}

// verbatim: a client of the same format has its bytes sent and the service's bytes brought back.
func (s Subject) verbatim(t *testing.T) {
	v := s.Format.Verbatim
	h := s.open(t, setup{})
	r := httptest.NewRequest("POST", v.Path, nil)
	for name, values := range v.Header {
		r.Header[name] = values
	}
	req, err := v.Codec.Decode(v.Op, r, []byte(v.Body))
	if err != nil {
		t.Fatal(err)
	}
	req.Model = s.Model
	h.service.says(hello)
	var raw, sent []byte
	for ev, err := range h.up.Stream(t.Context(), req) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Kind == canon.KindStart && !ev.Verbatim {
			t.Error("the answer's bytes do not come back as they are")
		}
		raw = append(raw, ev.Raw...)
	}
	want := strings.Replace(v.Body, `"asked"`, `"`+s.Model+`"`, 1) // where the model stands in the body
	if v.Want != nil {
		want = v.Want(s.Model)
	}
	if diff := cmp.Diff(want, string(h.service.last().body)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	answer := s.Format.Answer(hello, true)
	for _, piece := range answer.Pieces {
		for line := range bytes.Lines(piece) {
			if strings.Contains(answer.Header.Get("Content-Type"), "ndjson") {
				sent = append(sent, bytes.TrimRight(line, "\r\n")...)
			} else if data, ok := bytes.CutPrefix(line, []byte("data: ")); ok {
				sent = append(sent, bytes.TrimRight(data, "\r\n")...)
			}
		}
	}
	if diff := cmp.Diff(string(sent), string(raw)); diff != "" {
		t.Errorf("frames -sent +raw\n%s", diff)
	}
}

// refusals: each error of the service has its kind.
func (s Subject) refusals(t *testing.T) {
	leak := "the key " + Key + " is at fault"
	unpaid := apierror.NoCredit
	if s.Format.NoBills {
		unpaid = apierror.QuotaExhausted
	}
	for _, c := range []struct {
		name  string
		fault Fault
		kinds []apierror.Kind
	}{
		{"401", Fault{Status: 401, Message: leak}, []apierror.Kind{apierror.AuthExpired}},
		{"403", Fault{Status: 403, Message: leak}, []apierror.Kind{apierror.AccountBlocked, apierror.AuthExpired, apierror.PolicyRefused, apierror.NoCredit}},
		{"402", Fault{Status: 402, Message: leak}, []apierror.Kind{unpaid}},
		{"429 with a time", Fault{Status: 429, RetryAfter: 37 * time.Second, Message: leak}, []apierror.Kind{apierror.RateLimited}},
		{"429 without a time", Fault{Status: 429, Message: leak}, []apierror.Kind{apierror.RateLimited}},
		{"500", Fault{Status: 500, Message: leak}, []apierror.Kind{apierror.Upstream5xx}},
		{"502", Fault{Status: 502, Message: leak}, []apierror.Kind{apierror.Upstream5xx, apierror.Overloaded}},
		{"503", Fault{Status: 503, Message: leak}, []apierror.Kind{apierror.Overloaded}},
		{"400", Fault{Status: 400, Message: leak}, []apierror.Kind{apierror.InvalidRequest}},
		{"404", Fault{Status: 404, Message: leak}, []apierror.Kind{apierror.ModelNotFound}},
		{"413", Fault{Status: 413, Message: leak}, []apierror.Kind{apierror.BodyTooLarge}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := s.open(t, setup{})
			h.service.replies(s.Format.Refusal(c.fault))
			e := h.refused(h.request(true))
			ok := false
			for _, k := range c.kinds {
				ok = ok || e.Kind == k
			}
			pause := c.fault.RetryAfter
			if pause == 0 {
				pause = s.Pause
			}
			if !ok || e.RetryAfter != pause && c.fault.Status == 429 || e.Upstream.Status != c.fault.Status {
				t.Errorf("%s (%s, status %d), want %v", e, e.RetryAfter, e.Upstream.Status, c.kinds)
			}
		})
	}
	for name, fault := range map[string]Fault{"a parameter": {Status: 400, Param: "temperature"}, "a signature": {Status: 400, BadSignature: true}} {
		if fault.BadSignature && s.Format.NoSignatures {
			continue
		}
		t.Run("refused for ever: "+name, func(t *testing.T) {
			h := s.open(t, setup{})
			h.service.replies(s.Format.Refusal(fault))
			e := h.refused(h.request(true))
			if n := len(h.service.requests()); n > 2 || e.Kind != apierror.InvalidRequest || e.BadSignature != fault.BadSignature {
				t.Errorf("%v after %d requests", e, n)
			}
		})
	}
	t.Run("a fresh key after 401", func(t *testing.T) {
		h := s.open(t, setup{})
		h.service.replies(s.Format.Refusal(Fault{Status: 401, Message: "expired"}))
		h.refused(h.request(true))
		h.newKey("canary-fresh")
		h.service.says(hello)
		h.answer(h.request(true))
		if got := h.service.last().key; got != "canary-fresh" {
			t.Errorf("key %q", got)
		}
	})
}

// faults: whatever breaks on the way ends in one error that says so, and never in a Finish.
func (s Subject) faults(t *testing.T) {
	says := func(r request) Reply {
		return s.Format.Answer(Answer{Text: "one two three four five six seven"}, r.streams)
	}
	fixed := func(r Reply) func(request) Reply { return func(request) Reply { return r } }
	page := func(status int) Reply {
		return Reply{Status: status, Header: map[string][]string{"Content-Type": {"text/html"}}, Pieces: [][]byte{[]byte("<!DOCTYPE html><html><body>Bad gateway " + Key + "</body></html>")}}
	}
	junk := func(text string) Reply {
		return Reply{Header: map[string][]string{"Content-Type": {"application/json"}}, Pieces: [][]byte{[]byte(text)}}
	}
	for _, c := range []struct {
		name  string
		play  play
		idle  time.Duration
		kinds []apierror.Kind
		says  string
	}{
		{"cut before the head", play{reply: says, cutAt: -1}, 0, []apierror.Kind{apierror.Transport}, ""},
		{"cut in the middle", play{reply: says, cutAt: 2}, 0, []apierror.Kind{apierror.Truncated, apierror.Transport}, ""},
		{"silence", play{reply: says, hush: 2}, 50 * time.Millisecond, []apierror.Kind{apierror.Timeout}, "time limit idle"},
		{"a web page", play{reply: fixed(page(502))}, 0, []apierror.Kind{apierror.Upstream5xx, apierror.Overloaded}, ""},
		{"a web page that says all is well", play{reply: fixed(page(200))}, 0, []apierror.Kind{apierror.Upstream5xx, apierror.Truncated}, ""},
		{"half an answer", play{reply: func(r request) Reply {
			a := says(r)
			a.Pieces = a.Pieces[:2]
			return a
		}}, 0, []apierror.Kind{apierror.Truncated, apierror.Upstream5xx}, ""},
		{"garbage", play{reply: fixed(junk("{\"\x00\xff not json " + Key))}, 0, []apierror.Kind{apierror.Upstream5xx, apierror.Truncated}, ""},
		{"nothing", play{reply: fixed(junk(""))}, 0, []apierror.Kind{apierror.Upstream5xx, apierror.Truncated}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := s.open(t, setup{idle: c.idle})
			h.service.next(c.play)
			e := h.refused(h.request(true))
			ok := false
			for _, k := range c.kinds {
				ok = ok || e.Kind == k
			}
			if !ok || !strings.Contains(e.Msg, c.says) {
				t.Errorf("%v, want one of %v", e, c.kinds)
			}
		})
	}
	t.Run("a giant error", func(t *testing.T) {
		h := s.open(t, setup{})
		h.service.replies(Reply{Status: 500, Pieces: [][]byte{bytes.Repeat([]byte(Key+" "), 100_000)}})
		h.refused(h.request(true))
	})
	t.Run("a giant answer", func(t *testing.T) {
		h := s.open(t, setup{})
		block := bytes.Repeat([]byte(" "), 1<<20)
		r := junk("{")
		for range 256 {
			r.Pieces = append(r.Pieces, block)
		}
		written := make(chan bool, 1)
		h.service.next(play{reply: fixed(r), done: func(all bool) { written <- all }})
		if e := h.refused(h.request(false)); e.Kind != apierror.Upstream5xx {
			t.Errorf("%v", e)
		}
		if <-written {
			t.Error("all of 256 MiB were read")
		}
	})
	t.Run("no service", func(t *testing.T) {
		h := s.open(t, setup{})
		h.service.srv.Close()
		if e := h.refused(h.request(true)); e.Kind != apierror.Transport {
			t.Errorf("%v", e)
		}
	})
}

// closing: who stops listening frees the service.
func (s Subject) closing(t *testing.T) {
	start := func(t *testing.T) *harness {
		h := s.open(t, setup{})
		h.service.next(play{reply: func(r request) Reply { return s.Format.Answer(hello, r.streams) }, hush: 2})
		return h
	}
	t.Run("break", func(t *testing.T) {
		h := start(t)
		for _, err := range h.up.Stream(t.Context(), h.request(true)) {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		h.awaitLeft()
	})
	t.Run("cancel", func(t *testing.T) {
		h := start(t)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var got *apierror.Error
		for _, err := range h.up.Stream(ctx, h.request(true)) {
			if err != nil {
				got = apierror.From(err)
				break
			}
			cancel()
		}
		if got == nil || got.Kind != apierror.Canceled {
			t.Errorf("%v", got)
		}
		h.awaitLeft()
	})
	t.Run("canceled before", func(t *testing.T) {
		h := start(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, e := Follow(t, h.up.Stream(ctx, h.request(true))); e == nil || e.Kind != apierror.Canceled {
			t.Errorf("%v", e)
		}
	})
}

// lists: models, counts and embeddings.
func (s Subject) lists(t *testing.T) {
	ids := []string{s.Model, "vendor/model-2:free"}
	if s.Format.Models != nil {
		t.Run("models", func(t *testing.T) {
			h := s.open(t, setup{})
			h.service.replies(s.Format.Models(ids))
			models, err := h.up.Models(t.Context())
			var got []string
			for _, m := range models {
				got = append(got, m.ID)
			}
			if diff := cmp.Diff(ids, got); diff != "" || err != nil {
				t.Errorf("%v -want +got\n%s", err, diff)
			}
			if got := h.service.last(); got.key != Key || got.endpoint != EndpointModels {
				t.Errorf("%s with key %q", got.path, got.key)
			}
		})
		t.Run("models that fail", func(t *testing.T) {
			h := s.open(t, setup{})
			h.service.replies(s.Format.Refusal(Fault{Status: 500, Message: "boom " + Key}))
			_, err := h.up.Models(t.Context())
			if apierror.KindOf(err) != apierror.Upstream5xx {
				t.Fatalf("%v", err)
			}
			h.checkError(apierror.From(err))
		})
	}
	if _, ok := s.open(t, setup{}).up.(provider.TokenCounter); ok && s.Format.Count != nil {
		t.Run("tokens", s.count)
	}
	if _, ok := s.open(t, setup{}).up.(provider.Embedder); ok && s.Format.Embeddings != nil {
		t.Run("embeddings", s.embed)
	}
}

func (s Subject) count(t *testing.T) {
	h := s.open(t, setup{})
	h.service.replies(s.Format.Count(321))
	counter := h.up.(provider.TokenCounter)
	if n, err := counter.CountTokens(t.Context(), h.request(false)); n != 321 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if got := h.service.last(); got.endpoint != EndpointCount || got.key != Key {
		t.Errorf("%s with key %q", got.path, got.key)
	}
	h.service.replies(s.Format.Refusal(Fault{Status: 404, Message: "no such endpoint"}))
	if _, err := counter.CountTokens(t.Context(), h.request(false)); apierror.KindOf(err) != apierror.Unsupported {
		t.Errorf("%v", err)
	}
	h.service.replies(s.Format.Refusal(Fault{Status: 500, Message: "boom " + Key}))
	_, err := counter.CountTokens(t.Context(), h.request(false))
	h.checkError(apierror.From(err))
}

func (s Subject) embed(t *testing.T) {
	h := s.open(t, setup{})
	want := [][]float32{{0.5, -1}, {2, 0.25}}
	h.service.replies(s.Format.Embeddings(want))
	embedder := h.up.(provider.Embedder)
	req := &canon.Embed{Format: "providertest", ModelAsked: "asked", Model: s.Model, Inputs: []string{"a", "b"}}
	got, err := embedder.Embed(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.Vectors); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if got := h.service.last(); got.endpoint != EndpointEmbeddings || got.key != Key {
		t.Errorf("%s with key %q", got.path, got.key)
	}
	h.service.replies(s.Format.Refusal(Fault{Status: 429, Message: "slow down " + Key}))
	_, err = embedder.Embed(t.Context(), req)
	if apierror.KindOf(err) != apierror.RateLimited {
		t.Fatalf("%v", err)
	}
	h.checkError(apierror.From(err))
}
