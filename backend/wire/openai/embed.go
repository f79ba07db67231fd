package openai

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"net/http"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
	"patchbay/backend/wire/oai"
)

// DecodeEmbed reads a request for embeddings.
func (Codec) DecodeEmbed(_ wire.Op, _ *http.Request, body []byte) (*canon.Embed, error) {
	o, err := wire.ReadBody(body)
	if err != nil {
		return nil, err
	}
	e := &canon.Embed{Format: Name, Body: o}
	for _, m := range o.Members {
		v := o.Raw[m.ValueStart:m.ValueEnd]
		if v.Kind() == 'n' {
			continue
		}
		if err := embedMember(e, m.Name, v); err != nil {
			return nil, err
		}
	}
	switch {
	case e.ModelAsked == "":
		return nil, apierror.Invalid("model", "model is required")
	case len(e.Inputs) == 0 && len(e.Tokens) == 0:
		return nil, apierror.Invalid("input", "input is required and must not be empty")
	}
	e.Model = e.ModelAsked
	return e, nil
}

func embedMember(e *canon.Embed, name string, v jsontext.Value) (err error) {
	switch name {
	case "model":
		return wire.ReadValue(v, name, &e.ModelAsked)
	case "input":
		return readInput(e, v)
	case "dimensions":
		e.Dimensions, err = readInt(v, name, 1)
		return err
	case "encoding_format":
		switch f := text(v); f {
		case "float", "base64":
			e.Base64 = f == "base64"
			return nil
		}
		return apierror.Invalid(name, "encoding_format must be float or base64")
	case "user":
		return wire.ReadValue(v, name, &e.UserID)
	}
	if e.Ext == nil {
		e.Ext = map[string]jsontext.Value{}
	}
	e.Ext[name] = v
	return nil
}

// readInput reads a text, texts, the token ids of one, or those of several.
func readInput(e *canon.Embed, v jsontext.Value) error {
	if v.Kind() == '"' {
		if s := text(v); s != "" {
			e.Inputs = []string{s}
		}
		return nil
	}
	c := walkArray(v)
	if !c.Next() {
		if c.Bad {
			return apierror.Invalid("input", "input must be a string or an array")
		}
		return nil
	}
	switch c.Value[0] {
	case '"':
		return wire.ReadValue(v, "input", &e.Inputs)
	case '[':
		return wire.ReadValue(v, "input", &e.Tokens)
	default:
		var one []int64
		err := wire.ReadValue(v, "input", &one)
		e.Tokens = [][]int64{one}
		return err
	}
}

// AppendEmbed renders vectors as the client asked for them: numbers, or base64 of little-endian float32, which the
// official SDKs ask for by themselves.
func (Codec) AppendEmbed(dst []byte, req *canon.Embed, resp *canon.Embeddings) ([]byte, error) {
	dst = append(dst, `{"object":"list","data":[`...)
	for i, v := range resp.Vectors {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(append(dst, `{"object":"embedding","index":`...), int64(i), 10)
		dst = append(dst, `,"embedding":`...)
		if req.Base64 {
			dst = appendVector64(dst, v)
		} else {
			dst = appendVector(dst, v)
		}
		dst = append(dst, '}')
	}
	dst = wire.AppendString(append(dst, `],"model":`...), req.ModelAsked)
	n := int64(0)
	if resp.Usage != nil {
		n = canon.Known(resp.Usage.Input)
	}
	dst = strconv.AppendInt(append(dst, `,"usage":{"prompt_tokens":`...), n, 10)
	dst = strconv.AppendInt(append(dst, `,"total_tokens":`...), n, 10)
	return append(dst, "}}"...), nil
}

func appendVector(dst []byte, v []float32) []byte {
	dst = append(dst, '[')
	for i, f := range v {
		if i > 0 {
			dst = append(dst, ',')
		}
		if f64 := float64(f); math.IsNaN(f64) || math.IsInf(f64, 0) {
			f = 0
		}
		dst = strconv.AppendFloat(dst, float64(f), 'g', -1, 32)
	}
	return append(dst, ']')
}

func appendVector64(dst []byte, v []float32) []byte {
	raw := make([]byte, 0, 4*len(v))
	for _, f := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(f))
	}
	return append(base64.StdEncoding.AppendEncode(append(dst, '"'), raw), '"')
}

// EmbedRequest writes a request for embeddings to an upstream. Numbers are asked for as they come: not every service
// knows base64.
func EmbedRequest(e *canon.Embed, o Options) ([]byte, error) {
	b := wire.AppendString([]byte(`{"model":`), e.Model)
	var input any = e.Inputs
	switch {
	case len(e.Tokens) == 1:
		input = e.Tokens[0]
	case len(e.Tokens) > 1:
		input = e.Tokens
	case len(e.Inputs) == 1:
		input = e.Inputs[0]
	}
	v, err := wire.Marshal(input)
	if err != nil {
		return nil, apierror.From(err)
	}
	b = append(append(b, `,"input":`...), v...)
	if e.Dimensions != nil && !slices.Contains(o.Drop, "dimensions") {
		b = strconv.AppendInt(append(b, `,"dimensions":`...), *e.Dimensions, 10)
	}
	if o.OwnHost {
		b = append(b, `,"encoding_format":"base64"`...)
	}
	if e.UserID != "" && e.Format == Name && !slices.Contains(o.Drop, "user") {
		b = wire.AppendString(append(b, `,"user":`...), e.UserID)
	}
	if e.Format == Name {
		b = appendExt(b, e.Ext)
	}
	return append(b, '}'), nil
}

// ParseEmbeddings reads the vectors, numbers or base64, in the order of the inputs.
func ParseEmbeddings(body []byte) (*canon.Embeddings, error) {
	var in struct {
		Model string `json:"model"`
		Data  []struct {
			Index     int            `json:"index"`
			Embedding jsontext.Value `json:"embedding"`
		} `json:"data"`
	}
	if o, err := canon.ParseObject(body); err != nil {
		return nil, apierror.New(apierror.Upstream5xx, "the service sent embeddings that are no JSON")
	} else if bodyFailed(o) || o.Get("data") == nil && oai.IsErrorBody(body) {
		return nil, oai.InsideError(body)
	}
	if err := wire.ReadValue(body, "", &in); err != nil || len(in.Data) == 0 {
		e := apierror.New(apierror.Upstream5xx, "the service sent no embeddings")
		e.Err = err
		return nil, e
	}
	slices.SortStableFunc(in.Data, func(a, b struct {
		Index     int            `json:"index"`
		Embedding jsontext.Value `json:"embedding"`
	}) int {
		return a.Index - b.Index
	})
	out := &canon.Embeddings{Model: in.Model}
	for _, d := range in.Data {
		v, err := parseVector(d.Embedding)
		if err != nil {
			return nil, err
		}
		out.Vectors = append(out.Vectors, v)
	}
	if u, ok := oai.ParseUsage(member(body, "usage")); ok {
		out.Usage = &u
	}
	return out, nil
}

func parseVector(v jsontext.Value) ([]float32, error) {
	bad := apierror.New(apierror.Upstream5xx, "the service sent an embedding that is no vector")
	if v.Kind() != '"' {
		var out []float32
		if wire.ReadValue(v, "embedding", &out) != nil {
			return nil, bad
		}
		return out, nil
	}
	raw, err := wire.DecodeBase64(text(v))
	if err != nil || len(raw)%4 != 0 {
		return nil, bad
	}
	out := make([]float32, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return out, nil
}
