package simulator

import (
	"bytes"
	"encoding/base64"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
)

// imageFields are the fields of an image request by model family (openai npm
// 6.49.0). What gpt-image models do not take is refused by name.
var imageFields = map[string]rule{
	"model": {kinds: "a string"}, "prompt": {kinds: "a string"}, "n": {kinds: "an integer", low: 1, high: 10},
	"size":       {kinds: "a string", enum: "auto 1024x1024 1536x1024 1024x1536"},
	"quality":    {kinds: "a string", enum: "auto low medium high"},
	"background": {kinds: "a string", enum: "auto transparent opaque"}, "moderation": {kinds: "a string", enum: "auto low"},
	"output_format": {kinds: "a string", enum: "png jpeg webp"}, "output_compression": {kinds: "an integer", low: 0, high: 100},
	"partial_images": {kinds: "an integer", low: 0, high: 3}, "stream": {kinds: "a boolean"}, "user": {kinds: "a string"},
	"input_fidelity": {kinds: "a string", enum: "high low"},
}

// imageModels are the models that draw. OpenAI ended gpt-image-1 on 2026-10-23
// (openai-go v3.96.0); it stays here because clients still ask for it.
var imageModels = []string{"gpt-image-1", "gpt-image-2", "gpt-image-2.5-flare", "gpt-image-2.5-sunburst"}

// imagine answers POST /v1/images/generations.
func (d *openAI) imagine(x *exchange) {
	if !d.authorized(x) {
		return
	}
	o, f := x.object()
	if f == nil {
		f = d.checkImage(o, false)
	}
	if f != nil {
		x.refuse(f)
		return
	}
	d.draw(x, o, nil)
}

// retouch answers POST /v1/images/edits: a form with one image or several and
// perhaps a mask.
func (d *openAI) retouch(x *exchange) {
	if !d.authorized(x) {
		return
	}
	o, images, f := d.form(x)
	if f == nil {
		f = d.checkImage(o, true)
	}
	if f == nil && len(images) == 0 {
		f = &failure{kind: failInvalid, param: "image", code: "missing_required_parameter", message: "Missing required parameter: 'image'."}
	}
	if f != nil {
		x.refuse(f)
		return
	}
	d.draw(x, o, images)
}

// form reads the fields of a multipart body as the JSON form would have them.
func (d *openAI) form(x *exchange) (map[string]any, []media, *failure) {
	kind, params, err := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return nil, nil, &failure{kind: failInvalid, param: "", code: "unsupported_content_type",
			message: "Unsupported content type: '" + kind + "'. This API method only accepts 'multipart/form-data' " +
				"requests, but you specified the header 'Content-Type: " + kind + "'."}
	}
	o, images := map[string]any{}, []media{}
	r := multipart.NewReader(bytes.NewReader(x.body), params["boundary"])
	for {
		p, err := r.NextPart()
		if err == io.EOF {
			return o, images, nil
		}
		if err != nil {
			return nil, nil, &failure{kind: failInvalid, message: "Could not parse multipart form"}
		}
		data, err := io.ReadAll(p)
		if err != nil {
			return nil, nil, &failure{kind: failInvalid, message: "Could not parse multipart form"}
		}
		name := strings.TrimSuffix(p.FormName(), "[]")
		if name != "image" && name != "mask" {
			o[name] = formValue(name, string(data))
			continue
		}
		m, ok := sniffImage(data)
		if !ok || m.mime == "image/gif" {
			return nil, nil, &failure{kind: failInvalid, param: name, code: "invalid_image_file",
				message: "Invalid image file or mode for image 1, please check your image file."}
		}
		if m.name = p.FileName(); m.name == "" {
			return nil, nil, &failure{kind: failInvalid, param: name, code: "invalid_type",
				message: "Invalid type for '" + name + "': expected a file, but got a string instead."}
		}
		if name == "mask" {
			m.name = "mask " + m.name
		}
		images = append(images, m)
	}
}

// formValue gives a field of a form the kind that its rule wants.
func formValue(name, text string) any {
	kind := imageFields[name].kinds
	if v, err := decode([]byte(text)); err == nil && kind != "a string" && kind != "" {
		return v
	}
	return text
}

// checkImage checks the fields of both endpoints.
func (d *openAI) checkImage(o map[string]any, editing bool) *failure {
	c := &openAICheck{}
	for _, name := range sortedKeys(o) {
		r, ok := imageFields[name]
		if !ok || (!editing && name == "input_fidelity") || (editing && name == "moderation") {
			c.fail(name, "unknown_parameter", "Unknown parameter: '%s'.", name)
			continue
		}
		c.field(name, o[name], r)
	}
	if prompt := c.text(o, "", "prompt"); prompt == "" {
		c.fail("prompt", "empty_string", "Invalid 'prompt': empty string. Expected a string with minimum length 1, but got an empty string instead.")
	} else {
		c.longest("prompt", prompt, 32000)
	}
	model := c.text(o, "", "model")
	if c.f == nil && !strings.HasPrefix(model, "gpt-image") && !strings.HasPrefix(model, "sim-") {
		c.fail("model", "invalid_value", "Invalid value: '%s'. Supported values are: '%s'.", model, strings.Join(imageModels, "', '"))
	}
	if o["background"] == "transparent" && o["output_format"] == "jpeg" {
		c.fail("background", "invalid_value", "Transparent background is not supported for JPEG output format.")
	}
	if o["output_compression"] != nil && (o["output_format"] == nil || o["output_format"] == "png") && number(o["output_compression"], 100) != 100 {
		c.fail("output_compression", "invalid_value", "Compression less than 100 is not supported for PNG output format")
	}
	return c.f
}

// draw makes the images: small, but of the kind that was asked for.
func (d *openAI) draw(x *exchange, o map[string]any, images []media) {
	model, _ := o["model"].(string)
	prompt, _ := o["prompt"].(string)
	t := &turn{model: model, lastUser: prompt, images: images, stream: o["stream"] == true, tokens: len(prompt)/4 + 1}
	sc := x.s.choose(x.queue, x.key, t)
	p := decide(sc, t)
	if p.fail != nil || p.d.raw != nil || p.d.cutBefore || p.d.redirect != nil {
		x.s.update(func() { x.rec.Scenario = sc })
		x.deliver(t, p)
		return
	}
	kind, _ := o["output_format"].(string)
	if kind == "" {
		kind = "png"
	}
	quality, _ := o["quality"].(string)
	if quality == "" || quality == "auto" {
		quality = "medium"
	}
	n := int(number(o["n"], 1))
	in := len(prompt)/4 + 1
	usage := obj("total_tokens", in+272*n, "input_tokens", in, "output_tokens", 272*n,
		"input_tokens_details", obj("text_tokens", in, "image_tokens", 0))
	background := map[bool]string{true: "transparent", false: "opaque"}[o["background"] == "transparent"]
	head := obj("created", d.s.opts.Now().Unix(), "background", background, "output_format", kind, "quality", quality, "size", "1024x1024")
	d.head(x.w.Header(), p)
	if t.stream {
		d.drawEvents(x, len(images) > 0, int(number(o["partial_images"], 0)), picture(prompt, 0, kind), head, usage)
		return
	}
	data := []ordered{}
	for i := range n {
		data = append(data, obj("b64_json", picture(prompt, i, kind)))
	}
	writeJSON(x.w, http.StatusOK, append(obj("created", head[0].value, "data", data), append(head[1:], member{"usage", usage})...))
}

// drawEvents streams an image: pieces of it on the way, and the whole.
func (d *openAI) drawEvents(x *exchange, editing bool, partial int, b64 string, head, usage ordered) {
	name := map[bool]string{true: "image_edit", false: "image_generation"}[editing]
	x.w.Header().Set("Content-Type", eventStream)
	head[0].name = "created_at"
	plain := &delivery{}
	for i := range partial {
		kind := name + ".partial_image"
		x.write(plain.encode(jsonFrame(kind, append(obj("type", kind, "b64_json", b64, "partial_image_index", i), head...)), i))
	}
	kind := name + ".completed"
	x.write(plain.encode(jsonFrame(kind, append(obj("type", kind, "b64_json", b64), append(head, member{"usage", usage})...)), partial))
}

// picture is a small image whose colour the prompt decides. There is no
// encoder for WebP here: its smallest file stands for all.
func picture(prompt string, i int, kind string) string {
	sum := mac([]byte(prompt), string(rune('a'+i)))
	img := image.NewNRGBA(image.Rect(0, 0, 8, 8))
	for k := range 64 {
		img.Set(k%8, k/8, color.NRGBA{sum[0], sum[1], sum[2], 255})
	}
	var b bytes.Buffer
	var err error
	switch kind {
	case "jpeg":
		err = jpeg.Encode(&b, img, nil)
	case "webp":
		return "UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA"
	default:
		err = png.Encode(&b, img)
	}
	if err != nil {
		panic("simulator: " + err.Error()) // into memory: it cannot fail
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}
