package openai

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"patchbay/backend/apierror"
	"patchbay/backend/canon"
	"patchbay/backend/wire"
)

type wirePart struct {
	Type       string                    `json:"type"`
	Text       *string                   `json:"text"`
	Refusal    string                    `json:"refusal"`
	ImageURL   jsontext.Value            `json:"image_url"`
	VideoURL   jsontext.Value            `json:"video_url"`
	InputAudio *wireAudio                `json:"input_audio"`
	File       *wireFile                 `json:"file"`
	Cache      jsontext.Value            `json:"cache_control"`
	Breakpoint jsontext.Value            `json:"prompt_cache_breakpoint"`
	Ext        map[string]jsontext.Value `json:",embed"`
}

type wireAudio struct {
	Data   string `json:"data"`
	Format string `json:"format"`
}

type wireFile struct {
	Data string `json:"file_data"`
	Name string `json:"filename"`
	ID   string `json:"file_id"`
}

// readContent reads the content of a message: a string, parts, or nothing.
func readContent(v jsontext.Value, path string) ([]canon.Part, error) {
	switch {
	case isNull(v):
		return nil, nil
	case v.Kind() == '"':
		return []canon.Part{{Type: canon.PartText, Text: text(v)}}, nil
	case v.Kind() != '[':
		return nil, apierror.Invalid(path, "%s must be a string or an array of parts", path)
	}
	var in []wirePart
	if err := wire.ReadValue(v, path, &in); err != nil {
		return nil, err
	}
	parts := make([]canon.Part, 0, len(in))
	for i := range in {
		at := fmt.Sprintf("%s[%d]", path, i)
		p, err := readPart(&in[i], at)
		if err != nil {
			return nil, err
		}
		parts = append(parts, p)
	}
	return parts, nil
}

func readPart(w *wirePart, path string) (canon.Part, error) {
	p := canon.Part{Ext: w.Ext}
	var err error
	if p.Cache, err = readCache(w.Cache, path+".cache_control"); err != nil {
		return p, err
	}
	if len(w.Breakpoint) > 0 && w.Breakpoint.Kind() == '{' {
		if p.Cache == nil {
			p.Cache = &canon.Cache{}
		}
		if p.Ext == nil {
			p.Ext = map[string]jsontext.Value{}
		}
		p.Ext["prompt_cache_breakpoint"] = w.Breakpoint
	}
	switch w.Type {
	case "text", "input_text", "output_text", "":
		if w.Text == nil {
			return p, apierror.Invalid(path+".text", "%s.text is required", path)
		}
		p.Type, p.Text = canon.PartText, *w.Text
	case "refusal":
		p.Type, p.Text = canon.PartRefusal, w.Refusal
	case "image_url", "input_image":
		p.Type = canon.PartImage
		p.Media, err = readImage(w.ImageURL, path+".image_url")
	case "video_url":
		p.Type = canon.PartVideo
		p.Media, err = readImage(w.VideoURL, path+".video_url")
	case "input_audio":
		p.Type = canon.PartAudio
		p.Media, err = readAudio(w.InputAudio, path+".input_audio")
	case "file", "input_file":
		p.Type = canon.PartDocument
		p.Media, err = readFile(w.File, path+".file")
	default:
		err = apierror.Invalid(path+".type", "%s.type %q is not supported: use text, image_url, input_audio or file", path, w.Type)
	}
	return p, err
}

// readImage reads image_url, an object or the bare URL, which some clients send.
func readImage(v jsontext.Value, path string) (*canon.Media, error) {
	var in struct {
		URL    string `json:"url"`
		Detail string `json:"detail"`
	}
	at := path
	switch {
	case isNull(v):
		return nil, apierror.Invalid(path, "%s is required", path)
	case v.Kind() == '"':
		in.URL = text(v)
	default:
		if err := wire.ReadValue(v, path, &in); err != nil {
			return nil, err
		}
		at = path + ".url"
	}
	m := &canon.Media{URL: in.URL, Detail: in.Detail}
	switch {
	case in.URL == "":
		return nil, apierror.Invalid(at, "%s is required", at)
	case strings.HasPrefix(in.URL, "data:"):
		mime, data, err := wire.ParseDataURL(in.URL)
		if err != nil {
			return nil, apierror.Invalid(at, "%s: %s", at, err)
		}
		if mime == "" || len(data) == 0 {
			return nil, apierror.Invalid(at, "%s holds no image that is known", at)
		}
		m.MIME, m.Data, m.URL = mime, data, ""
	case !strings.Contains(in.URL, "://"):
		return nil, apierror.Invalid(at, "%s must be an http(s) or data: URL", at)
	}
	return m, nil
}

func readAudio(in *wireAudio, path string) (*canon.Media, error) {
	if in == nil || in.Data == "" {
		return nil, apierror.Invalid(path+".data", "%s.data is required", path)
	}
	data, err := wire.DecodeBase64(in.Data)
	if err != nil {
		return nil, apierror.Invalid(path+".data", "%s.data is not valid base64", path)
	}
	format := in.Format
	if format == "" {
		format = "wav"
	}
	return &canon.Media{MIME: "audio/" + format, Data: data}, nil
}

func readFile(in *wireFile, path string) (*canon.Media, error) {
	switch {
	case in == nil:
		return nil, apierror.Invalid(path, "%s is required", path)
	case in.ID != "":
		return &canon.Media{FileID: in.ID, FileName: in.Name}, nil
	case in.Data == "":
		return nil, apierror.Invalid(path, "%s needs file_data or file_id", path)
	}
	m := &canon.Media{FileName: in.Name, MIME: "application/pdf"}
	var err error
	if strings.HasPrefix(in.Data, "data:") {
		var mime string
		if mime, m.Data, err = wire.ParseDataURL(in.Data); mime != "" {
			m.MIME = mime
		}
	} else {
		m.Data, err = wire.DecodeBase64(in.Data)
	}
	if err != nil {
		return nil, apierror.Invalid(path+".file_data", "%s.file_data holds no valid data", path)
	}
	if strings.HasPrefix(m.MIME, "text/") {
		m.Text, m.Data = string(m.Data), nil
	}
	return m, nil
}

// markCache puts a message's own cache_control on its last part.
func markCache(parts []canon.Part, v jsontext.Value, path string) error {
	cache, err := readCache(v, path+".cache_control")
	if cache != nil && len(parts) > 0 {
		parts[len(parts)-1].Cache = cache
	}
	return err
}

// detailsText joins what can be read of reasoning_details (OpenRouter, MiniMax).
func detailsText(details []byte) string {
	var b strings.Builder
	c := walkArray(details)
	for c.Next() {
		if s := text(member(c.Value, "text")); s != "" {
			b.WriteString(s)
		} else {
			b.WriteString(text(member(c.Value, "summary")))
		}
	}
	return b.String()
}
