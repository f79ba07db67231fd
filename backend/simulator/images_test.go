package simulator

import (
	"bytes"
	"encoding/base64"
	"image"
	"mime/multipart"
	"strings"
	"testing"
)

// form is a multipart body; a value that begins with @ is a file.
func form(t *testing.T, pairs ...string) (body, kind string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i+1 < len(pairs); i += 2 {
		if data, file := strings.CutPrefix(pairs[i+1], "@"); file {
			part, err := w.CreateFormFile(pairs[i], "a.png")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = part.Write([]byte(data))
			continue
		}
		_ = w.WriteField(pairs[i], pairs[i+1])
	}
	_ = w.Close()
	return b.String(), w.FormDataContentType()
}

func TestImagesAreMade(t *testing.T) {
	s := start(t)
	ask := func(more ...any) answer {
		o := m{"model": "gpt-image-1", "prompt": "a cat"}
		for i := 0; i+1 < len(more); i += 2 {
			o[more[i].(string)] = more[i+1]
		}
		return call{path: "/v1/images/generations", body: o}.do(t, s)
	}
	for _, kind := range []string{"", "png", "jpeg", "webp"} {
		a := ask("n", 2, "size", "1024x1024", "quality", "low")
		if kind != "" {
			a = ask("n", 2, "output_format", kind)
		} else {
			kind = "png"
		}
		data, _ := a.json(t)["data"].([]any)
		if a.status != 200 || len(data) != 2 || at(data[0], "b64_json") == nil || at(a.json(t), "usage", "output_tokens") != 544.0 || a.json(t)["output_format"] != kind {
			t.Fatalf("%s: %d %s", kind, a.status, a.body)
		}
		raw, err := base64.StdEncoding.DecodeString(at(data[1], "b64_json").(string))
		got, ok := sniffImage(raw)
		if err != nil || !ok || got.mime != "image/"+kind {
			t.Errorf("%s: %v %v", kind, got, err)
		}
		if kind == "png" {
			if _, _, err := image.Decode(bytes.NewReader(raw)); err != nil {
				t.Errorf("the picture cannot be read: %v", err)
			}
		}
	}
	a := ask("stream", true, "partial_images", 2)
	if got := strings.Join(names(a.events(t)), " "); len(a.events(t)) != 3 || got != "image_generation.partial_image image_generation.completed" {
		t.Errorf("%s", got)
	}
	for name, c := range map[string]struct {
		a     answer
		param any
		words string
	}{
		"no prompt":     {ask("prompt", ""), "prompt", "Invalid 'prompt'"},
		"chat model":    {ask("model", "gpt-4.1"), "model", "Invalid value: 'gpt-4.1'"},
		"size":          {ask("size", "5x5"), "size", "Invalid value: '5x5'"},
		"many":          {ask("n", 11), "n", "above maximum"},
		"of dall-e":     {ask("response_format", "url"), "response_format", "Unknown parameter: 'response_format'."},
		"of edits":      {ask("input_fidelity", "high"), "input_fidelity", "Unknown parameter"},
		"glass in jpeg": {ask("background", "transparent", "output_format", "jpeg"), "background", "Transparent background"},
		"small png":     {ask("output_compression", 50), "output_compression", "PNG"},
		"long prompt":   {ask("prompt", strings.Repeat("x", 32001)), "prompt", "too long"},
	} {
		if c.a.status != 400 || at(c.a.json(t), "error", "param") != c.param || !strings.Contains(c.a.body, c.words) {
			t.Errorf("%s: %d %s", name, c.a.status, c.a.body)
		}
	}
	if a := ask("prompt", "[[rate_limit:retry_after=3]] a cat"); a.status != 429 || a.head.Get("Retry-After") != "3" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestImagesAreChanged(t *testing.T) {
	s := start(t)
	pic := "@" + string(pngImage(t, 2, 2))
	for name, c := range map[string]struct {
		pairs  []string
		status int
		words  string
	}{
		"one":          {[]string{"model", "gpt-image-1", "prompt", "a hat", "image", pic, "n", "1", "size", "auto", "input_fidelity", "high"}, 200, "b64_json"},
		"several":      {[]string{"model", "gpt-image-1", "prompt", "a hat", "image[]", pic, "image[]", pic, "mask", pic}, 200, "b64_json"},
		"streamed":     {[]string{"model", "gpt-image-1", "prompt", "a hat", "image", pic, "stream", "true"}, 200, "event: image_edit.completed"},
		"no image":     {[]string{"model", "gpt-image-1", "prompt", "a hat"}, 400, "Missing required parameter: 'image'."},
		"not an image": {[]string{"model", "gpt-image-1", "prompt", "a hat", "image", "@hello"}, 400, "Invalid image file"},
		"not a file":   {[]string{"model", "gpt-image-1", "prompt", "a hat", "image", string(pngImage(t, 2, 2))}, 400, "expected a file"},
		"n as words":   {[]string{"model", "gpt-image-1", "prompt", "a hat", "image", pic, "n", "two"}, 400, "Invalid type for 'n'"},
		"unknown":      {[]string{"model", "gpt-image-1", "prompt", "a hat", "image", pic, "strength", "1"}, 400, "Unknown parameter: 'strength'."},
	} {
		body, kind := form(t, c.pairs...)
		a := call{path: "/v1/images/edits", body: body, head: map[string]string{"Content-Type": kind}}.do(t, s)
		if a.status != c.status || !strings.Contains(a.body, c.words) {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := (call{path: "/v1/images/edits", body: m{"prompt": "x"}}).do(t, s); a.status != 400 || !strings.Contains(a.body, "multipart/form-data") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := (call{path: "/v1/images/edits", body: "--x\r\nbroken", head: map[string]string{"Content-Type": "multipart/form-data; boundary=x"}}).do(t, s); a.status != 400 {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, path := range []string{"/v1/images/edits", "/v1/images/generations"} {
		if a := (call{path: path, body: m{}, head: map[string]string{"Authorization": ""}}).do(t, s); a.status != 401 {
			t.Errorf("%d %s", a.status, a.body)
		}
		if a := (call{upstream: Compatible, path: path, body: m{}}).do(t, s); a.status != 404 {
			t.Errorf("a vendor without images: %d", a.status)
		}
	}
}
