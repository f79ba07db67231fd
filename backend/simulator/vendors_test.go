package simulator

import (
	"strings"
	"testing"
)

func TestVendorsHaveDemandsOfTheirOwn(t *testing.T) {
	s := start(t)
	history := func(reasoning any, content any) m {
		h := toolHistory(m{"role": "tool", "tool_call_id": "call_1", "content": content})
		if reasoning != nil {
			h[1].(m)["reasoning_content"] = reasoning
		}
		return chat("", "model", "sim-chat", "messages", h)
	}
	parts := []any{m{"type": "text", "text": "x"}}
	for name, c := range map[string]struct {
		upstream string
		body     m
		status   int
		words    string
	}{
		"deepseek parts":    {DeepSeek, history("r", parts), 400, "expected a string"},
		"deepseek no words": {DeepSeek, history(nil, "x"), 400, "Missing `reasoning_content`"},
		"deepseek empty":    {DeepSeek, history("", "x"), 200, ""},
		"kimi empty":        {Kimi, history("", "x"), 400, "reasoning_content is missing"},
		"kimi good":         {Kimi, history(" ", parts), 200, ""},
		"mistral words":     {Mistral, history("r", "x"), 422, "Extra inputs are not permitted"},
		"mistral good":      {Mistral, history(nil, parts), 200, ""},
		"groq words":        {Groq, history("r", "x"), 400, "property 'reasoning_content' is unsupported"},
		"groq good":         {Groq, history(nil, "x"), 200, ""},
		"anyone else":       {Compatible, history("r", parts), 200, ""},
	} {
		a := call{upstream: c.upstream, path: "/v1/chat/completions", body: c.body}.do(t, s)
		if a.status != c.status || !strings.Contains(a.body, c.words) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if s.Upstream(Kimi) == nil || s.Upstream("nobody") != nil || s.OpenAI() == nil || s.Compatible() == nil || s.Anthropic() == nil || s.Handler() == nil {
		t.Error("handlers by name")
	}
}

func TestImagesAreRecognised(t *testing.T) {
	webp := func(kind string) []byte {
		b := make([]byte, 32)
		copy(b, "RIFF....WEBP"+kind)
		b[24], b[27], b[26], b[28] = 2, 1, 0, 2
		return b
	}
	for name, c := range map[string]struct {
		data          []byte
		mime          string
		width, height int
	}{
		"extended": {webp("VP8X"), "image/webp", 3, 514},
		"lossy":    {webp("VP8 "), "image/webp", 256, 2},
		"lossless": {webp("VP8L"), "image/webp", 0, 0},
		"jpeg":     {[]byte("\xff\xd8\xff\xe0"), "image/jpeg", 0, 0},
		"gif":      {[]byte("GIF89a\x05\x00\x04\x00\x00\x00\x00;"), "image/gif", 5, 4},
		"none":     {[]byte("hello"), "", 0, 0},
	} {
		got, ok := sniffImage(c.data)
		if ok != (c.mime != "") || got.mime != c.mime || got.width != c.width || got.height != c.height {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
