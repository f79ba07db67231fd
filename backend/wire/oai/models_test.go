package oai

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/canon"
)

func TestModelListsOfServices(t *testing.T) {
	for in, want := range map[string][]canon.Model{
		`{"object":"list","data":[{"id":"gpt-5","created":7,"owned_by":"openai"},{"id":"whisper-1"},{"id":"gpt-4o-mini-tts"},{"id":"text-embedding-3-small"}]}`: {{ID: "gpt-5", Created: 7}, {ID: "text-embedding-3-small", Embeddings: canon.Yes}},
		`[{"id":"t","type":"chat","context_length":9},{"id":"e","type":"embedding"}]`:                                                                           {{ID: "t", Context: 9}, {ID: "e", Embeddings: canon.Yes}},
		`{"models":[{"name":"models/g"},{"name":"llama3:8b","model":"llama3:8b"},"bare",{}]}`:                                                                   {{ID: "g"}, {ID: "llama3:8b"}, {ID: "bare"}},
		`{"data":[{"id":"k","supports_reasoning":true,"supports_image_in":false,"display_name":"K","context_length":5}]}`:                                       {{ID: "k", Name: "K", Thinking: canon.Yes, Images: canon.No, Context: 5}},
		`{"data":[{"id":"o/m:free","name":"M","architecture":{"input_modalities":["text","image"]},"supported_parameters":["tools"],"top_provider":{"max_completion_tokens":8}}]}`: {
			{ID: "o/m:free", Name: "M", Images: canon.Yes, Documents: canon.No, Audio: canon.No, Tools: canon.Yes, Thinking: canon.No, Schema: canon.No, MaxOutput: 8}},
		`{"data":[{"id":"mi","capabilities":{"function_calling":true,"vision":false},"max_context_length":3}]}`: {{ID: "mi", Tools: canon.Yes, Images: canon.No, Context: 3}},
		`{"data":[{"id":"gpt-image-1"},{"id":"dall-e-3"},{"id":"flux","type":"image"},{"id":"v","type":"vlm"},{"id":"r","type":"rerank"},{"id":"mod","type":"moderation"},{"id":"paint","architecture":{"output_modalities":["image"]}},{"id":"both","architecture":{"output_modalities":["image","text"]}}]}`: {
			{ID: "gpt-image-1", Pictures: canon.Yes}, {ID: "dall-e-3", Pictures: canon.Yes}, {ID: "flux", Pictures: canon.Yes}, {ID: "v", Images: canon.Yes}, {ID: "paint", Pictures: canon.Yes}, {ID: "both"}},
		`[{"id":"openai/gpt-5","name":"GPT-5","supported_input_modalities":["text","image"],"capabilities":["streaming","tool-calling"],"limits":{"max_input_tokens":9}},{"id":"lm","capabilities":["tool_use"]},{"id":"no","capabilities":[]}]`: {
			{ID: "openai/gpt-5", Name: "GPT-5", Images: canon.Yes, Audio: canon.No, Tools: canon.Yes, Context: 9}, {ID: "lm", Tools: canon.Yes}, {ID: "no"}},
		`[{"id":"gh","limits":{"max_input_tokens":4,"max_output_tokens":2}}]`:                              {{ID: "gh", Context: 4, MaxOutput: 2}},
		`{"data":[{"id":"gr","context_window":6,"max_completion_tokens":5,"supports_reasoning":"maybe"}]}`: {{ID: "gr", Context: 6, MaxOutput: 5}},
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
