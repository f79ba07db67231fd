package openai

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

func TestRoutesAreComplete(t *testing.T) {
	classes := map[wire.Class]bool{}
	for _, r := range (Codec{}).Routes() {
		classes[r.Class] = true
	}
	for _, c := range []wire.Class{wire.ClassAnswer, wire.ClassEmbed, wire.ClassImages, wire.ClassModels, wire.ClassModel, wire.ClassUnsupported} {
		if !classes[c] {
			t.Errorf("no route of class %d", c)
		}
	}
	if (Codec{}).Name() != "openai" {
		t.Error("the name is part of settings and logs")
	}
}

func TestModelList(t *testing.T) {
	b, _ := Codec{}.AppendModels(nil, nil, []canon.Model{{ID: "a<b"}, {ID: "x", Name: "X", Provider: "p", Created: 5, Context: 100}})
	want := `{"object":"list","data":[{"id":"a<b","object":"model","created":1767225600,"owned_by":"patchbay"},{"id":"x","object":"model","created":5,"owned_by":"p","name":"X","context_length":100,"max_model_len":100}]}`
	if string(b) != want {
		t.Errorf("%s", b)
	}
}

// Trap 41: the SDKs ask for base64 by themselves and cannot read numbers then, and the reverse.
func TestEmbeddingsInTheFormAskedFor(t *testing.T) {
	resp := &canon.Embeddings{Vectors: [][]float32{{1, -0.5}, {0.25}}, Usage: &canon.Usage{Input: 4}}
	for body, want := range map[string]string{
		`{"model":"m","input":"a"}`:                                             `[1,-0.5]`,
		`{"model":"m","input":["a","b"],"encoding_format":"float"}`:             `[1,-0.5]`,
		`{"model":"m","input":["a","b"],"encoding_format":"base64","user":"u"}`: `"AACAPwAAAL8="`,
	} {
		req, err := Codec{}.DecodeEmbed(OpEmbeddings, nil, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := Codec{}.AppendEmbed(nil, req, resp)
		head := `{"object":"list","data":[{"object":"embedding","index":0,"embedding":` + want + `},{"object":"embedding","index":1,`
		if !strings.HasPrefix(string(b), head) || !strings.HasSuffix(string(b), `],"model":"m","usage":{"prompt_tokens":4,"total_tokens":4}}`) {
			t.Errorf("%s", b)
		}
		back, err := ParseEmbeddings(b)
		if d := cmp.Diff(resp.Vectors, back.Vectors); d != "" || err != nil || back.Usage.Input != 4 {
			t.Error(d, err)
		}
	}
}

func TestEmbeddingRequests(t *testing.T) {
	for in, want := range map[string]string{
		`{"model":"m","input":"a","dimensions":5,"own":1,"user":"u"}`: `{"model":"m","input":"a","dimensions":5,"user":"u","own":1}`,
		`{"model":"m","input":["a","b"],"encoding_format":"base64"}`:  `{"model":"m","input":["a","b"]}`,
		`{"model":"m","input":[1,2]}`:                                 `{"model":"m","input":[1,2]}`,
		`{"model":"m","input":[[1],[2]],"user":null}`:                 `{"model":"m","input":[[1],[2]]}`,
	} {
		req, err := Codec{}.DecodeEmbed(OpEmbeddings, nil, []byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := EmbedRequest(req, Options{}); err != nil || string(b) != want {
			t.Errorf("%s %v, want %s", b, err, want)
		}
	}
	e := &canon.Embed{Model: "m", Inputs: []string{"a"}, UserID: "u"}
	if b, _ := EmbedRequest(e, Options{OwnHost: true}); string(b) != `{"model":"m","input":"a","encoding_format":"base64"}` {
		t.Errorf("%s", b)
	}
	for body, param := range map[string]string{
		`{"input":"a"}`: "model", `{"model":"m"}`: "input", `{"model":"m","input":""}`: "input", `{"model":"m","input":[]}`: "input", `{"model":"m","input":{}}`: "input",
		`{"model":"m","input":[1,"a"]}`: "input[1]", `{"model":"m","input":"a","dimensions":0}`: "dimensions", `{"model":"m","input":"a","encoding_format":"hex"}`: "encoding_format", `[]`: "",
	} {
		_, err := Codec{}.DecodeEmbed(OpEmbeddings, nil, []byte(body))
		if e := apierror.From(err); e == nil || e.Param != param {
			t.Errorf("%s: %v", body, err)
		}
	}
	for body, kind := range map[string]apierror.Kind{
		`x`: apierror.Upstream5xx, `{"data":[]}`: apierror.Upstream5xx, `{"data":[{"embedding":"*"}]}`: apierror.Upstream5xx, `{"data":[{"embedding":"AAA="}]}`: apierror.Upstream5xx,
		`{"data":[{"embedding":{}}]}`: apierror.Upstream5xx, `{"error":{"message":"x","code":429}}`: apierror.RateLimited,
	} {
		if _, err := ParseEmbeddings([]byte(body)); apierror.KindOf(err) != kind {
			t.Errorf("%s: %v", body, err)
		}
	}
	got, err := ParseEmbeddings([]byte(`{"data":[{"index":1,"embedding":[2]},{"index":0,"embedding":[1]}]}`))
	if d := cmp.Diff([][]float32{{1}, {2}}, got.Vectors); d != "" || err != nil {
		t.Error(d, err)
	}
}
