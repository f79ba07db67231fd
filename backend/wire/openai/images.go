package openai

import (
	"bytes"
	"encoding/base64"
	"errors"
	"io"
	"iter"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

// DecodeImage reads a request for images: JSON, or a form for edits. What a model takes besides a prompt is its service's
// to say.
func (Codec) DecodeImage(op wire.Op, r *http.Request, body []byte) (*canon.ImageRequest, error) {
	req := &canon.ImageRequest{Format: Name, Op: string(op), Body: body, Type: r.Header.Get("Content-Type")}
	kind, params, _ := mime.ParseMediaType(req.Type) // what is no form is read as JSON
	var err error
	if kind == "multipart/form-data" {
		err = readImageForm(req, params["boundary"])
	} else {
		req.Type = "application/json"
		err = readImageObject(req)
	}
	if err != nil {
		return nil, err
	}
	if strings.TrimSpace(req.Prompt) == "" {
		return nil, apierror.Invalid("prompt", "prompt is required")
	}
	req.Model = req.ModelAsked
	if op == OpEdits {
		req.Sources = func() ([]canon.Media, error) { return imageSources(req, params["boundary"]) }
	}
	return req, nil
}

// imageSources reads the pictures to edit.
func imageSources(req *canon.ImageRequest, boundary string) (out []canon.Media, err error) {
	if boundary == "" {
		return objectSources(req)
	}
	err = eachPart(req.Body, boundary, func(p *multipart.Part) error {
		name := p.FormName()
		if name == "mask" {
			return unsupported("mask", "%s takes no mask: say in words what is to change", req.ModelAsked)
		}
		if name != "image" && !strings.HasPrefix(name, "image[") {
			return nil
		}
		b, err := io.ReadAll(p)
		if err != nil {
			return err
		}
		mime := wire.SniffImage(b)
		if mime == "" {
			return apierror.Invalid(name, "%s is no picture in PNG, JPEG, GIF or WebP", name)
		}
		out = append(out, canon.Media{MIME: mime, Data: b})
		return nil
	})
	return out, err
}

// objectSources reads the pictures of a JSON body: images[].image_url, as data or as an address.
func objectSources(req *canon.ImageRequest) (out []canon.Media, err error) {
	if !isNull(member(req.Body, "mask")) {
		return nil, unsupported("mask", "%s takes no mask: say in words what is to change", req.ModelAsked)
	}
	list := walkArray(member(req.Body, "images"))
	for i := 0; !list.Bad && list.Next(); i++ {
		field := "images[" + strconv.Itoa(i) + "]"
		u := text(member(list.Value, "image_url"))
		switch {
		case u == "":
			return nil, unsupported(field, "%s takes pictures as image_url only: files of another service are not known to it", req.ModelAsked)
		case strings.HasPrefix(u, "data:"):
			mime, data, err := wire.ParseDataURL(u)
			if err != nil {
				return nil, apierror.Invalid(field+".image_url", "%s.image_url is no valid data URL", field)
			}
			out = append(out, canon.Media{MIME: mime, Data: data})
		default:
			out = append(out, canon.Media{URL: u})
		}
	}
	return out, nil
}

func readImageObject(req *canon.ImageRequest) error {
	o, err := wire.ReadBody(req.Body)
	if err != nil {
		return err
	}
	for _, m := range o.Members {
		v := o.Raw[m.ValueStart:m.ValueEnd]
		if v.Kind() == 'n' {
			continue
		}
		switch m.Name {
		case "model":
			err = wire.ReadValue(v, m.Name, &req.ModelAsked)
		case "prompt":
			err = wire.ReadValue(v, m.Name, &req.Prompt)
		case "stream":
			err = wire.ReadValue(v, m.Name, &req.Stream)
		case "n":
			var n *int64
			if n, err = readInt(v, m.Name, 1); err == nil {
				req.N = *n
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// maxField bounds a field of a form that is no file.
const maxField = 1 << 20

// readImageForm reads the fields of a form. The files stay where they are.
func readImageForm(req *canon.ImageRequest, boundary string) error {
	if boundary == "" {
		return apierror.Invalid("", "the form has no boundary in its Content-Type")
	}
	files := 0
	err := eachPart(req.Body, boundary, func(p *multipart.Part) error {
		name := p.FormName()
		if name == "image" || strings.HasPrefix(name, "image[") {
			files++
			return nil
		}
		switch name {
		case "model", "prompt", "stream", "n":
		default:
			return nil
		}
		b, err := io.ReadAll(io.LimitReader(p, maxField+1))
		if err != nil {
			return err
		}
		if len(b) > maxField {
			return apierror.Invalid(name, "%s is too long", name)
		}
		return imageField(req, name, string(b))
	})
	if err != nil {
		if own, ok := errors.AsType[*apierror.Error](err); ok {
			return own
		}
		e := apierror.Invalid("", "the form cannot be read to its end")
		e.Err = err
		return e
	}
	if files == 0 && req.Op == string(OpEdits) {
		return apierror.Invalid("image", "image is required: the picture to edit, as a file")
	}
	return nil
}

func imageField(req *canon.ImageRequest, name, value string) (err error) {
	switch name {
	case "model":
		req.ModelAsked = value
	case "prompt":
		req.Prompt = value
	case "stream":
		if req.Stream, err = strconv.ParseBool(value); err != nil && value != "" {
			return apierror.Invalid(name, "stream must be true or false")
		}
	case "n":
		if req.N, err = strconv.ParseInt(value, 10, 64); err != nil || req.N < 1 {
			return apierror.Invalid(name, "n must be a whole number of at least 1")
		}
	}
	return nil
}

func eachPart(body []byte, boundary string, do func(*multipart.Part) error) error {
	mr := multipart.NewReader(bytes.NewReader(body), boundary)
	for {
		p, err := mr.NextRawPart() // raw: the bytes of a file stay what they are
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err := do(p); err != nil {
			return err
		}
	}
}

// ImageBody writes a request for images to an upstream of this format: the client's body with the upstream's name of the
// model.
func ImageBody(req *canon.ImageRequest) (contentType string, body []byte, err error) {
	if req.Model == req.ModelAsked {
		return req.Type, req.Body, nil
	}
	kind, params, _ := mime.ParseMediaType(req.Type)
	if kind != "multipart/form-data" {
		o, err := canon.ParseObject(req.Body)
		if err != nil {
			return "", nil, apierror.From(err)
		}
		return req.Type, o.AppendEdited(nil, canon.Edit{Name: "model", Value: wire.AppendString(nil, req.Model)}), nil
	}
	var out bytes.Buffer
	out.Grow(len(req.Body) + 256)
	w := multipart.NewWriter(&out)
	if err := w.SetBoundary(params["boundary"]); err != nil {
		return "", nil, apierror.Invalid("", "the boundary of the form is not valid")
	}
	if err := w.WriteField("model", req.Model); err != nil {
		return "", nil, apierror.From(err)
	}
	err = eachPart(req.Body, params["boundary"], func(p *multipart.Part) error {
		if p.FormName() == "model" {
			return nil
		}
		dst, err := w.CreatePart(p.Header)
		if err == nil {
			_, err = io.Copy(dst, p)
		}
		return err
	})
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		return "", nil, apierror.From(err)
	}
	return req.Type, out.Bytes(), nil
}

// ReadImages reads what an upstream of this format makes, in one piece or as a stream, whichever it sends. It never closes
// r. A stream that ends before a picture is finished is a Truncated error.
func ReadImages(r io.Reader) iter.Seq2[canon.ImageEvent, error] {
	return func(yield func(canon.ImageEvent, error) bool) {
		first, r, err := wire.First(r)
		switch {
		case err == io.EOF:
			yield(canon.ImageEvent{}, apierror.New(apierror.Upstream5xx, "the service sent an empty answer"))
		case err != nil:
			yield(canon.ImageEvent{}, wire.ReadError(err))
		case first == '{' || first == '[' || first == '<':
			ev, err := readWholeImages(r)
			yield(ev, err)
		default:
			readImageStream(r, yield)
		}
	}
}

func readWholeImages(r io.Reader) (canon.ImageEvent, error) {
	body, err := io.ReadAll(r)
	if err != nil {
		return canon.ImageEvent{}, wire.ReadError(err)
	}
	body = bytes.TrimSpace(body)
	if oai.LooksHTML(body) {
		return canon.ImageEvent{}, oai.HTMLError(http.StatusOK, body)
	}
	o, err := canon.ParseObject(body)
	if err != nil {
		return canon.ImageEvent{}, apierror.New(apierror.Upstream5xx, "the service sent an answer that is no JSON")
	}
	data := o.Get("data")
	if bodyFailed(o) || data == nil && oai.IsErrorBody(body) {
		return canon.ImageEvent{}, oai.InsideError(body)
	}
	if isNull(data) || data[0] != '[' {
		return canon.ImageEvent{}, apierror.New(apierror.Upstream5xx, "the service sent an answer without images")
	}
	ev := canon.ImageEvent{Done: true, Raw: body}
	if u, ok := oai.ParseUsage(o.Get("usage")); ok {
		ev.Usage = &u
	}
	return ev, nil
}

func readImageStream(r io.Reader, yield func(canon.ImageEvent, error) bool) {
	finished := false
	for f, err := range wire.Frames(r) {
		if err != nil {
			yield(canon.ImageEvent{}, wire.ReadError(err))
			return
		}
		data := bytes.TrimSpace(f.Data)
		if bytes.Equal(data, done) {
			break
		}
		typ := text(member(data, "type"))
		if f.Name == "error" || typ == "error" || !isNull(member(data, "error")) {
			yield(canon.ImageEvent{}, oai.InsideError(data))
			return
		}
		name := f.Name
		if name == "" {
			name = typ
		}
		if name == "" || strings.ContainsAny(name, "\r\n") || len(data) == 0 || data[0] != '{' {
			continue // a comment in disguise
		}
		ev := canon.ImageEvent{Name: name, Raw: data}
		if strings.HasSuffix(name, ".completed") {
			finished = true
		}
		if u, ok := oai.ParseUsage(member(data, "usage")); ok {
			ev.Usage = &u
		}
		if !yield(ev, nil) {
			return
		}
	}
	if !finished {
		yield(canon.ImageEvent{}, apierror.New(apierror.Truncated, "the service closed the stream before an image was finished; try again"))
		return
	}
	yield(canon.ImageEvent{Done: true}, nil)
}

// AppendImages renders an answer in one piece: the service's own, or the finished pictures of one that streamed unasked.
func (Codec) AppendImages(dst []byte, steps []canon.ImageEvent) []byte {
	if n := len(steps); n > 0 && steps[n-1].Done && len(steps[n-1].Raw) > 0 {
		return append(dst, steps[n-1].Raw...)
	}
	if n := len(steps); n > 0 && len(steps[n-1].Pictures) > 0 {
		return appendPictures(dst, steps[n-1])
	}
	created, usage := []byte("0"), []byte(nil)
	dst = append(dst, `{"data":[`...)
	n := 0
	for _, ev := range steps {
		if !strings.HasSuffix(ev.Name, ".completed") {
			continue
		}
		if n > 0 {
			dst = append(dst, ',')
		}
		n++
		dst = append(dst, '{')
		at := len(dst)
		for _, name := range []string{"b64_json", "url", "revised_prompt"} {
			if v := member(ev.Raw, name); !isNull(v) {
				if len(dst) > at {
					dst = append(dst, ',')
				}
				dst = append(append(append(append(dst, '"'), name...), `":`...), v...)
			}
		}
		dst = append(dst, '}')
		if v := member(ev.Raw, "created_at"); number(v) > 0 {
			created = v
		}
		if v := member(ev.Raw, "usage"); !isNull(v) {
			usage = v
		}
	}
	dst = append(append(dst, `],"created":`...), created...)
	if usage != nil {
		dst = append(append(dst, `,"usage":`...), usage...)
	}
	return append(dst, '}')
}

// appendPictures renders what a service of another form made.
func appendPictures(dst []byte, ev canon.ImageEvent) []byte {
	dst = strconv.AppendInt(append(dst, `{"created":`...), ev.Created, 10)
	dst = append(dst, `,"data":[`...)
	for i, p := range ev.Pictures {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = base64.StdEncoding.AppendEncode(append(dst, `{"b64_json":"`...), p.Data)
		dst = append(dst, `"}`...)
	}
	dst = append(dst, ']')
	if u := ev.Usage; u != nil {
		in, out := canon.Known(u.Input), canon.Known(u.Output)
		dst = strconv.AppendInt(append(dst, `,"usage":{"input_tokens":`...), in, 10)
		dst = strconv.AppendInt(append(dst, `,"output_tokens":`...), out, 10)
		dst = strconv.AppendInt(append(dst, `,"total_tokens":`...), in+out, 10)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// NewImageRenderer renders a streamed answer.
func (Codec) NewImageRenderer(req *canon.ImageRequest) wire.Renderer {
	kind := "image_generation"
	if req.Op == string(OpEdits) {
		kind = "image_edit"
	}
	return &imageRenderer{kind: kind}
}

// imageRenderer writes the events of images. It ends with the last picture that is finished, or with an error.
type imageRenderer struct {
	kind  string
	ended bool
}

func (r *imageRenderer) ContentType() string { return "text/event-stream; charset=utf-8" }

func (r *imageRenderer) AppendPing(dst []byte) []byte {
	if r.ended {
		return dst
	}
	return append(dst, ": ping\n\n"...)
}

func (r *imageRenderer) AppendError(dst []byte, e *apierror.Error) []byte {
	if r.ended {
		return dst
	}
	r.ended = true
	_, _, body := oai.Error(e, "")
	return appendImageFrame(dst, "error", body)
}

// AppendEvent writes a step. A service that answered in one piece gives its pictures as finished ones.
func (r *imageRenderer) AppendEvent(dst []byte, ev canon.Event) []byte {
	if r.ended {
		return dst
	}
	if ev.Kind != canon.KindFinish {
		return appendImageFrame(dst, ev.RawName, ev.Raw)
	}
	r.ended = true
	list := walkArray(member(ev.Raw, "data"))
	for !list.Bad && list.Next() {
		dst = appendImageFrame(dst, r.kind+".completed", r.completed(ev.Raw, list.Value))
	}
	return dst
}

// completed makes the event of one picture of a whole answer.
func (r *imageRenderer) completed(whole, picture []byte) []byte {
	b := append(append([]byte(`{"type":"`), r.kind...), `.completed"`...)
	add := func(name string, v []byte) {
		if !isNull(v) {
			b = append(append(append(append(b, `,"`...), name...), `":`...), v...)
		}
	}
	for _, name := range []string{"b64_json", "url", "revised_prompt"} {
		add(name, member(picture, name))
	}
	add("created_at", member(whole, "created"))
	for _, name := range []string{"size", "quality", "background", "output_format", "usage"} {
		add(name, member(whole, name))
	}
	return append(b, '}')
}

func appendImageFrame(dst []byte, name string, data []byte) []byte {
	dst = append(append(append(dst, "event: "...), name...), "\ndata: "...)
	dst = append(dst, oneLine(data)...)
	return append(dst, "\n\n"...)
}

// oneLine takes line ends out of JSON: they can only stand between its tokens.
func oneLine(data []byte) []byte {
	if bytes.IndexByte(data, '\n') < 0 && bytes.IndexByte(data, '\r') < 0 {
		return data
	}
	v := jsontext.Value(bytes.Clone(data))
	if v.Compact() != nil {
		return bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("\r"), nil), []byte("\n"), []byte(" "))
	}
	return v
}
