package oai

import (
	"slices"
	"strconv"
	"strings"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
)

// sinceEpoch stands for the age of a model that is not known: 2026-01-01. It must not change between calls.
const sinceEpoch = 1767225600

// AppendModels renders the model list.
func AppendModels(dst []byte, models []canon.Model) []byte {
	dst = append(dst, `{"object":"list","data":[`...)
	for i, m := range models {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendModel(dst, m)
	}
	return append(dst, "]}"...)
}

// AppendModel renders one entry of the model list.
func AppendModel(dst []byte, m canon.Model) []byte {
	created, owner := m.Created, m.Provider
	if created <= 0 {
		created = sinceEpoch
	}
	if owner == "" {
		owner = "patchbay"
	}
	dst = AppendString(append(dst, `{"id":`...), m.ID)
	dst = strconv.AppendInt(append(dst, `,"object":"model","created":`...), created, 10)
	dst = AppendString(append(dst, `,"owned_by":`...), owner)
	if m.Name != "" && m.Name != m.ID {
		dst = AppendString(append(dst, `,"name":`...), m.Name)
	}
	if m.Context > 0 {
		dst = strconv.AppendInt(append(dst, `,"context_length":`...), m.Context, 10)
		dst = strconv.AppendInt(append(dst, `,"max_model_len":`...), m.Context, 10)
	}
	return append(dst, '}')
}

// ParseModels reads a model list in any of the shapes that services of this format send: data, models or a bare array;
// id, name or model. Models that can neither chat nor embed nor make images are left out.
func ParseModels(body []byte) ([]canon.Model, error) {
	list := body
	if o := WalkObject(body); !o.Bad {
		for o.Next() {
			if n := string(o.Name); n == "data" || n == "models" {
				list = o.Value
			}
		}
		if o.Bad {
			return nil, apierror.New(apierror.Upstream5xx, "the service's model list is no JSON")
		}
	}
	c := WalkArray(list)
	if c.Bad {
		return nil, apierror.New(apierror.Upstream5xx, "the service sent no model list")
	}
	var out []canon.Model
	for c.Next() {
		m, other := parseModel(c.Value)
		if m.ID == "" || other || otherUse(m.ID) {
			continue
		}
		if pictures(m.ID) {
			m.Pictures = canon.Yes
		}
		out = append(out, m)
	}
	if c.Bad {
		return nil, apierror.New(apierror.Upstream5xx, "the service's model list is no JSON")
	}
	return out, nil
}

// parseModel reads one entry. other reports a model for another use than chat, embeddings and images.
func parseModel(v []byte) (m canon.Model, other bool) {
	if len(v) > 0 && v[0] == '"' {
		return canon.Model{ID: Text(v)}, false
	}
	var id, name, model string
	c := WalkObject(v)
	for c.Next() {
		switch string(c.Name) {
		case "id":
			id = Text(c.Value)
		case "name":
			name = Text(c.Value)
		case "model":
			model = Text(c.Value)
		case "display_name":
			m.Name = Text(c.Value)
		case "created":
			m.Created = max(Number(c.Value), 0)
		case "context_length", "context_window", "max_model_len", "max_context_length":
			m.Context = max(Number(c.Value), m.Context)
		case "max_completion_tokens":
			m.MaxOutput = max(Number(c.Value), m.MaxOutput)
		case "top_provider":
			m.MaxOutput = max(Number(Member(c.Value, "max_completion_tokens")), m.MaxOutput)
		case "limits": // GitHub's catalog
			m.Context = max(Number(Member(c.Value, "max_input_tokens")), m.Context)
			m.MaxOutput = max(Number(Member(c.Value, "max_output_tokens")), m.MaxOutput)
		case "type":
			other = !useOf(&m, Text(c.Value))
		default:
			parseAbility(&m, string(c.Name), c.Value)
		}
	}
	for _, s := range []string{id, name, model} {
		if m.ID == "" {
			m.ID = strings.TrimPrefix(s, "models/")
		}
	}
	if m.Name == "" && id != "" {
		m.Name = name
	}
	if strings.Contains(m.ID, "embed") {
		m.Embeddings = canon.Yes
	}
	return m, other
}

// useOf notes what a model is for, as LM Studio and Together say it. It reports false for what nobody can use here.
func useOf(m *canon.Model, typ string) bool {
	switch typ {
	case "embedding", "embeddings":
		m.Embeddings = canon.Yes
	case "image":
		m.Pictures = canon.Yes
	case "vlm":
		m.Images = canon.Yes
	case "audio", "video", "moderation", "rerank", "transcribe":
		return false
	}
	return true
}

// parseAbility reads what Kimi, OpenRouter, Mistral, GitHub and LM Studio tell of a model besides its name.
func parseAbility(m *canon.Model, name string, v []byte) {
	switch name {
	case "supports_reasoning":
		m.Thinking = yesNo(v)
	case "supports_image_in":
		m.Images = yesNo(v)
	case "architecture":
		if in := Member(v, "input_modalities"); in != nil {
			m.Images = listed(in, "image")
			m.Documents = listed(in, "file")
			m.Audio = listed(in, "audio")
		}
		if out := Member(v, "output_modalities"); listed(out, "image") == canon.Yes && listed(out, "text") == canon.No {
			m.Pictures = canon.Yes
		}
	case "supported_input_modalities":
		m.Images, m.Audio = listed(v, "image"), listed(v, "audio")
	case "supported_parameters":
		m.Tools, m.Thinking = listed(v, "tools"), listed(v, "reasoning")
		m.Schema = listed(v, "structured_outputs")
	case "capabilities":
		if v[0] == '[' { // GitHub, LM Studio
			if listed(v, "tool-calling") == canon.Yes || listed(v, "tool_use") == canon.Yes {
				m.Tools = canon.Yes // a list without it may only be short
			}
			break
		}
		if t := Member(v, "function_calling"); t != nil {
			m.Tools = yesNo(t)
		}
		if t := Member(v, "vision"); t != nil {
			m.Images = yesNo(t)
		}
	}
}

func yesNo(v []byte) canon.Known3 {
	switch string(v) {
	case "true":
		return canon.Yes
	case "false":
		return canon.No
	default:
		return canon.Unknown
	}
}

func listed(v []byte, want string) canon.Known3 {
	c := WalkArray(v)
	if c.Bad {
		return canon.Unknown
	}
	for c.Next() {
		if Text(c.Value) == want {
			return canon.Yes
		}
	}
	return canon.No
}

// pictures reports OpenAI's models that make images and do nothing else.
func pictures(id string) bool {
	for _, p := range []string{"dall-e", "gpt-image", "chatgpt-image"} {
		if strings.HasPrefix(id, p) {
			return true
		}
	}
	return false
}

// otherUse reports OpenAI's models that neither chat nor embed nor make images.
func otherUse(id string) bool {
	for _, p := range []string{"whisper", "tts-", "omni-moderation", "text-moderation", "sora", "babbage-", "davinci-", "gpt-realtime", "gpt-audio"} {
		if strings.HasPrefix(id, p) {
			return true
		}
	}
	return strings.HasPrefix(id, "gpt-") && (strings.Contains(id, "-transcribe") || strings.Contains(id, "-tts") || strings.Contains(id, "-realtime"))
}

// known are facts of OpenAI's families, most special prefix first; as of 2026-11. Levels: OpenAI's model pages; limits:
// qwen-code 0.15.10.
var known = []struct {
	prefix string
	model  canon.Model
}{
	{"gpt-5-chat", plain(128000, 16384)},
	{"gpt-5-pro", reasoning(272000, 128000, "high")},
	{"gpt-5.1", reasoning(272000, 128000, "none", "low", "medium", "high")},
	{"gpt-5.", reasoning(272000, 128000, "none", "low", "medium", "high", "xhigh")},
	{"gpt-5", reasoning(272000, 128000, "minimal", "low", "medium", "high")},
	{"gpt-6", reasoning(272000, 128000, "none", "low", "medium", "high", "xhigh")},
	{"o1-mini", reasoning(128000, 65536)},
	{"o1-preview", reasoning(128000, 32768)},
	{"o1", reasoning(200000, 100000, "low", "medium", "high")},
	{"o3", reasoning(200000, 100000, "low", "medium", "high")},
	{"o4", reasoning(200000, 100000, "low", "medium", "high")},
	{"gpt-4.1", plain(1047576, 32768)},
	{"gpt-4o", plain(128000, 16384)},
	{"chatgpt-4o", plain(128000, 16384)},
	{"gpt-4-turbo", plain(128000, 4096)},
	{"gpt-4", plain(8192, 4096)},
	{"gpt-3.5", plain(16385, 4096)},
}

func reasoning(context, output int64, efforts ...string) canon.Model {
	return canon.Model{Context: context, MaxOutput: output, Efforts: efforts, Thinking: canon.Yes, Sampling: canon.No}
}

func plain(context, output int64) canon.Model {
	return canon.Model{Context: context, MaxOutput: output, Thinking: canon.No, Sampling: canon.Yes}
}

// KnownModel returns what is known of one of OpenAI's models by the beginning of its name: whether it thinks, its
// levels, whether it takes sampling numbers, its limits. For any other name everything but the id is unknown.
func KnownModel(id string) canon.Model {
	name := strings.TrimPrefix(strings.ToLower(id), "openai/")
	for _, k := range known {
		if !strings.HasPrefix(name, k.prefix) {
			continue
		}
		if n := len(k.prefix); k.prefix[0] == 'o' && len(name) > n && name[n] != '-' {
			continue // o1 is a family, o10 is not
		}
		m := k.model
		m.ID, m.Efforts = id, slices.Clone(m.Efforts)
		return m
	}
	return canon.Model{ID: id}
}

// FactsOf joins what the plan knows of the model with what is known of OpenAI's own models.
func FactsOf(req *canon.Request) canon.Model {
	known, f := KnownModel(req.Model), req.Facts
	if f.Thinking == canon.Unknown {
		f.Thinking = known.Thinking
	}
	if f.Sampling == canon.Unknown {
		f.Sampling = known.Sampling
	}
	if len(f.Efforts) == 0 {
		f.Efforts = known.Efforts
	}
	return f
}

// RefusesSampling reports whether the model is one of OpenAI's reasoning models and thinks in this request.
func RefusesSampling(req *canon.Request, facts canon.Model) bool {
	if facts.Sampling != canon.No {
		return false
	}
	return req.Reasoning.Mode != canon.ReasonOff || !slices.Contains(facts.Efforts, "none")
}
