package openai

import (
	"bytes"
	"io"
	"mime/multipart"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

func decodeImage(op wire.Op, contentType, body string) (*canon.ImageRequest, error) {
	r := httptest.NewRequest("POST", "/v1/images/"+string(op), nil)
	r.Header.Set("Content-Type", contentType)
	return Codec{}.DecodeImage(op, r, []byte(body))
}

// form makes a form of fields and files ("name@file": content).
func form(fields ...string) (contentType, body string) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		if name, file, isFile := strings.Cut(fields[i], "@"); isFile {
			p, _ := w.CreateFormFile(name, file)
			_, _ = io.WriteString(p, fields[i+1])
			continue
		}
		_ = w.WriteField(fields[i], fields[i+1])
	}
	_ = w.Close()
	return w.FormDataContentType(), b.String()
}

func TestImageRequestsAreRead(t *testing.T) {
	got, err := decodeImage(OpGenerations, "application/json", `{"model":"m","prompt":"a cat","n":2,"stream":true,"size":"1x1","user":null}`)
	if err != nil || got.ModelAsked != "m" || got.Model != "m" || got.Prompt != "a cat" || got.N != 2 || !got.Stream || got.Op != "generations" {
		t.Errorf("%+v %v", got, err)
	}
	if got, err = decodeImage(OpEdits, "", `{"prompt":"x","images":[]}`); err != nil || got.Type != "application/json" || got.ModelAsked != "" {
		t.Errorf("%+v %v", got, err)
	}
	ct, body := form("model", "m", "image[]@a.png", "\x89PNG\r\n--", "prompt", "blue", "n", "3", "stream", "true", "size", "1x1")
	if got, err = decodeImage(OpEdits, ct, body); err != nil || got.Prompt != "blue" || got.N != 3 || !got.Stream || got.ModelAsked != "m" {
		t.Errorf("%+v %v", got, err)
	}

	noImage, noImageBody := form("prompt", "x")
	badN, badNBody := form("prompt", "x", "n", "0", "image@a", "x")
	badStream, badStreamBody := form("prompt", "x", "stream", "perhaps", "image@a", "x")
	long, longBody := form("prompt", strings.Repeat("x", maxField+1), "image@a", "x")
	for _, c := range []struct {
		op                wire.Op
		contentType, body string
		param, want       string
	}{
		{OpGenerations, "application/json", `{"model":"m"}`, "prompt", "required"},
		{OpGenerations, "application/json", `{"prompt":"  "}`, "prompt", "required"},
		{OpGenerations, "application/json", `{"prompt":1}`, "prompt", ""},
		{OpGenerations, "application/json", `{"prompt":"x","n":0}`, "n", ""},
		{OpGenerations, "application/json", `{"prompt":"x","n":"many"}`, "n", ""},
		{OpGenerations, "application/json", `{"prompt":"x","stream":"no"}`, "stream", ""},
		{OpGenerations, "application/json", `{"prompt":`, "", ""},
		{OpEdits, noImage, noImageBody, "image", "required"},
		{OpEdits, badN, badNBody, "n", "at least 1"},
		{OpEdits, badStream, badStreamBody, "stream", "true or false"},
		{OpEdits, long, longBody, "prompt", "too long"},
		{OpEdits, "multipart/form-data", "x", "", "boundary"},
		{OpEdits, ct, body[:len(body)/2], "", "read to its end"},
	} {
		_, err := decodeImage(c.op, c.contentType, c.body)
		if e := apierror.From(err); err == nil || e.Kind != apierror.InvalidRequest || e.Param != c.param || !strings.Contains(e.Msg, c.want) {
			t.Errorf("%.60s: %v", c.body, err)
		}
	}
}

func TestOnlyTheModelChangesInABody(t *testing.T) {
	req, err := decodeImage(OpGenerations, "application/json", `{ "prompt":"a", "model" : "m","odd":1.50 }`)
	if err != nil {
		t.Fatal(err)
	}
	if _, b, _ := ImageBody(req); string(b) != string(req.Body) {
		t.Errorf("%s", b)
	}
	req.Model = "up/m"
	if _, b, _ := ImageBody(req); string(b) != `{ "prompt":"a", "model" : "up/m","odd":1.50 }` {
		t.Errorf("%s", b)
	}
	req, _ = decodeImage(OpGenerations, "application/json", `{"prompt":"a"}`)
	req.Model = "chosen"
	if _, b, _ := ImageBody(req); string(b) != `{"prompt":"a","model":"chosen"}` {
		t.Errorf("%s", b)
	}

	ct, body := form("prompt", "blue", "model", "m", "image@a.png", "\x89PNG\r\n\x00\xff", "mask@m.png", "mask", "size", "2x2")
	if req, err = decodeImage(OpEdits, ct, body); err != nil {
		t.Fatal(err)
	}
	req.Model = "other"
	gotType, got, err := ImageBody(req)
	if err != nil || gotType != ct {
		t.Fatal(gotType, err)
	}
	again, err := decodeImage(OpEdits, gotType, string(got))
	if err != nil || again.ModelAsked != "other" || again.Prompt != "blue" {
		t.Errorf("%+v %v", again, err)
	}
	for _, want := range []string{"\x89PNG\r\n\x00\xff", "filename=\"a.png\"", "filename=\"m.png\"", "2x2"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("%q is lost in %q", want, got)
		}
	}
	if strings.Count(string(got), "name=\"model\"") != 1 {
		t.Errorf("%q", got)
	}
}

// steps reads an answer.
func steps(in string) (out []canon.ImageEvent, err error) {
	for ev, e := range ReadImages(strings.NewReader(in)) {
		if e != nil {
			return out, e
		}
		ev.Raw = bytes.Clone(ev.Raw)
		out = append(out, ev)
	}
	return out, nil
}

const (
	wholeImages  = `{"created":7,"data":[{"b64_json":"QQ==","revised_prompt":"r"},{"b64_json":"Qg=="}],"size":"1x1","usage":{"input_tokens":3,"output_tokens":5}}`
	imageStream  = "event: image_generation.partial_image\ndata: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"QQ==\",\"partial_image_index\":0}\n\n" + imageEnd
	imageEnd     = "data: {\"type\":\"image_generation.completed\",\"b64_json\":\"Qg==\",\"created_at\":9,\"usage\":{\"input_tokens\":3,\"output_tokens\":5}}\n\n"
	imageStreamD = imageStream + "data: [DONE]\n\n"
)

func TestImagesAreRead(t *testing.T) {
	got, err := steps(wholeImages)
	if err != nil || len(got) != 1 || !got[0].Done || string(got[0].Raw) != wholeImages || got[0].Usage.Output != 5 {
		t.Errorf("%+v %v", got, err)
	}
	for _, in := range []string{imageStream, imageStreamD, ": hello\n\n" + imageStream} {
		got, err = steps(in)
		var names []string
		for _, ev := range got {
			names = append(names, ev.Name)
		}
		if d := cmp.Diff([]string{"image_generation.partial_image", "image_generation.completed", ""}, names); d != "" || err != nil || !got[2].Done || got[1].Usage.Input != 3 {
			t.Errorf("%s %v", d, err)
		}
	}
	for in, want := range map[string]apierror.Kind{
		"":        apierror.Upstream5xx,
		"<html>":  apierror.Upstream5xx,
		"{":       apierror.Upstream5xx,
		`{"a":1}`: apierror.Upstream5xx,
		`{"error":{"message":"no","code":"content_policy_violation","status":400}}`: apierror.ContentFiltered,
		"event: image_generation.partial_image\ndata: {\"type\":\"x\"}\n\n":         apierror.Truncated,
		"event: error\ndata: {\"error\":{\"message\":\"slow\",\"code\":429}}\n\n":   apierror.RateLimited,
	} {
		if _, err := steps(in); apierror.KindOf(err) != want {
			t.Errorf("%q: %v", in, err)
		}
	}
	for _, in := range []string{"", "{", "data: "} {
		for _, err := range ReadImages(io.MultiReader(strings.NewReader(in), iotest.ErrReader(io.ErrUnexpectedEOF))) {
			if apierror.KindOf(err) != apierror.Transport {
				t.Errorf("%q broken: %v", in, err)
			}
		}
	}
	for range ReadImages(strings.NewReader(imageStream)) {
		break // who leaves early is not called again
	}
}

// render streams an answer to a client.
func render(op wire.Op, in string, end *apierror.Error) string {
	r := Codec{}.NewImageRenderer(&canon.ImageRequest{Op: string(op)})
	out := r.AppendPing(nil)
	got, _ := steps(in)
	for _, ev := range got {
		out = r.AppendEvent(out, wire.ImageStep(ev))
	}
	if end != nil {
		out = r.AppendError(out, end)
	}
	out = r.AppendError(out, apierror.New(apierror.Internal, "after the end"))
	out = r.AppendEvent(out, canon.Event{Kind: canon.KindFinish})
	return string(r.AppendPing(out))
}

func TestStreamedImagesEndOnce(t *testing.T) {
	want := ": ping\n\nevent: image_generation.partial_image\ndata: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"QQ==\",\"partial_image_index\":0}\n\n" +
		"event: image_generation.completed\n" + imageEnd
	if d := cmp.Diff(want, render(OpGenerations, imageStreamD, nil)); d != "" {
		t.Error(d)
	}
	// the service answered in one piece
	want = ": ping\n\nevent: image_edit.completed\ndata: {\"type\":\"image_edit.completed\",\"b64_json\":\"QQ==\",\"revised_prompt\":\"r\",\"created_at\":7,\"size\":\"1x1\",\"usage\":{\"input_tokens\":3,\"output_tokens\":5}}\n\n" +
		"event: image_edit.completed\ndata: {\"type\":\"image_edit.completed\",\"b64_json\":\"Qg==\",\"created_at\":7,\"size\":\"1x1\",\"usage\":{\"input_tokens\":3,\"output_tokens\":5}}\n\n"
	if d := cmp.Diff(want, render(OpEdits, strings.ReplaceAll(wholeImages, ",\"size", ",\n \"size"), nil)); d != "" {
		t.Error(d)
	}
	got := render(OpGenerations, "event: image_generation.partial_image\ndata: {\"a\":\ndata: 1}\n\n", apierror.New(apierror.Truncated, "cut"))
	if !strings.Contains(got, "data: {\"a\":1}\n\n") || strings.Count(got, "event: error\n") != 1 || strings.Contains(got, "after the end") || !strings.HasSuffix(got, "}\n\n") {
		t.Errorf("%q", got)
	}
}

func TestWholeAnswerOfImages(t *testing.T) {
	for in, want := range map[string]string{
		wholeImages: wholeImages,
		imageStream: `{"data":[{"b64_json":"Qg=="}],"created":9,"usage":{"input_tokens":3,"output_tokens":5}}`,
		"data: {\"type\":\"a.completed\",\"url\":\"u\",\"revised_prompt\":\"r\"}\n\ndata: {\"type\":\"a.completed\",\"url\":\"v\"}\n\n": `{"data":[{"url":"u","revised_prompt":"r"},{"url":"v"}],"created":0}`,
	} {
		got, err := steps(in)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, string(Codec{}.AppendImages(nil, got))); d != "" {
			t.Error(d)
		}
	}
}

func TestPicturesToEditAreRead(t *testing.T) {
	const png = "\x89PNG\r\n\x1a\n rest"
	read := func(contentType, body string) ([]canon.Media, error) {
		req, err := decodeImage(OpEdits, contentType, body)
		if err != nil {
			t.Fatal(err)
		}
		return req.Sources()
	}
	ct, body := form("prompt", "x", "image[]@a.png", png, "image[1]@b.png", png, "size", "1x1")
	got, err := read(ct, body)
	if err != nil || len(got) != 2 || got[0].MIME != "image/png" || string(got[1].Data) != png {
		t.Errorf("%+v %v", got, err)
	}
	got, err = read("application/json", `{"prompt":"x","images":[{"image_url":"data:image/png;base64,iVBO"},{"image_url":"https://h/i.png"}]}`)
	if err != nil || len(got) != 2 || got[0].MIME != "image/png" || got[1].URL != "https://h/i.png" {
		t.Errorf("%+v %v", got, err)
	}
	masked, maskedBody := form("prompt", "x", "image@a.png", png, "mask@m.png", png)
	noPicture, noPictureBody := form("prompt", "x", "image@a.txt", "text")
	for _, c := range [][3]string{
		{masked, maskedBody, "mask"}, {noPicture, noPictureBody, "image"},
		{"application/json", `{"prompt":"x","images":[],"mask":{"image_url":"data:"}}`, "mask"},
		{"application/json", `{"prompt":"x","images":[{"file_id":"f"}]}`, "images[0]"},
		{"application/json", `{"prompt":"x","images":[{"image_url":"data:nonsense"}]}`, "images[0].image_url"},
	} {
		if _, err := read(c[0], c[1]); apierror.From(err).Param != c[2] {
			t.Errorf("%s: %v", c[2], err)
		}
	}
	if req, err := decodeImage(OpGenerations, "application/json", `{"prompt":"x"}`); err != nil || req.Sources != nil {
		t.Errorf("%+v %v", req, err)
	}
}

func TestPicturesOfAnotherForm(t *testing.T) {
	ev := canon.ImageEvent{Done: true, Created: 7, Pictures: []canon.Media{{Data: []byte("A")}, {Data: []byte("B")}}, Usage: &canon.Usage{Input: 3, Output: 5}}
	want := `{"created":7,"data":[{"b64_json":"QQ=="},{"b64_json":"Qg=="}],"usage":{"input_tokens":3,"output_tokens":5,"total_tokens":8}}`
	if d := cmp.Diff(want, string(Codec{}.AppendImages(nil, []canon.ImageEvent{ev}))); d != "" {
		t.Error(d)
	}
	ev.Usage, ev.Pictures = nil, ev.Pictures[:1]
	if d := cmp.Diff(`{"created":7,"data":[{"b64_json":"QQ=="}]}`, string(Codec{}.AppendImages(nil, []canon.ImageEvent{ev}))); d != "" {
		t.Error(d)
	}
}

func FuzzImages(f *testing.F) {
	for _, s := range []string{wholeImages, imageStreamD, "event: error\ndata: {}\n\n", "data: {\"type\":\"x.completed\"}\n\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := steps(in)
		if err == nil && (len(got) == 0 || !got[len(got)-1].Done) {
			t.Errorf("no end and no error: %q", in)
		}
		r := Codec{}.NewImageRenderer(&canon.ImageRequest{Op: "generations"})
		for _, ev := range got {
			r.AppendEvent(nil, wire.ImageStep(ev))
		}
		if out := r.AppendError(nil, apierror.New(apierror.Internal, "x")); (len(out) > 0) != (err != nil) {
			t.Errorf("the stream of %q ended wrongly: %q", in, out)
		}
	})
}
