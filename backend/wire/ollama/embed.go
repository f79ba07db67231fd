package ollama

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// oldMember marks a request of the old form, which has one prompt and one vector. It never goes out.
const oldMember = "$embeddings"

// DecodeEmbed reads a request for embeddings, in the form of today or the old one.
func (Codec) DecodeEmbed(op wire.Op, _ *http.Request, body []byte) (*canon.Embed, error) {
	o, err := wire.ReadBody(body)
	if err != nil {
		return nil, err
	}
	e := &canon.Embed{Format: Name, Body: o, Began: time.Now(), Ext: map[string]jsontext.Value{}}
	if err := wire.ReadMember(o, "model", &e.ModelAsked); err != nil {
		return nil, err
	}
	if e.ModelAsked == "" {
		return nil, apierror.Invalid("model", "model is required")
	}
	e.Model = e.ModelAsked
	name := "input"
	if op == OpEmbeddings {
		name = "prompt"
		e.Ext[oldMember] = yes
	}
	if err := readInputs(e, o, name); err != nil {
		return nil, err
	}
	if v := o.Get("dimensions"); len(v) > 0 && v.Kind() != 'n' {
		if e.Dimensions, err = readInt(v, "dimensions"); err != nil {
			return nil, err
		}
		if *e.Dimensions < 1 {
			return nil, apierror.Invalid("dimensions", "dimensions must be at least 1")
		}
	}
	for _, m := range o.Members {
		switch m.Name {
		case "model", "dimensions", name:
		default:
			if v := o.Raw[m.ValueStart:m.ValueEnd]; v.Kind() != 'n' {
				e.Ext[m.Name] = v
			}
		}
	}
	return e, nil
}

func readInputs(e *canon.Embed, o canon.Object, name string) error {
	v := o.Get(name)
	if blank(v) {
		return apierror.Invalid(name, "%s is required and must not be empty", name)
	}
	if v.Kind() == '[' && name == "input" {
		return wire.ReadValue(v, name, &e.Inputs)
	}
	e.Inputs = make([]string, 1)
	return wire.ReadValue(v, name, &e.Inputs[0])
}

// AppendEmbed renders vectors.
func (Codec) AppendEmbed(dst []byte, req *canon.Embed, resp *canon.Embeddings) ([]byte, error) {
	if req.Ext[oldMember] != nil {
		var one []float32
		if len(resp.Vectors) > 0 {
			one = resp.Vectors[0]
		}
		return append(appendVector(append(dst, `{"embedding":`...), one), '}'), nil
	}
	dst = wire.AppendString(append(dst, `{"model":`...), req.ModelAsked)
	dst = append(dst, `,"embeddings":[`...)
	for i, v := range resp.Vectors {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendVector(dst, v)
	}
	took, tokens := int64(1), int64(0)
	if !req.Began.IsZero() {
		took = max(int64(time.Since(req.Began)), 1)
	}
	if resp.Usage != nil {
		tokens = canon.Known(resp.Usage.Input)
	}
	dst = strconv.AppendInt(append(dst, `],"total_duration":`...), took, 10)
	dst = append(dst, `,"load_duration":0,"prompt_eval_count":`...)
	return append(strconv.AppendInt(dst, tokens, 10), '}'), nil
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

// EmbedRequest writes a request for embeddings to /api/embed of an upstream.
func EmbedRequest(e *canon.Embed) ([]byte, error) {
	if len(e.Tokens) > 0 {
		return nil, unsupported("input", "%s takes text only, no token ids", e.ModelAsked)
	}
	b := wire.AppendString([]byte(`{"model":`), e.Model)
	v, err := wire.Marshal(e.Inputs)
	if err != nil {
		return nil, apierror.From(err)
	}
	b = append(append(b, `,"input":`...), v...)
	if e.Dimensions != nil {
		b = strconv.AppendInt(append(b, `,"dimensions":`...), *e.Dimensions, 10)
	}
	if e.Format == Name {
		b = appendExt(b, e.Ext)
	}
	return append(b, '}'), nil
}

// ParseEmbeddings reads the vectors that /api/embed answers.
func ParseEmbeddings(body []byte) (*canon.Embeddings, error) {
	var in struct {
		Model      string      `json:"model"`
		Embeddings [][]float32 `json:"embeddings"`
		Tokens     *int64      `json:"prompt_eval_count"`
	}
	if err := wire.ReadValue(body, "", &in); err != nil || len(in.Embeddings) == 0 {
		e := apierror.New(apierror.Upstream5xx, "the service sent no embeddings")
		e.Err = err
		return nil, e
	}
	out := &canon.Embeddings{Model: in.Model, Vectors: in.Embeddings}
	if in.Tokens != nil {
		u := canon.UnknownUsage()
		u.Input = *in.Tokens
		out.Usage = &u
	}
	return out, nil
}
