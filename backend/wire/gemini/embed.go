package gemini

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// embedJSON is one text to embed.
type embedJSON struct {
	Model   jsontext.Value            `json:"model"`
	Content systemJSON                `json:"content"`
	Size    *int64                    `json:"outputDimensionality"`
	Ext     map[string]jsontext.Value `json:",embed"`
}

// DecodeEmbed reads a request for embeddings: of one text, or of several.
func (c Codec) DecodeEmbed(op wire.Op, r *http.Request, body []byte) (*canon.Embed, error) {
	if op == OpAction {
		op, _ = c.Route(r)
	}
	model, _ := splitAction(r)
	o, err := wire.ReadBody(body)
	if err != nil {
		return nil, err
	}
	e := &canon.Embed{Format: Name, ModelAsked: model, Body: o}
	list := []embedJSON{{}}
	if op == OpBatchEmbed {
		keep(&e.Ext, batchMember, yes)
		list = nil
		if err := readMember(o, "requests", &list); err != nil {
			return nil, err
		}
		if len(list) == 0 {
			return nil, apierror.Invalid("requests", "requests: at least one text is required")
		}
	} else if err := readValue(o.Raw, "", &list[0]); err != nil {
		return nil, err
	}
	for i := range list {
		path := "content"
		if op == OpBatchEmbed {
			path = "requests[" + strconv.Itoa(i) + "].content"
		}
		text, err := embedText(list[i].Content.parts, path)
		if err != nil {
			return nil, err
		}
		e.Inputs = append(e.Inputs, text)
	}
	e.Dimensions = list[0].Size
	for name, v := range camelKeys(list[0].Ext) {
		keep(&e.Ext, name, v)
	}
	return e, nil
}

func embedText(parts []partJSON, path string) (string, error) {
	var b strings.Builder
	for i := range parts {
		if parts[i].Text == nil {
			return "", invalid(path+".parts["+strconv.Itoa(i)+"]", "must be text")
		}
		b.WriteString(*parts[i].Text)
	}
	if b.Len() == 0 {
		return "", invalid(path, "must hold text")
	}
	return b.String(), nil
}

// AppendEmbed renders embeddings in the form of the call that asked for them.
func (Codec) AppendEmbed(dst []byte, req *canon.Embed, resp *canon.Embeddings) ([]byte, error) {
	w := writer{b: append(dst, '{')}
	vector := func(v []float32) {
		w.begin("values", '[')
		for _, f := range v {
			w.sep()
			w.b = strconv.AppendFloat(w.b, float64(f), 'g', -1, 32)
		}
		w.close(']')
		w.close('}')
	}
	if len(req.Ext[batchMember]) > 0 {
		w.begin("embeddings", '[')
		for _, v := range resp.Vectors {
			w.open('{')
			vector(v)
		}
		w.close(']')
	} else {
		if len(resp.Vectors) != 1 {
			return dst, apierror.New(apierror.Upstream5xx, "the service sent %d embeddings for one text", len(resp.Vectors))
		}
		w.begin("embedding", '{')
		vector(resp.Vectors[0])
	}
	w.close('}')
	return w.b, nil
}

// NewEmbed writes a request for embeddings. batch says which method it is for: batchEmbedContents, else embedContent.
func NewEmbed(req *canon.Embed) (body []byte, batch bool, err error) {
	if len(req.Tokens) > 0 {
		return nil, false, unsupported("input", "input: this model takes texts only, no token ids")
	}
	if len(req.Inputs) == 0 {
		return nil, false, apierror.Invalid("input", "input: at least one text is required")
	}
	batch = len(req.Inputs) > 1 || len(req.Ext[batchMember]) > 0
	own := req.Format == Name
	if own && len(req.Body.Raw) > 0 {
		body, err = editEmbed(req, batch)
		return body, batch, err
	}
	w := writer{}
	one := func(text string) {
		w.open('{')
		w.str("model", modelPrefix+req.Model)
		w.begin("content", '{')
		w.begin("parts", '[')
		appendText(&w, text, false, "")
		w.close(']')
		w.close('}')
		w.optInt("outputDimensionality", req.Dimensions)
		if own {
			w.ext(req.Ext)
		}
		w.close('}')
	}
	if !batch {
		one(req.Inputs[0])
		return w.b, false, nil
	}
	w.open('{')
	w.begin("requests", '[')
	for _, text := range req.Inputs {
		one(text)
	}
	w.close(']')
	w.close('}')
	return w.b, true, nil
}

// editEmbed puts the upstream's model into the client's own body.
func editEmbed(req *canon.Embed, batch bool) ([]byte, error) {
	model := canon.Edit{Name: "model", Value: wire.AppendString(nil, modelPrefix+req.Model)}
	if !batch {
		return req.Body.AppendEdited(nil, model), nil
	}
	var list []jsontext.Value
	if err := readMember(req.Body, "requests", &list); err != nil {
		return nil, err
	}
	w := writer{}
	w.open('[')
	for _, v := range list {
		o, err := canon.ParseObject(v)
		if err != nil {
			return nil, invalid("requests", "must hold objects")
		}
		w.sep()
		w.b = o.AppendEdited(w.b, model)
	}
	w.close(']')
	return req.Body.AppendEdited(nil, canon.Edit{Name: "requests", Value: w.b}), nil
}

// ParseEmbed reads the answer of either method.
func ParseEmbed(body []byte) (*canon.Embeddings, error) {
	type values struct {
		Values []float32 `json:"values"`
	}
	var in struct {
		One   *values   `json:"embedding"`
		Many  []values  `json:"embeddings"`
		Usage usageJSON `json:"usageMetadata"`
	}
	err := json.Unmarshal(body, &in, wire.Lenient)
	if in.One != nil {
		in.Many = append(in.Many, *in.One)
	}
	if err != nil || len(in.Many) == 0 {
		e := apierror.New(apierror.Upstream5xx, "the service sent embeddings that cannot be read")
		e.Err = err
		return nil, e
	}
	out := &canon.Embeddings{}
	for _, v := range in.Many {
		out.Vectors = append(out.Vectors, v.Values)
	}
	if in.Usage.Prompt > 0 {
		u := canon.UnknownUsage()
		u.Input = in.Usage.Prompt
		out.Usage = &u
	}
	return out, nil
}
