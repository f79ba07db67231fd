package ollama

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// sinceEpoch stands for the age of a model that is not known: 2026-01-01. It must not change between calls.
const sinceEpoch = 1767225600

// AppendModels renders the list of models, the newest first and then by name.
func (c Codec) AppendModels(dst []byte, _ *http.Request, models []canon.Model) ([]byte, error) {
	models = slices.Clone(models)
	slices.SortStableFunc(models, func(a, b canon.Model) int {
		if ta, tb := modified(a), modified(b); !ta.Equal(tb) {
			return tb.Compare(ta)
		}
		return strings.Compare(a.ID, b.ID)
	})
	dst = append(dst, `{"models":[`...)
	for i, m := range models {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendEntry(dst, m), `,"modified_at":"`...)
		dst = append(modified(m).AppendFormat(dst, time.RFC3339), `"}`...)
	}
	return append(dst, "]}"...), nil
}

func modified(m canon.Model) time.Time {
	if m.Created > 0 {
		return time.Unix(m.Created, 0).UTC()
	}
	return time.Unix(sinceEpoch, 0).UTC()
}

// appendEntry appends what lists say of a model, without the end of the object. The digest stands for the name: it stays
// the same as long as the name does.
func appendEntry(dst []byte, m canon.Model) []byte {
	sum := sha256.Sum256([]byte(m.ID))
	dst = wire.AppendString(append(dst, `{"name":`...), m.ID)
	dst = wire.AppendString(append(dst, `,"model":`...), m.ID)
	dst = append(dst, `,"size":0,"digest":"`...)
	dst = append(hex.AppendEncode(dst, sum[:]), '"')
	return appendDetails(append(dst, `,"details":`...), m)
}

// appendDetails appends what Ollama tells of a model's file. There is no file; clients want the members all the same.
func appendDetails(dst []byte, m canon.Model) []byte {
	f := wire.AppendString(nil, family(m.ID))
	dst = append(append(dst, `{"parent_model":"","format":"gguf","family":`...), f...)
	dst = append(append(dst, `,"families":[`...), f...)
	return append(dst, `],"parameter_size":"","quantization_level":""}`...)
}

// family is the maker's word at the head of a model's id: "claude", "gpt", "qwen3". Clients use it to find members of
// model_info, so it holds letters and digits only.
func family(id string) string {
	if rest, ok := strings.CutPrefix(id, "["); ok {
		if _, name, ok := strings.Cut(rest, "] "); ok {
			id = name
		}
	}
	id = strings.ToLower(id[strings.LastIndexByte(id, '/')+1:])
	end := strings.IndexFunc(id, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	if end < 0 {
		end = len(id)
	}
	if end == 0 {
		return "model"
	}
	return id[:end]
}

// AppendModel renders the description of a model. Clients read the size of the context in model_info and what the model
// can do in capabilities: agents leave out models without "tools".
func (Codec) AppendModel(dst []byte, _ *http.Request, m canon.Model) ([]byte, error) {
	arch := family(m.ID)
	dst = append(dst, `{"license":"","modelfile":"# Patchbay","parameters":"","template":"{{ .Prompt }}","details":`...)
	dst = appendDetails(dst, m)
	dst = wire.AppendString(append(dst, `,"model_info":{"general.architecture":`...), arch)
	dst = append(dst, `,"general.parameter_count":0,"`...)
	dst = strconv.AppendInt(append(append(dst, arch...), `.context_length":`...), contextOf(m), 10)
	dst = append(append(append(dst, `,"`...), arch...), `.embedding_length":0},"capabilities":[`...)
	for i, c := range capabilities(m) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = wire.AppendString(dst, c)
	}
	dst = append(dst, `],"modified_at":"`...)
	return append(modified(m).AppendFormat(dst, time.RFC3339), `"}`...), nil
}

// usualContext is what a model of unknown context is said to have. It is only shown: no prompt is cut by it.
const usualContext = 131072

func contextOf(m canon.Model) int64 {
	if m.Context > 0 {
		return m.Context
	}
	return usualContext
}

// plainID is a model's name without label and folders, in lower case.
func plainID(id string) string {
	if _, rest, ok := strings.Cut(id, "] "); ok && strings.HasPrefix(id, "[") {
		id = rest
	}
	return strings.ToLower(id[strings.LastIndexByte(id, '/')+1:])
}

// seeing are the beginnings of names of model families that read images in all their chat models.
var seeing = []string{"claude", "gemini", "gpt-4o", "gpt-4.1", "gpt-5", "gpt-6"}

// capabilities are what a model can do, in Ollama's words (types/model of Ollama v0.17.4). Tools are assumed where
// nothing is known: without the word agents do not even show the model.
func capabilities(m canon.Model) []string {
	if m.Embeddings == canon.Yes {
		return []string{"embedding"}
	}
	out := []string{"completion"}
	if m.Tools != canon.No {
		out = append(out, "tools")
	}
	sees := m.Images == canon.Yes
	if m.Images == canon.Unknown {
		id := plainID(m.ID)
		sees = slices.ContainsFunc(seeing, func(p string) bool { return strings.HasPrefix(id, p) })
	}
	if sees {
		out = append(out, "vision")
	}
	if m.Thinking == canon.Yes {
		out = append(out, "thinking")
	}
	return out
}

// AppendRunning renders the models in use.
func (Codec) AppendRunning(dst []byte, models []wire.Running) []byte {
	dst = append(dst, `{"models":[`...)
	for i, r := range models {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendEntry(dst, r.Model), `,"expires_at":"`...)
		dst = append(r.Until.UTC().AppendFormat(dst, time.RFC3339Nano), `","size_vram":0,"context_length":`...)
		dst = append(strconv.AppendInt(dst, contextOf(r.Model), 10), '}')
	}
	return append(dst, "]}"...)
}

// LookupName reads the name of the model that a show or pull request is about: model, or name as it used to be.
func (Codec) LookupName(_ wire.Op, body []byte) (string, error) {
	o, err := wire.ReadBody(body)
	if err != nil {
		return "", err
	}
	var model, name string
	if err := wire.ReadMember(o, "model", &model); err != nil {
		return "", err
	}
	if err := wire.ReadMember(o, "name", &name); err != nil {
		return "", err
	}
	if model == "" {
		model = name
	}
	if model == "" {
		return "", apierror.Invalid("model", "model is required")
	}
	return model, nil
}

// AppendLookup answers show and pull. Pulling a model that is listed is done before it began.
func (c Codec) AppendLookup(dst []byte, op wire.Op, body []byte, name string, m *canon.Model) (int, string, []byte) {
	switch {
	case op == OpPull && m == nil:
		return http.StatusInternalServerError, jsonType, append(dst, `{"error":"pull model manifest: file does not exist"}`...)
	case m == nil:
		e := apierror.New(apierror.ModelNotFound, "model '%s' not found", name)
		return http.StatusNotFound, jsonType, appendError(dst, e)
	case op == OpShow:
		dst, _ = c.AppendModel(dst, nil, *m) // never fails
		return http.StatusOK, jsonType, dst
	}
	if wantsStream(body) {
		return http.StatusOK, streamType, append(dst, "{\"status\":\"pulling manifest\"}\n{\"status\":\"success\"}\n"...)
	}
	return http.StatusOK, jsonType, append(dst, `{"status":"success"}`...)
}

// wantsStream reads stream, which is true unless it is false.
func wantsStream(body []byte) bool {
	o, err := canon.ParseObject(body)
	return err != nil || o.Get("stream").Kind() != jsontext.Kind('f')
}
