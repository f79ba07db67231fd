package gemini

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

// AppendModels renders the model list. It is whole unless the client asks for pages.
func (Codec) AppendModels(dst []byte, r *http.Request, models []canon.Model) ([]byte, error) {
	q := r.URL.Query()
	from, err := strconv.Atoi(q.Get("pageToken"))
	if err != nil || from < 0 || from > len(models) {
		if q.Get("pageToken") != "" {
			return dst, apierror.Invalid("pageToken", "pageToken is not one that this list gave out")
		}
		from = 0
	}
	page := models[from:]
	if n, err := strconv.Atoi(q.Get("pageSize")); err == nil && n > 0 && n < len(page) {
		page = page[:n]
	}
	w := writer{b: append(dst, '{')}
	w.begin("models", '[')
	for i := range page {
		w.model(&page[i])
	}
	w.close(']')
	if next := from + len(page); next < len(models) {
		w.str("nextPageToken", strconv.Itoa(next))
	}
	w.close('}')
	return w.b, nil
}

// AppendModel renders one entry of the model list.
func (Codec) AppendModel(dst []byte, _ *http.Request, m canon.Model) ([]byte, error) {
	w := writer{}
	w.model(&m)
	return append(dst, w.b...), nil
}

func (w *writer) model(m *canon.Model) {
	name := m.Name
	if name == "" {
		name = m.ID
	}
	w.open('{')
	w.str("name", modelPrefix+m.ID)
	w.str("baseModelId", m.ID)
	w.str("version", "001")
	w.str("displayName", name)
	if m.Context > 0 {
		w.int("inputTokenLimit", m.Context)
	}
	if m.MaxOutput > 0 {
		w.int("outputTokenLimit", m.MaxOutput)
	}
	w.begin("supportedGenerationMethods", '[')
	if m.Embeddings == canon.Yes {
		w.text("embedContent")
		w.text("batchEmbedContents")
	} else {
		w.text("generateContent")
		w.text("streamGenerateContent")
		w.text("countTokens")
	}
	w.close(']')
	if m.Thinking != canon.Unknown {
		w.bool("thinking", m.Thinking == canon.Yes)
	}
	w.close('}')
}

// ParseModels reads one page of a model list: the models that answer or embed, with what is known of them. next is the
// token of the page that follows, "" on the last.
func ParseModels(body []byte) (models []canon.Model, next string, err error) {
	var list struct {
		Models []struct {
			Name        string   `json:"name"`
			DisplayName string   `json:"displayName"`
			Input       int64    `json:"inputTokenLimit"`
			Output      int64    `json:"outputTokenLimit"`
			Methods     []string `json:"supportedGenerationMethods"`
			Thinking    *bool    `json:"thinking"`
		} `json:"models"`
		Next string `json:"nextPageToken"`
	}
	if err := json.Unmarshal(body, &list, wire.Lenient); err != nil {
		e := apierror.New(apierror.Upstream5xx, "the service sent a model list that cannot be read")
		e.Err = err
		return nil, "", e
	}
	for _, in := range list.Models {
		m := listedModel(in.Name)
		m.Name = in.DisplayName
		embeds := slices.Contains(in.Methods, "embedContent")
		if m.ID == "" || !embeds && len(in.Methods) > 0 && !slices.Contains(in.Methods, "generateContent") {
			continue
		}
		if embeds {
			m.Embeddings = canon.Yes
		}
		if in.Input > 0 {
			m.Context = in.Input
		}
		if in.Output > 0 {
			m.MaxOutput = in.Output
		}
		if in.Thinking != nil && !*in.Thinking {
			m.Thinking, m.Efforts, m.BudgetMin, m.BudgetMax = canon.No, nil, 0, 0
		} else if in.Thinking != nil {
			m.Thinking = canon.Yes
		}
		models = append(models, m)
	}
	return models, list.Next, nil
}

// listedModel returns what is known of a model by the name in a list. A publisher's models are called by their own name, a
// tuned model by its collection and name.
func listedModel(name string) canon.Model {
	id := strings.TrimPrefix(name, modelPrefix)
	if _, own, ok := strings.Cut(id, "/models/"); ok && strings.HasPrefix(id, "publishers/") {
		id = own
	}
	m := KnownModel(id[strings.LastIndexByte(id, '/')+1:])
	m.ID = id
	return m
}
