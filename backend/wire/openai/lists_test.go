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
	for _, c := range []wire.Class{wire.ClassAnswer, wire.ClassEmbed, wire.ClassModels, wire.ClassModel, wire.ClassUnsupported} {
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

func TestModelListsOfServices(t *testing.T) {
	for in, want := range map[string][]canon.Model{
		`{"object":"list","data":[{"id":"gpt-5","created":7,"owned_by":"openai"},{"id":"whisper-1"},{"id":"gpt-4o-mini-tts"},{"id":"text-embedding-3-small"}]}`: {{ID: "gpt-5", Created: 7}, {ID: "text-embedding-3-small", Embeddings: canon.Yes}},
		`[{"id":"t","type":"chat","context_length":9},{"id":"e","type":"embedding"}]`:                                                                           {{ID: "t", Context: 9}, {ID: "e", Embeddings: canon.Yes}},
		`{"models":[{"name":"models/g"},{"name":"llama3:8b","model":"llama3:8b"},"bare",{}]}`:                                                                   {{ID: "g"}, {ID: "llama3:8b"}, {ID: "bare"}},
		`{"data":[{"id":"k","supports_reasoning":true,"supports_image_in":false,"display_name":"K","context_length":5}]}`:                                       {{ID: "k", Name: "K", Thinking: canon.Yes, Images: canon.No, Context: 5}},
		`{"data":[{"id":"o/m:free","name":"M","architecture":{"input_modalities":["text","image"]},"supported_parameters":["tools"],"top_provider":{"max_completion_tokens":8}}]}`: {
			{ID: "o/m:free", Name: "M", Images: canon.Yes, Documents: canon.No, Audio: canon.No, Tools: canon.Yes, Thinking: canon.No, Schema: canon.No, MaxOutput: 8}},
		`{"data":[{"id":"mi","capabilities":{"function_calling":true,"vision":false},"max_context_length":3}]}`: {{ID: "mi", Tools: canon.Yes, Images: canon.No, Context: 3}},
		`[{"id":"gh","limits":{"max_input_tokens":4,"max_output_tokens":2}}]`:                                   {{ID: "gh", Context: 4, MaxOutput: 2}},
		`{"data":[{"id":"gr","context_window":6,"max_completion_tokens":5,"supports_reasoning":"maybe"}]}`:      {{ID: "gr", Context: 6, MaxOutput: 5}},
	} {
		got, err := ParseModels([]byte(in))
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%s\n%s %v", in, d, err)
		}
	}
	for _, in := range []string{``, `<html>`, `{}`, `{"data":[`, `[{"id":"a"}`, `{"data":1`} {
		if _, err := ParseModels([]byte(in)); err == nil {
			t.Errorf("%q was taken", in)
		}
	}
}

func TestKnownModels(t *testing.T) {
	for id, want := range map[string]canon.Known3{
		"gpt-5": canon.Yes, "gpt-5.3-codex": canon.Yes, "openai/gpt-6": canon.Yes, "o1": canon.Yes, "o3-mini": canon.Yes, "o4-mini-2025": canon.Yes,
		"gpt-4o": canon.No, "gpt-5-chat-latest": canon.No, "o10": canon.Unknown, "claude-x": canon.Unknown, "deepseek-chat": canon.Unknown,
	} {
		if m := KnownModel(id); m.Thinking != want || m.ID != id {
			t.Errorf("%s: %+v", id, m)
		}
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
